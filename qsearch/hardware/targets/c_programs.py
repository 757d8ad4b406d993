"""Programs around the header: the self-test, and one that computes codes from standard input."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy

from qsearch.errors import ExportError
from qsearch.hardware.integer.compare import extremes
from qsearch.hardware.integer.formats import Codes
from qsearch.hardware.integer.model import IntegerModel
from qsearch.hardware.targets.c_header import Header, Port
from qsearch.hardware.targets.c_text import array, loop
from qsearch.paths import temporary_folder

FLAGS = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic")
_COMPILERS = ("gcc", "cc", "clang")
_VECTORS, _EXTREMES = 10, 5
_SECONDS = 600
_NOTHING = "#include <stdint.h>\n#include <stdio.h>\nint main(void)\n{\n    return 0;\n}\n"


def selftest(model: IntegerModel, header: Header) -> str:
    """A program that runs ten inputs, the extreme ones first, and compares the outputs."""
    codes = extremes(model, _VECTORS - _EXTREMES)
    found = model.run(codes)
    lines = [f'#include "{header.file}"', "", "#include <stdio.h>", ""]
    for source, port in zip(model.sources, header.inputs, strict=True):
        lines += [*_vectors(f"given_{port.name}", port, codes[source.name]), ""]
    for output, port in zip(model.outputs, header.outputs, strict=True):
        values = codes[output.step] if output.step in codes else found[output.step]
        lines += [*_vectors(f"wanted_{port.name}", port, values), ""]
        lines += [f"static {port.kind} {port.name}[{port.cells}];", ""]
    given = [f"given_{port.name} + n * {port.cells}" for port in header.inputs]
    called = f"{header.run}({', '.join([*given, *(port.name for port in header.outputs)])});"
    compared: list[str] = []
    for port in header.outputs:
        differs = f"wrong += {port.name}[i] != wanted_{port.name}[n * {port.cells} + i];"
        compared += loop("i", port.cells, [differs])
    body = [
        "long wrong = 0;",
        *loop("n", _VECTORS, [called, *compared]),
        "if (wrong) {",
        '    printf("%ld values are wrong\\n", wrong);',
        "} else {",
        f'    printf("{_VECTORS} vectors: all values are right\\n");',
        "}",
        "return wrong != 0;",
    ]
    return "\n".join([*lines, *_main(body)]) + "\n"


def driver(header: Header) -> str:
    """A program that reads the codes of samples as int64, input after input, and writes those of the outputs."""
    ports = [*header.inputs, *header.outputs]
    lines = [f'#include "{header.file}"', "", "#include <stdio.h>", ""]
    lines += [f"static {port.kind} {port.name}[{port.cells}];" for port in ports]
    largest = max(port.cells for port in ports)
    lines += [f"static int64_t codes[{largest}];", ""]
    body: list[str] = []
    for port in header.inputs:
        body += [f"if (fread(codes, sizeof codes[0], {port.cells}, stdin) != {port.cells}) {{", "    break;", "}"]
        body += loop("i", port.cells, [f"{port.name}[i] = ({port.kind})codes[i];"])
    body.append(f"{header.run}({', '.join(port.name for port in ports)});")
    for port in header.outputs:
        body += loop("i", port.cells, [f"codes[i] = {port.name}[i];"])
        body += [f"if (fwrite(codes, sizeof codes[0], {port.cells}, stdout) != {port.cells}) {{", "    return 1;", "}"]
    return "\n".join([*lines, *_main(["for (;;) {", *(f"    {line}" for line in body), "}", "return 0;"])]) + "\n"


def outputs_of(
    model: IntegerModel, header: Header, folder: Path, codes: Mapping[str, Codes], flags: Sequence[str] = ()
) -> dict[str, Codes] | None:
    """The codes of the outputs, by name, as the compiled header gives them; None where it cannot be compiled and run.

    Args:
        flags: of the compiler, beside `FLAGS`.

    Raises:
        ExportError: the header does not compile without warnings, or its program ends with an error.
    """
    compiler = compiler_found()
    if compiler is None:
        return None
    samples = len(next(iter(codes.values())))
    rows = [codes[source.name].reshape(samples, -1) for source in model.sources]
    given = numpy.ascontiguousarray(numpy.concatenate(rows, axis=1).astype(numpy.int64))
    with temporary_folder() as aside:
        try:
            program = compiled(compiler, driver(header), folder, aside, flags)
            if program is None:
                return None
            done = subprocess.run([program], input=given.tobytes(), capture_output=True, timeout=_SECONDS)
        except (subprocess.TimeoutExpired, PermissionError):
            return None  # too large to wait for, or a folder in which nothing may be run
    counts = [port.cells for port in header.outputs]
    values = numpy.frombuffer(done.stdout, numpy.int64)
    if done.returncode or values.size != samples * sum(counts):
        told = done.stderr.decode("utf-8", "replace")[:2000]
        raise ExportError(f"target c: the compiled network ended with {done.returncode}, {values.size} codes: {told}")
    parts = numpy.split(values.reshape(samples, -1), numpy.cumsum(counts)[:-1], axis=1)
    return {output.name: part for output, part in zip(model.outputs, parts, strict=True)}


def compiler_found() -> str | None:
    """The path of a C compiler on this machine."""
    return next((path for path in map(shutil.which, _COMPILERS) if path is not None), None)


def compiled(compiler: str, text: str, folder: Path, aside: Path, flags: Sequence[str] = ()) -> Path | None:
    """The program of a text that includes a header in a folder; None where the compiler makes no program at all.

    Raises:
        ExportError: it compiles other programs, but not this one.
    """
    told = _compile(compiler, text, aside / "network", (*FLAGS, *flags, "-I", str(folder)))
    if not told:
        return aside / "network"
    if _compile(compiler, _NOTHING, aside / "nothing", FLAGS):
        return None
    raise ExportError(f"target c: {compiler} does not compile the header; this is a fault of qsearch: {told[:2000]}")


def _compile(compiler: str, text: str, program: Path, flags: Sequence[str]) -> str:
    """What the compiler says; "" where it made the program without a word."""
    source = program.with_suffix(".c")
    source.write_text(text, encoding="ascii")
    done = subprocess.run(
        [compiler, *flags, str(source), "-o", str(program)], capture_output=True, text=True, timeout=_SECONDS
    )
    return "" if done.returncode == 0 else done.stderr.strip() or f"ended with {done.returncode}"


def _vectors(name: str, port: Port, codes: Codes) -> list[str]:
    return array(name, port.kind, codes.reshape(-1).tolist())


def _main(body: Sequence[str]) -> list[str]:
    return ["int main(void)", "{", *(f"    {line}" for line in body), "}"]
