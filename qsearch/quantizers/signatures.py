"""The parameters of every quantizer, in positional order, with their defaults.

Names, order and defaults are QKeras' (Coelho et al. 2021, doi:10.1038/s42256-021-00356-5),
so that strings from years of notebooks mean here what they meant there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from qsearch.errors import ConfigError

Value = int | float | str | bool | None | tuple["Value", ...]


@dataclass(frozen=True)
class Kind:
    """What a parameter accepts: a test, and the words for an error message."""

    accepts: Callable[[Value], bool]
    words: str


@dataclass(frozen=True)
class Parameter:
    name: str
    default: Value
    kind: Kind


def check_value(quantizer: str, parameter: Parameter, value: Value) -> None:
    """Raise ConfigError unless `value` is of the parameter's kind."""
    if not parameter.kind.accepts(value):
        raise ConfigError(f"{quantizer}: {parameter.name} must be {parameter.kind.words}, found {value!r}")


def _is_integer(value: Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Value) -> bool:
    return _is_integer(value) or (isinstance(value, float) and math.isfinite(value))


def _is_power_of_two(value: Value) -> bool:
    return isinstance(value, int | float) and value > 0 and math.frexp(value)[0] == 0.5


def _optional(kind: Kind) -> Kind:
    return Kind(lambda value: value is None or kind.accepts(value), f"{kind.words} or None")


def _list_of(kind: Kind) -> Callable[[Value], bool]:
    return lambda value: isinstance(value, tuple) and len(value) > 0 and all(kind.accepts(item) for item in value)


POSITIVE_INTEGER = Kind(lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 1, "a whole number >= 1")
INTEGER = Kind(_is_integer, "a whole number")
NUMBER = Kind(_is_number, "a number")
POSITIVE = Kind(lambda v: _is_number(v) and v > 0, "a number > 0")  # type: ignore[operator]
NOT_NEGATIVE = Kind(lambda v: _is_number(v) and v >= 0, "a number >= 0")  # type: ignore[operator]
FLAG = Kind(lambda v: v in (0, 1) and not isinstance(v, float), "True or False")
SLOPE = Kind(lambda v: v == 0 or _is_power_of_two(v), "0 or a power of two")
ALPHA = Kind(
    lambda v: v is None or v in ("auto", "auto_po2") or _is_number(v) or _list_of(NUMBER)(v),
    "None, a number, a list of numbers, 'auto' or 'auto_po2'",
)
AXES = Kind(lambda v: v is None or _is_integer(v) or _list_of(INTEGER)(v), "None, an axis or a list of axes")
LOG2_ROUNDING = Kind(lambda v: v in ("rnd", "floor"), "'rnd' or 'floor'")

_BITS = Parameter("bits", 8, POSITIVE_INTEGER)
_INT_BITS = Parameter("integer", 0, INTEGER)
_ALPHA = Parameter("alpha", None, ALPHA)
_STOCHASTIC = Parameter("use_stochastic_rounding", False, FLAG)
_SCALE_AXIS = Parameter("scale_axis", None, AXES)
_NOISE = Parameter("qnoise_factor", 1.0, NUMBER)
_REAL_SIGMOID = Parameter("use_real_sigmoid", True, FLAG)
_UNROLLS = Parameter("number_of_unrolls", 5, POSITIVE_INTEGER)
_THRESHOLD = Parameter("threshold", None, _optional(NOT_NEGATIVE))
_PO2_TAIL = (
    _STOCHASTIC,
    Parameter("quadratic_approximation", False, FLAG),
    Parameter("log2_rounding", "rnd", LOG2_ROUNDING),
    _NOISE,
)
_MAX_VALUE = Parameter("max_value", None, _optional(POSITIVE))

SIGNATURES: Mapping[str, tuple[Parameter, ...]] = {
    "quantized_bits": (
        _BITS,
        _INT_BITS,
        Parameter("symmetric", False, FLAG),
        Parameter("keep_negative", True, FLAG),
        _ALPHA,
        _STOCHASTIC,
        _SCALE_AXIS,
        _NOISE,
    ),
    "quantized_relu": (
        _BITS,
        _INT_BITS,
        Parameter("use_sigmoid", False, FLAG),
        Parameter("negative_slope", 0.0, SLOPE),
        _STOCHASTIC,
        Parameter("relu_upper_bound", None, _optional(POSITIVE)),
        Parameter("is_quantized_clip", True, FLAG),
        _NOISE,
    ),
    "quantized_po2": (_BITS, _MAX_VALUE, *_PO2_TAIL),
    "quantized_relu_po2": (_BITS, _MAX_VALUE, Parameter("negative_slope", 0, SLOPE), *_PO2_TAIL),
    "binary": (Parameter("use_01", False, FLAG), _ALPHA, _STOCHASTIC, _SCALE_AXIS),
    "stochastic_binary": (_ALPHA, Parameter("temperature", 6.0, POSITIVE), _REAL_SIGMOID),
    "ternary": (_ALPHA, _THRESHOLD, _STOCHASTIC, _UNROLLS),
    "stochastic_ternary": (_ALPHA, _THRESHOLD, Parameter("temperature", 8.0, POSITIVE), _REAL_SIGMOID, _UNROLLS),
    "quantized_tanh": (
        _BITS,
        _STOCHASTIC,
        Parameter("symmetric", False, FLAG),
        Parameter("use_real_tanh", False, FLAG),
    ),
    "quantized_sigmoid": (
        _BITS,
        Parameter("symmetric", False, FLAG),
        Parameter("use_real_sigmoid", False, FLAG),
        _STOCHASTIC,
    ),
}
