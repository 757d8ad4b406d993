"""Every quantizer: a row says which module its class is in, what number it makes, and what its parameters are.

Names, order and defaults of parameters are QKeras' (Coelho et al. 2021, doi:10.1038/s42256-021-00356-5), so that
strings from years of notebooks mean here what they meant there. No TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, cast

from qsearch.quantizers.number_types import Kind, NumberFormat, fixed, floating
from qsearch.quantizers.parameters import (
    ALPHA,
    AXES,
    BINARY_POINT,
    CURVATURE,
    ELEMENTS,
    EXPONENT,
    FIXED_BITS,
    FLAG,
    LOG2_ROUNDING,
    NOISE,
    NOT_NEGATIVE,
    POSITIVE,
    POWER_BITS,
    ROUNDING,
    SCALE,
    SIGMOID,
    SLOPE,
    TEXT,
    UNROLLS,
    Parameter,
    Value,
    optional,
)

Arguments = Mapping[str, Value]
"""Every parameter with its value."""


class Entry(NamedTuple):
    """One quantizer.

    Attributes:
        module: of `qsearch.quantizers`, where the class of its name is.
        number_format: the type of the numbers that it gives; QTools' rules.
        parameters: in positional order, with their defaults.
    """

    module: str
    number_format: Callable[[Arguments], NumberFormat]
    parameters: tuple[Parameter, ...]


def _bits(arguments: Arguments) -> int:
    return cast(int, arguments["bits"])


def _integer(arguments: Arguments) -> int:
    return cast(int, arguments["integer"])


def _fixed_point(arguments: Arguments) -> NumberFormat:
    return fixed(_bits(arguments), _integer(arguments), bool(arguments["keep_negative"]))


def _signed(arguments: Arguments) -> NumberFormat:
    return fixed(_bits(arguments), _integer(arguments))


def _relu(arguments: Arguments) -> NumberFormat:
    if _bits(arguments) == 1 and _integer(arguments) == 1:
        return NumberFormat(kind=Kind.ZERO_ONE, bits=1, int_bits=1, signed=False)
    return fixed(_bits(arguments), _integer(arguments), bool(arguments["negative_slope"]))


def _tanh(arguments: Arguments) -> NumberFormat:
    """QTools never sets the integer bits of tanh and sigmoid; both lie in [-1, 1]."""
    return fixed(_bits(arguments), -1)


def _sigmoid(arguments: Arguments) -> NumberFormat:
    return fixed(_bits(arguments), 0, signed=False)


def _power_of_two(signed: bool) -> Callable[[Arguments], NumberFormat]:
    def read(arguments: Arguments) -> NumberFormat:
        limit = cast("float | None", arguments["max_value"])
        return NumberFormat(
            kind=Kind.POWER_OF_TWO, bits=_bits(arguments), int_bits=_bits(arguments), signed=signed, max_value=limit
        )

    return read


def _binary(arguments: Arguments) -> NumberFormat:
    return _plus_minus_one(arguments) if not arguments["use_01"] else _zero_one(arguments)


def _plus_minus_one(arguments: Arguments) -> NumberFormat:
    return NumberFormat(kind=Kind.BINARY, bits=1, int_bits=1, signed=True)


def _zero_one(arguments: Arguments) -> NumberFormat:
    return NumberFormat(kind=Kind.ZERO_ONE, bits=1, int_bits=1, signed=False)


def _ternary(arguments: Arguments) -> NumberFormat:
    return NumberFormat(kind=Kind.TERNARY, bits=2, int_bits=2, signed=True)


def _float(arguments: Arguments) -> NumberFormat:
    """The function bends its input and leaves it a float."""
    return floating(32)


_BITS = Parameter("bits", 8, FIXED_BITS)
_POWER_BITS = Parameter("bits", 8, POWER_BITS)
_INT_BITS = Parameter("integer", 0, BINARY_POINT)
_SYMMETRIC = Parameter("symmetric", False, FLAG)
_KEEP_NEGATIVE = Parameter("keep_negative", True, FLAG)
_ALPHA = Parameter("alpha", None, ALPHA)
_STOCHASTIC = Parameter("use_stochastic_rounding", False, FLAG)
_SCALE_AXIS = Parameter("scale_axis", None, AXES)
_NOISE = Parameter("qnoise_factor", 1.0, NOISE)
_VAR_NAME = Parameter("var_name", None, TEXT)
_USE_STE = Parameter("use_ste", True, FLAG)
_USE_VARIABLES = Parameter("use_variables", False, FLAG)
_REAL_SIGMOID = Parameter("use_real_sigmoid", True, FLAG)
_UNROLLS = Parameter("number_of_unrolls", 5, UNROLLS)
_THRESHOLD = Parameter("threshold", None, optional(NOT_NEGATIVE))
_MAX_VALUE = Parameter("max_value", None, optional(POSITIVE))
_GROUPS = (
    Parameter("elements_per_scale", None, ELEMENTS),
    Parameter("min_po2_exponent", None, EXPONENT),
    Parameter("max_po2_exponent", None, EXPONENT),
)
_PO2_TAIL = (
    _STOCHASTIC,
    Parameter("quadratic_approximation", False, FLAG),
    Parameter("log2_rounding", "rnd", LOG2_ROUNDING),
    _NOISE,
    _VAR_NAME,
    _USE_STE,
    _USE_VARIABLES,
)
# Ours, hence last: positions are QKeras'.
_ROUNDING = Parameter("rounding", None, ROUNDING)
_INTERNAL_SIGMOID = Parameter("internal_sigmoid", "hard", SIGMOID)

QUANTIZERS: Mapping[str, Entry] = {
    "quantized_bits": Entry(
        "fixed_point",
        _fixed_point,
        (
            _BITS,
            _INT_BITS,
            _SYMMETRIC,
            _KEEP_NEGATIVE,
            _ALPHA,
            _STOCHASTIC,
            _SCALE_AXIS,
            _NOISE,
            _VAR_NAME,
            _USE_STE,
            _USE_VARIABLES,
            *_GROUPS,
            Parameter("post_training_scale", None, SCALE),
            _ROUNDING,
        ),
    ),
    "quantized_linear": Entry(
        "fixed_point",
        _fixed_point,
        (
            _BITS,
            _INT_BITS,
            Parameter("symmetric", True, FLAG),
            _KEEP_NEGATIVE,
            _ALPHA,
            _STOCHASTIC,
            _SCALE_AXIS,
            _NOISE,
            _VAR_NAME,
            _USE_VARIABLES,
            _ROUNDING,
        ),
    ),
    "quantized_relu": Entry(
        "activations",
        _relu,
        (
            _BITS,
            _INT_BITS,
            Parameter("use_sigmoid", False, FLAG),
            Parameter("negative_slope", 0.0, SLOPE),
            _STOCHASTIC,
            Parameter("relu_upper_bound", None, optional(POSITIVE)),
            Parameter("is_quantized_clip", True, FLAG),
            _NOISE,
            _VAR_NAME,
            _USE_STE,
            _USE_VARIABLES,
            Parameter("enable_fast_inference", False, FLAG),
            _ROUNDING,
            _INTERNAL_SIGMOID,
        ),
    ),
    "quantized_po2": Entry("power_of_two", _power_of_two(signed=True), (_POWER_BITS, _MAX_VALUE, *_PO2_TAIL)),
    "quantized_relu_po2": Entry(
        "power_of_two",
        _power_of_two(signed=False),
        (_POWER_BITS, _MAX_VALUE, Parameter("negative_slope", 0, SLOPE), *_PO2_TAIL),
    ),
    "binary": Entry("signs", _binary, (Parameter("use_01", False, FLAG), _ALPHA, _STOCHASTIC, _SCALE_AXIS, *_GROUPS)),
    "stochastic_binary": Entry(
        "signs", _plus_minus_one, (_ALPHA, Parameter("temperature", 6.0, POSITIVE), _REAL_SIGMOID, _INTERNAL_SIGMOID)
    ),
    "bernoulli": Entry(
        "signs", _zero_one, (_ALPHA, Parameter("temperature", 6.0, POSITIVE), _REAL_SIGMOID, _INTERNAL_SIGMOID)
    ),
    "ternary": Entry("signs", _ternary, (_ALPHA, _THRESHOLD, _STOCHASTIC, _UNROLLS)),
    "stochastic_ternary": Entry(
        "signs",
        _ternary,
        (
            _ALPHA,
            _THRESHOLD,
            Parameter("temperature", 8.0, POSITIVE),
            _REAL_SIGMOID,
            _UNROLLS,
            _INTERNAL_SIGMOID,
        ),
    ),
    "quantized_ulaw": Entry(
        "activations",
        _signed,
        (
            _BITS,
            _INT_BITS,
            _SYMMETRIC,
            Parameter("u", 255.0, CURVATURE),
            _ROUNDING,
            _INTERNAL_SIGMOID,
        ),
    ),
    "quantized_tanh": Entry(
        "activations",
        _tanh,
        (
            _BITS,
            _STOCHASTIC,
            _SYMMETRIC,
            Parameter("use_real_tanh", False, FLAG),
            _ROUNDING,
            _INTERNAL_SIGMOID,
        ),
    ),
    "quantized_sigmoid": Entry(
        "activations",
        _sigmoid,
        (
            _BITS,
            _SYMMETRIC,
            Parameter("use_real_sigmoid", False, FLAG),
            _STOCHASTIC,
            _ROUNDING,
            _INTERNAL_SIGMOID,
        ),
    ),
    "quantized_hswish": Entry(
        "fixed_point",
        _signed,
        (
            _BITS,
            _INT_BITS,
            _SYMMETRIC,
            _ALPHA,
            _STOCHASTIC,
            _SCALE_AXIS,
            _NOISE,
            _VAR_NAME,
            _USE_VARIABLES,
            Parameter("relu_shift", 3, POSITIVE),
            Parameter("relu_upper_bound", 6, POSITIVE),
            _ROUNDING,
        ),
    ),
    "hard_sigmoid": Entry("activations", _float, ()),
    "hard_tanh": Entry("activations", _float, ()),
    "smooth_sigmoid": Entry("activations", _float, ()),
    "smooth_tanh": Entry("activations", _float, ()),
    "binary_sigmoid": Entry("activations", _zero_one, ()),
    "binary_tanh": Entry("activations", _plus_minus_one, ()),
}

SIGNATURES: Mapping[str, tuple[Parameter, ...]] = {name: entry.parameters for name, entry in QUANTIZERS.items()}
"""The parameters of every quantizer."""
