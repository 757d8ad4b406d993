"""litert: an int8 .tflite file with the model's own scales, and the same file for TFLite Micro."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from qsearch.errors import ConfigError, ExportError, did_you_mean, reason_of, shown
from qsearch.hardware.integer.build import NORMS
from qsearch.hardware.integer.formats import Codes
from qsearch.hardware.integer.model import IntegerModel
from qsearch.hardware.integer.operations import Uniform
from qsearch.hardware.targets.litert_memory import memory_of
from qsearch.hardware.targets.litert_network import Network, Written
from qsearch.hardware.targets.litert_rounding import DEFAULT, REFERENCE
from qsearch.hardware.targets.onnx_graph import require
from qsearch.hardware.targets.target import Write

FILE, MEMORY = "model.tflite", "memory.json"
SOURCE, HEADER = "model_data.cc", "model_data.h"
PACKAGES = ("flatbuffers", "ai_edge_litert")
VERSIONS = "ai-edge-litert 2.3"
_BATCH = 64
_BOTH = (DEFAULT, REFERENCE)
_ALLOWED = ("auto", *_BOTH)
README = f"""`{FILE}` is a TFLite (LiteRT) file, channels last, for any batch. Its scales are the model's own; an
int8 number is a code plus the zero point that `{MEMORY}` and the file have for it. Inputs are int8 (numbers of tokens
int32); outputs are int8 where their codes fit, else float32 (code · 2^-fraction). Weights are int8 (the model's codes
times a factor for each channel, which its scale takes back), biases int32, and a layer is one operation with its
activation. Sums that are read without a quantizer, and factors of batch norms that no int32 bias and scale give
exactly, are computed in float32, where that is proven to give the same codes.

`{MEMORY}` says with which kernels the file gives every bit: `default` is the CPU path (XNNPACK), which rounds halves to
even, `reference` the reference kernels and TFLite Micro's portable ones, which round them away from zero (quantizers
with `rounding='half_away'`). With the optimized kernels without XNNPACK it is not exact.

    from ai_edge_litert.interpreter import Interpreter, OpResolverType
    kernels = OpResolverType.AUTO  # default; for reference: OpResolverType.BUILTIN_REF
    interpreter = Interpreter(model_path="{FILE}", experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], q)  # int8
    interpreter.invoke()
    interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

TFLite Micro: `{SOURCE}` and `{HEADER}` hold the file as an array; `tflite::GetModel(qsearch_model_data)`, with the
operators that `{MEMORY}` lists. Checked with {VERSIONS} on this machine, not with TFLite Micro.

