"""c: one header of C99, integers only, without a heap."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from qsearch.errors import ConfigError, did_you_mean, shown
from qsearch.hardware.integer.build import NORMS
from qsearch.hardware.integer.formats import Codes
from qsearch.hardware.integer.model import IntegerModel
from qsearch.hardware.targets.c_header import Header, header_of
from qsearch.hardware.targets.c_programs import outputs_of, selftest
from qsearch.hardware.targets.target import Write

SELFTEST = "selftest.c"
_OPTIONS = ("packed",)
README = f"""One header of C99 (`stdint.h` is all that it includes): integers only, no heap, no floats.
`NAME_run(input, output)` takes the codes of the inputs and gives those of the outputs, channels last, one sample at a
time; value = code · 2^-fraction / divisor, as the comments say for every tensor. Sums are `int32_t` where their proven
range fits, else `int64_t`. Results between steps lie in static memory that is used again as soon as it is free: the
comment at the top says how many bytes, and two calls must not run at the same time. There is no undefined behaviour:
nothing overflows, and negative numbers are divided, never shifted.

`{SELFTEST}` runs ten inputs and compares the outputs, 0 on success:

    cc -std=c99 -O2 -Wall -Wextra -pedantic {SELFTEST} -o selftest && ./selftest

Option `packed: true`: kernels lie bit by bit (a ternary weight needs two), which is smaller and slower.
"""


class CTarget:
    """Portable C, from a microcontroller up."""

    name, extra, readme, wide_option = "c", "", README, ""
    norms, keeps_softmax = NORMS[0], False

    def prepare(self, model: IntegerModel, options: Mapping[str, Any]) -> Write:
        """The header is made in memory: what cannot be is found out by that."""
        header = header_of(model, _packed(options))

        def write(folder: Path) -> Mapping[str, str]:
            (folder / header.file).write_text(header.text, encoding="ascii")
            (folder / SELFTEST).write_text(selftest(model, header), encoding="ascii")
            return {
                "constants (flash)": f"{header.constants:,} bytes",
                "static memory (RAM)": f"{header.memory:,} bytes",
            }

        return write

    def run(self, model: IntegerModel, folder: Path, codes: Mapping[str, Codes]) -> Mapping[str, NDArray[Any]] | None:
        """Compiled and run where there is a compiler."""
        header: Header = header_of(model, False)  # only its names and types, which the option does not change
        found = outputs_of(model, header, folder, codes)
        if found is None:
            return None
        forms = model.forms
        return {output.name: forms[output.step].values(found[output.name]) for output in model.outputs}


def _packed(options: Mapping[str, Any]) -> bool:
    for name in options:
        if name not in _OPTIONS:
            raise ConfigError(
                f"target c: option {shown(name)}: unknown{did_you_mean(name, _OPTIONS)}; allowed: {', '.join(_OPTIONS)}"
            )
    packed = options.get("packed", False)
    if not isinstance(packed, bool):
        raise ConfigError(f"target c: packed: {shown(packed)}; allowed: true, false")
    return packed


TARGET = CTarget()
