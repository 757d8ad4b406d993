"""What a parameter of a quantizer may be."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from qsearch.errors import ConfigError, shown

Value = int | float | str | bool | None | tuple["Value", ...]


@dataclass(frozen=True)
class Accepted:
    """What a parameter accepts: a test, the words for an error message, and its type as editors show it."""

    accepts: Callable[[Value], bool]
    words: str
    annotation: str


@dataclass(frozen=True)
class Parameter:
    name: str
    default: Value
    kind: Accepted


def check_value(quantizer: str, parameter: Parameter, value: Value) -> None:
    """Raise ConfigError unless `value` is of the parameter's kind."""
    if not parameter.kind.accepts(value):
        raise ConfigError(f"{quantizer}: {parameter.name} must be {parameter.kind.words}, found {shown(value)}")


def check_together(quantizer: str, arguments: Mapping[str, Value]) -> None:
    """Raise ConfigError where arguments contradict each other."""
    problem = _contradiction(quantizer, arguments)
    if problem is not None:
        raise ConfigError(f"{quantizer}: {problem}")


_AUTOMATIC = ("auto", "auto_po2")


def _contradiction(quantizer: str, arguments: Mapping[str, Value]) -> str | None:
    least, most = arguments.get("min_po2_exponent"), arguments.get("max_po2_exponent")
    if isinstance(least, int) and isinstance(most, int) and least > most:
        return f"min_po2_exponent must be <= max_po2_exponent, found {least} and {most}"
    alpha = arguments.get("alpha")
    for name, alphas in _ALPHAS_OF.items():
        allowed = _AUTOMATIC if quantizer == "binary" and name == "elements_per_scale" else alphas
        # A kernel turns alpha None into 'auto_po2' by itself.
        if arguments.get(name) is not None and alpha is not None and alpha not in allowed:
            return f"{name} needs alpha={' or '.join(map(repr, allowed))}"
    if arguments.get("post_training_scale") is not None and alpha not in _AUTOMATIC:
        return "post_training_scale needs alpha='auto' or alpha='auto_po2'"
    if arguments.get("threshold") is not None and alpha in _AUTOMATIC:
        return "an automatic alpha sets the threshold itself; leave out one of the two"
    axes, elements = arguments.get("scale_axis"), arguments.get("elements_per_scale")
    if isinstance(axes, tuple) and len({*axes}) < len(axes):
        return f"scale_axis: found {list(axes)}, which names an axis twice"
    if elements is not None and axes is None:
        return "elements_per_scale needs scale_axis, the axis whose entries are grouped"
    count = len(axes) if isinstance(axes, tuple) else 1
    if isinstance(elements, tuple) and len(elements) != count:
        return f"elements_per_scale: found {len(elements)} numbers for {count} axes of scale_axis"
    return None


_ALPHAS_OF: Mapping[str, tuple[str, ...]] = {
    "elements_per_scale": ("auto_po2",),
    "min_po2_exponent": ("auto_po2",),
    "max_po2_exponent": ("auto_po2",),
}
"""Options of an automatic scale, and the alphas that they work with."""


