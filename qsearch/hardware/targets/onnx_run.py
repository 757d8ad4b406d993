"""Written ONNX files, run on codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy
from numpy.typing import NDArray

from qsearch.errors import ConfigError, did_you_mean, shown
from qsearch.hardware.integer.formats import Codes
from qsearch.hardware.integer.model import IntegerModel, fits_float32

BATCH = 64
WIDE_OPTION = "options={'float64': True}"
"""What helps where float32 rounds sums."""
Called = Callable[[list[NDArray[Any]]], list[NDArray[Any]]]
"""Inputs in the order of the sources -> outputs in the order of the outputs."""


def checked_options(target: str, options: Mapping[str, Any], float64: bool = False) -> dict[str, bool]:
    """The options, with what is left out.

    Raises:
        ConfigError: an unknown option, or a value that is not true or false.
    """
    known = {"float64": float64}
    for name, value in options.items():
        if name not in known:
            raise ConfigError(
                f"target {target!r}: unknown option {shown(name)}{did_you_mean(name, known)}; allowed: float64"
            )
        if not isinstance(value, bool):
            raise ConfigError(f"target {target!r}: option {name}: {shown(value)}; allowed: true, false")
        known[name] = value
    return known


def batches(model: IntegerModel, codes: Mapping[str, Codes], called: Called, size: int) -> list[NDArray[Any]]:
    """The outputs for all codes, some samples at a time; the last samples are filled up to the same number."""
    values = [source.form.values(codes[source.name]).astype(numpy.float32) for source in model.sources]
    samples = len(values[0])
    parts = []
    for start in range(0, samples, size):
        rows = numpy.minimum(numpy.arange(start, start + size), samples - 1)
        parts.append(called([value[rows] for value in values]))
    return [numpy.concatenate(column)[:samples] for column in zip(*parts, strict=True)]


def exact_values(
    model: IntegerModel, codes: Mapping[str, Codes], outputs: list[NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """The outputs as float64.

    Values that no float32 holds, such as averages over 49 cells, leave a file as the nearest float32: where the file
    gives that one, it stands for the integer model's value.
    """
    forms, found = model.forms, dict(zip(model.file_outputs, outputs, strict=True))
    rounds = any(forms[output.step].divisor > 1 or not fits_float32(forms[output.step]) for output in model.outputs)
    known = model.run(codes) if rounds else {}
    for output in model.outputs:
        given = found[output.exact_name]
        values: NDArray[Any] = given.astype(numpy.float64)
        if output.step in known:
            exact = forms[output.step].values(known[output.step])
            values = numpy.where(exact.astype(given.dtype) == given, exact, values)
        found[output.exact_name] = values
    return found