`{MEMORY}` has the bytes of the file (flash), of its int8 weights, what these would need at their own bits (int8 saves
nothing below 8 bits), and of the activations that are needed at once: their tensors by lifetime; scratch buffers and
the interpreter are not counted.
"""


class LitertTarget:
    """A .tflite file that gives every bit."""

    name, extra, readme, wide_option = "litert", "litert", README, ""
    norms, keeps_softmax = NORMS[1], True

    def prepare(self, model: IntegerModel, options: Mapping[str, Any]) -> Write:
        """The file is made in memory."""
        chosen = _kernels(options)
        require(self.name, self.extra, PACKAGES)
        return partial(_write, model, *written_for(model, chosen))

    def run(self, model: IntegerModel, folder: Path, codes: Mapping[str, Codes]) -> Mapping[str, NDArray[Any]]:
        """By the interpreter, with every kind of kernels that the file is exact with."""
        kernels = json.loads((folder / MEMORY).read_text(encoding="utf-8"))["kernels"]
        content = (folder / FILE).read_bytes()
        found: dict[str, NDArray[Any]] = {}
        for kernel in kernels:
            try:
                given = _run(model, content, kernel, codes)
            except RuntimeError as error:
                raise ExportError(f"litert: the interpreter does not run {FILE}: {reason_of(error)}") from None
            exact = {output.exact_name for output in model.outputs}
            for name, values in given.items():
                if name not in found:
                    found[name] = values
                elif name in exact:  # kernels that differ are a fault that nothing should hide
                    found[name] = numpy.where(values == found[name], values, numpy.nan)
        return found


def _write(model: IntegerModel, written: Written, kernels: tuple[str, ...], folder: Path) -> Mapping[str, str]:
    (folder / FILE).write_bytes(written.content)
    source, header = array_of(written.content)
    (folder / SOURCE).write_text(source, encoding="ascii")
    (folder / HEADER).write_text(header, encoding="ascii")
    told = {"kernels": list(kernels), **_ends(model, written), **memory_of(model, written)}
    (folder / MEMORY).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return {
        "file (flash)": f"{told['flash_bytes']:,} bytes",
        "weights": f"{told['weight_bytes']:,} bytes, of {told['weight_bytes_at_their_bits']:,} at their own bits",
        "activations (RAM)": f"{told['activation_bytes']:,} bytes",
        "exact with": f"{' and '.join(kernels)} kernels",
    }


def written_for(model: IntegerModel, kernels: str) -> tuple[Written, tuple[str, ...]]:
    """(the file, the kernels that it is exact with): with less in float32 before with more kernels.

    Raises:
        ExportError: there are none.
    """
    found: list[tuple[int, Written, tuple[str, ...]]] = []
    refusals: dict[tuple[str, ...], ExportError] = {}
    plans = _plans(model, kernels)
    for place, plan in enumerate(plans):
        if found and (place > 1 or not found[-1][0]):
            break
        try:
            written = Network(model, plan).written()
            found.append((written.reals, written, plan))
        except ExportError as error:
            refusals[plan] = error
    if not found:
        raise refusals.get((DEFAULT,), refusals[plans[-1]])
    _, written, plan = min(found, key=lambda one: one[0])
    return written, plan


def _plans(model: IntegerModel, kernels: str) -> tuple[tuple[str, ...], ...]:
    """The kernels that a file should be exact with, the best first; the first two are tried where one would do."""
    if kernels != "auto":
        return _BOTH, (kernels,)
    rules = [step.operation for step in model.steps if isinstance(step.operation, Uniform)]
    away = any(rule.half_away for rule in rules)
    return (_BOTH, (REFERENCE,), (DEFAULT,)) if away else (_BOTH, (DEFAULT,), (REFERENCE,))


def _kernels(options: Mapping[str, Any]) -> str:
    """
    Raises:
        ConfigError: an unknown option, or a value that it does not take.
    """
    for name in options:
        if name != "kernels":
            raise ConfigError(
                f"target litert: option {shown(name)}: unknown{did_you_mean(name, ('kernels',))}; allowed: kernels"
            )
    chosen = options.get("kernels", "auto")
    if chosen not in _ALLOWED:
        raise ConfigError(f"target litert: kernels: {shown(chosen)}; allowed: {', '.join(_ALLOWED)}")
    return str(chosen)


def _ends(model: IntegerModel, written: Written) -> dict[str, Any]:
    """What inputs and outputs are."""
    names = [source.name for source in model.sources], model.file_outputs
    return {
        side: [
            {
                "name": name,
                "type": written.network.file.tensors[tensor.index].kind,
                "shape": list(tensor.shape),
                "fraction": tensor.form.fraction,
                "zero_point": tensor.zero,
            }
            for name, tensor in zip(own, tensors, strict=True)
        ]
        for side, own, tensors in (("inputs", names[0], written.inputs), ("outputs", names[1], written.outputs))
    }


def array_of(content: bytes) -> tuple[str, str]:
    """(source, header) of a file as an array of C++."""
    rows = [content[start : start + 12] for start in range(0, len(content), 12)]
    body = "\n".join("    " + " ".join(f"0x{byte:02x}," for byte in row) for row in rows)
    header = (
        "#ifndef QSEARCH_MODEL_DATA_H_\n#define QSEARCH_MODEL_DATA_H_\n\n"
        "extern const unsigned char qsearch_model_data[];\nextern const unsigned int qsearch_model_data_size;\n\n"
        "#endif\n"
    )
    source = (
        f'#include "{HEADER}"\n\nalignas(16) const unsigned char qsearch_model_data[] = {{\n{body}\n}};\n'
        f"const unsigned int qsearch_model_data_size = {len(content)};\n"
    )
    return source, header


def _run(model: IntegerModel, content: bytes, kernel: str, codes: Mapping[str, Codes]) -> dict[str, NDArray[Any]]:
    samples = len(next(iter(codes.values())))
    batch = min(_BATCH, samples)
    interpreter = _interpreter(content, kernel, batch)
    inputs = [codes[source.name] for source in model.sources]
    parts: list[list[NDArray[Any]]] = []
    for start in range(0, samples, batch):
        rows = numpy.minimum(numpy.arange(start, start + batch), samples - 1)
        for details, array in zip(interpreter.get_input_details(), inputs, strict=True):
            quantized = array[rows] + (details["quantization"][1] if details["dtype"] == numpy.int8 else 0)
            interpreter.set_tensor(details["index"], quantized.astype(details["dtype"]))
        interpreter.invoke()
        parts.append([_given(interpreter, details) for details in interpreter.get_output_details()])
    columns = [numpy.concatenate(column)[:samples] for column in zip(*parts, strict=True)]
    found: dict[str, NDArray[Any]] = dict(zip(model.file_outputs, columns, strict=True))
    for output in model.outputs:
        form = model.forms[output.step]
        given = found[output.exact_name]
        if given.dtype == numpy.float32:
            given = numpy.round(numpy.ldexp(given.astype(numpy.float64), form.fraction)).astype(numpy.int64)
        found[output.exact_name] = form.values(given)
    return found


def _interpreter(content: bytes, kernel: str, batch: int) -> Any:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType.AUTO if kernel == DEFAULT else OpResolverType.BUILTIN_REF
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=resolver, num_threads=1)
    for details in interpreter.get_input_details():
        interpreter.resize_tensor_input(details["index"], [batch, *details["shape"][1:]])
    interpreter.allocate_tensors()
    return interpreter


def _given(interpreter: Any, details: Mapping[str, Any]) -> NDArray[Any]:
    """An output: int8 as codes, without its zero point; float32 as it is."""
    values: NDArray[Any] = interpreter.get_tensor(details["index"])
    return values if values.dtype == numpy.float32 else values.astype(numpy.int64) - details["quantization"][1]


TARGET = LitertTarget()