def _is_integer(value: Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


FLOAT32 = math.nextafter(2.0**128 - 2.0**103, 0.0)
"""The greatest number that float32 does not round to infinity: above what it spells its own greatest, 3.4028235e+38."""
LEAST_FLOAT32 = 2.0**-126
"""The least number above 0 that is not 0 to models: they compute without denormal numbers."""


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -FLOAT32 <= value <= FLOAT32


def _is_power_of_two(value: Value) -> bool:
    return isinstance(value, int | float) and LEAST_FLOAT32 <= value <= FLOAT32 and math.frexp(value)[0] == 0.5


def optional(kind: Accepted) -> Accepted:
    return Accepted(
        lambda value: value is None or kind.accepts(value), f"{kind.words} or None", f"{kind.annotation} | None"
    )


def _list_of(kind: Accepted) -> Callable[[Value], bool]:
    return lambda value: isinstance(value, tuple) and len(value) > 0 and all(kind.accepts(item) for item in value)


def _is_array(value: Value) -> bool:
    """Nested lists of numbers, each level of one length and depth."""
    return isinstance(value, tuple) and _shape(value) is not None


def _shape(value: Value) -> tuple[int, ...] | None:
    if not isinstance(value, tuple):
        return () if _is_number(value) else None
    shapes = {_shape(item) for item in value}
    inner = shapes.pop() if len(shapes) == 1 else None
    return None if inner is None else (len(value), *inner)


def _between(least: int, most: int) -> Accepted:
    return Accepted(
        lambda v: isinstance(v, int) and not isinstance(v, bool) and least <= v <= most,
        f"a whole number from {least} to {most}",
        "int",
    )


def _is_scale(value: Value) -> bool:
    """A number or an array of them, and none of them 0, which would make every level 0."""
    if isinstance(value, tuple):
        return _is_array(value) and all(_is_scale(item) for item in value)
    return _is_number(value) and abs(cast(float, value)) >= LEAST_FLOAT32


def _number_that(holds: Callable[[float], bool], words: str) -> Accepted:
    return Accepted(lambda value: _is_number(value) and holds(cast(float, value)), words, "float")


POSITIVE_INTEGER = Accepted(
    lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 1, "a whole number >= 1", "int"
)
FIXED_BITS = _between(1, 1023)
"""The widest accumulators of powers of two have some hundred bits, and biases may have as many."""
POWER_BITS = _between(1, 32)
"""Exponents of up to 2^31; none of float32's is above 127."""
BINARY_POINT = _between(-126, 1023)
AXIS = _between(-8, 7)
UNROLLS = _between(1, 100)
"""Each is a part of the graph of its own."""
EXPONENTS = _between(-126, 127)
"""Those of float32."""
NUMBER = Accepted(_is_number, "a number", "float")
POSITIVE = _number_that(lambda v: v >= LEAST_FLOAT32, "a number > 0")
CURVATURE = _number_that(lambda v: 1e-3 <= v <= 1e6, "a number from 0.001 to 1000000")
"""Of a logarithm: float32 does not tell 1 plus less from 1."""
NOISE = _number_that(lambda v: 0 <= v <= 1, "a number from 0 to 1")
NOT_NEGATIVE = _number_that(lambda v: v >= 0, "a number >= 0")
FLAG = Accepted(lambda v: v in (0, 1) and not isinstance(v, float), "True or False", "bool")
SLOPE = Accepted(lambda v: v == 0 or _is_power_of_two(v), "0 or a power of two", "float")
ALPHA = Accepted(
    lambda v: v is None or v in ("auto", "auto_po2") or _is_scale(v),
    "None, a number other than 0, a list of such numbers, 'auto' or 'auto_po2'",
    "float | Sequence[Any] | str | None",
)
AXES = Accepted(
    lambda v: v is None or AXIS.accepts(v) or _list_of(AXIS)(v),
    "None, an axis from -8 to 7 or a list of axes",
    "int | Sequence[int] | None",
)
LOG2_ROUNDING = Accepted(lambda v: v in ("rnd", "floor"), "'rnd' or 'floor'", "str")
ROUNDING = Accepted(lambda v: v in (None, "half_even", "half_away"), "None, 'half_even' or 'half_away'", "str | None")
SIGMOID = Accepted(lambda v: v in ("hard", "smooth", "real"), "'hard', 'smooth' or 'real'", "str")
TEXT = Accepted(
    lambda v: v is None or (isinstance(v, str) and re.fullmatch(r"[A-Za-z0-9_./ -]+", v) is not None),
    "a name of letters, digits, '_', '.', '/', '-' or None",
    "str | None",
)
ELEMENTS = Accepted(
    lambda v: v is None or POSITIVE_INTEGER.accepts(v) or _list_of(POSITIVE_INTEGER)(v),
    "None, a whole number >= 1 or a list of them",
    "int | Sequence[int] | None",
)
EXPONENT = optional(EXPONENTS)
SCALE = Accepted(
    lambda v: v is None or _is_scale(v),
    "None, a number other than 0 or a list of such numbers",
    "float | Sequence[Any] | None",
)
