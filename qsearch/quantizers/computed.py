"""Which function a quantizer computes, and which quantizers can stand for a function. No TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import cast

from qsearch.functions import HARD_SILU, IDENTITY, LINEAR, RELU, SIGMOID, TANH, Function
from qsearch.quantizers.parameters import Value
from qsearch.quantizers.spec import QuantizerSpec

_OWN: Mapping[str, str] = {
    "quantized_tanh": TANH,
    "binary_tanh": TANH,
    "hard_tanh": TANH,
    "smooth_tanh": TANH,
    "quantized_sigmoid": SIGMOID,
    "binary_sigmoid": SIGMOID,
    "hard_sigmoid": SIGMOID,
    "smooth_sigmoid": SIGMOID,
    "quantized_hswish": HARD_SILU,
}
"""Quantizers of one function. Of the others, relus compute relu, and the rest stand for it, as in the seed."""
_RELUS = ("quantized_relu", "quantized_relu_po2")
_AUTOMATIC: Mapping[str, str] = {RELU: "quantized_relu", TANH: "quantized_tanh", SIGMOID: "quantized_sigmoid"}


def computed(spec: QuantizerSpec) -> Function:
    """The function that a quantizer computes, apart from rounding and clipping at the ends of its range."""
    if spec.name in _OWN:
        return Function(_OWN[spec.name])
    return Function(RELU, slope=_slope(spec)) if spec.name in _RELUS else IDENTITY


def fitted(spec: QuantizerSpec, function: Function) -> QuantizerSpec | None:
    """The quantizer as it computes a function, or None where it computes another one.

    A relu's quantizer takes over slope and bound: quantized_relu(8,4) of ReLU(6) is bounded at 6, quantized_relu(4,2)
    ends below it by itself. Slopes must be powers of two.
    """
    if spec.name in _OWN:
        return spec if function == Function(_OWN[spec.name]) else None
    if function.name != RELU:
        return None
    if spec.name not in _RELUS:
        return spec if not function.slope else None
    if not _slope_fits(spec, function.slope):
        return None
    changed: dict[str, Value] = {}
    if function.slope and not _slope(spec):
        changed["negative_slope"] = function.slope
    if function.upper is not None:
        changed |= _bounded(spec, function.upper)
    return spec if not changed else spec.replaced(changed)


def candidates(specs: Iterable[QuantizerSpec], function: Function) -> tuple[QuantizerSpec, ...]:
    """Those of some quantizers that compute a function, as they compute it."""
    found = (fitted(spec, function) for spec in specs)
    return tuple(spec for spec in found if spec is not None)


def automatic(function: Function, bits: int) -> QuantizerSpec | None:
    """The quantizer that stands for a function where none was named; None where it has none (linear, softmax, ...)."""
    name = _AUTOMATIC.get(function.name)
    return None if name is None else fitted(QuantizerSpec(name, (bits,)), function)


def why_none(function: Function) -> str:
    """Why no quantizer stands for a function."""
    if function.name == RELU and function.slope and not _power_of_two(function.slope):
        return f"the slope {function.slope:g} of its leaky relu is no power of two"
    if function.name == RELU and function.slope:
        return f"no candidate computes {function}; quantized_relu does, with its slope"
    if function.name == HARD_SILU:
        return "no candidate computes hard_silu; quantized_hswish does"
    if function.name == LINEAR:
        return "it computes nothing"
    return f"no quantizer computes {function}"


def _slope(spec: QuantizerSpec) -> float:
    return float(cast(float, spec.arguments["negative_slope"]))


def _slope_fits(spec: QuantizerSpec, slope: float) -> bool:
    own = _slope(spec)
    return own == slope or (own == 0 and _power_of_two(slope))


def _power_of_two(value: float) -> bool:
    return value > 0 and math.frexp(value)[0] == 0.5


def _bounded(spec: QuantizerSpec, upper: float) -> dict[str, Value]:
    if spec.name == "quantized_relu_po2":
        own = cast("float | None", spec.arguments["max_value"])
        highest = 2.0 ** math.floor(math.log2(upper))
        return {} if own is not None and own <= upper else {"max_value": highest}
    own = cast("float | None", spec.arguments["relu_upper_bound"])
    reach = 2.0 ** cast(int, spec.arguments["integer"])
    if reach <= upper or (own is not None and own <= upper and not spec.arguments["is_quantized_clip"]):
        return {}
    return {"relu_upper_bound": upper, "is_quantized_clip": False}
