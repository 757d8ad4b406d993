"""What kind of number a quantizer makes: the types of the energy model. No TensorFlow.

Types and their derivation are those of QKeras' QTools (Coelho et al. 2021, doi:10.1038/s42256-021-00356-5).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from types import MappingProxyType
from typing import cast

from qsearch.errors import ConfigError, shown
from qsearch.quantizers.sense import MOST_PRICED, senseless
from qsearch.quantizers.spec import QuantizerSpec, parse


class Kind(Enum):
    FIXED = "fixed"
    POWER_OF_TWO = "power of two"
    TERNARY = "ternary"
    BINARY = "binary"
    """Values -1 and +1."""
    ZERO_ONE = "zero-one"
    FLOAT = "float"


@dataclass(frozen=True)
class NumberFormat:
    """A number type.

    Attributes:
        bits: all bits, sign included.
        int_bits: bits before the point, the sign not counted; -1 for floats.
        signed: whether there is a sign bit.
        max_value: greatest magnitude of a power of two; None when it is not limited.
        name: the quantizer it came from; QTools tells "binary" from "stochastic_binary" in the price of a multiplexer.
    """

    kind: Kind
    bits: int
    int_bits: int
    signed: bool
    max_value: float | None = None
    name: str = "quantized_bits"

    def __str__(self) -> str:
        match self.kind:
            case Kind.FLOAT:
                return f"fp{self.bits}"
            case Kind.FIXED:
                return f"{'' if self.signed else 'u'}fixed({self.bits},{self.int_bits})"
            case Kind.POWER_OF_TWO:
                return f"{'' if self.signed else 'u'}po2({self.bits})"
            case _:
                return str(self.kind.value)

    @property
    def fraction_bits(self) -> int:
        return self.bits - self.int_bits - self.signed

    @property
    def exponent_range(self) -> tuple[int, int]:
        """(lo, hi) of a power of two: magnitudes 2^-lo to 2^hi."""
        span = self.bits - self.signed
        lowest = int(2 ** (span - 1))
        highest = int(2 ** (span - 1) - 1)
        if self.max_value is not None and self.max_value > 0:
            highest = max(0, min(highest, math.ceil(math.log2(self.max_value))))
        return lowest, highest

    def as_fixed(self) -> NumberFormat:
        """The fixed-point type that holds every value of a power of two; any other type is returned as it is."""
        if self.kind is not Kind.POWER_OF_TWO:
            return self
        lowest, highest = self.exponent_range
        return fixed(self.signed + lowest + highest, highest, self.signed)


def fixed(bits: int, int_bits: int, signed: bool = True) -> NumberFormat:
    return NumberFormat(Kind.FIXED, bits, int_bits, signed)


def floating(bits: int) -> NumberFormat:
    return NumberFormat(Kind.FLOAT, bits, -1, True, name="floating_point")


SOURCE_FORMATS: Mapping[str, NumberFormat] = MappingProxyType(
    {
        "int8": fixed(8, 0),
        "int16": fixed(16, 7),
        "int32": fixed(32, 10),
        "fp16": floating(16),
        "fp32": floating(32),
    }
)
DEFAULT_FORMAT = SOURCE_FORMATS["int8"]


def source_format(text: str) -> NumberFormat:
    """The type of a model input: `int8`, `int16`, `int32`, `fp16`, `fp32`, or any quantizer.

    Raises:
        ConfigError: neither.
    """
    if text in SOURCE_FORMATS:
        return SOURCE_FORMATS[text]
    try:
        spec = parse(text)
        if (problem := senseless(spec, MOST_PRICED)) is not None:
            raise ConfigError(problem)
        return number_format(spec)
    except ConfigError as error:
        raise ConfigError(
            f"number type {shown(text)}: allowed: {', '.join(SOURCE_FORMATS)} or a quantizer; {error}"
        ) from None


@lru_cache(maxsize=4096)
def number_format(spec: QuantizerSpec) -> NumberFormat:
    """The type of the numbers that a quantizer gives. Scales, symmetry and rounding have no influence."""
    return replace(_FORMATS[spec.name](spec), name=spec.name)


def _bits(spec: QuantizerSpec) -> int:
    return cast(int, spec.arguments["bits"])


def _quantized_bits(spec: QuantizerSpec) -> NumberFormat:
    return fixed(_bits(spec), cast(int, spec.arguments["integer"]), bool(spec.arguments["keep_negative"]))


def _quantized_relu(spec: QuantizerSpec) -> NumberFormat:
    bits, integer = _bits(spec), cast(int, spec.arguments["integer"])
    if bits == 1 and integer == 1:
        return NumberFormat(Kind.ZERO_ONE, 1, 1, False)
    return fixed(bits, integer, bool(spec.arguments["negative_slope"]))


def _power_of_two(signed: bool) -> Callable[[QuantizerSpec], NumberFormat]:
    def read(spec: QuantizerSpec) -> NumberFormat:
        limit = cast("float | None", spec.arguments["max_value"])
        return NumberFormat(Kind.POWER_OF_TWO, _bits(spec), _bits(spec), signed, limit)

    return read


def _binary(spec: QuantizerSpec) -> NumberFormat:
    zero_one = bool(spec.arguments["use_01"])
    return NumberFormat(Kind.ZERO_ONE if zero_one else Kind.BINARY, 1, 1, not zero_one)


def _ternary(spec: QuantizerSpec) -> NumberFormat:
    return NumberFormat(Kind.TERNARY, 2, 2, True)


_FORMATS: Mapping[str, Callable[[QuantizerSpec], NumberFormat]] = {
    "quantized_bits": _quantized_bits,
    "quantized_linear": _quantized_bits,
    "quantized_hswish": lambda spec: fixed(_bits(spec), cast(int, spec.arguments["integer"])),
    "quantized_ulaw": lambda spec: fixed(_bits(spec), cast(int, spec.arguments["integer"])),
    "bernoulli": lambda spec: NumberFormat(Kind.ZERO_ONE, 1, 1, False),
    "quantized_relu": _quantized_relu,
    "quantized_po2": _power_of_two(signed=True),
    "quantized_relu_po2": _power_of_two(signed=False),
    "binary": _binary,
    "stochastic_binary": lambda spec: NumberFormat(Kind.BINARY, 1, 1, True),
    "ternary": _ternary,
    "stochastic_ternary": _ternary,
    # QTools never sets the integer bits of tanh and sigmoid; both lie in [-1, 1].
    "quantized_tanh": lambda spec: fixed(_bits(spec), -1),
    "quantized_sigmoid": lambda spec: fixed(_bits(spec), 0, signed=False),
    "binary_tanh": lambda spec: NumberFormat(Kind.BINARY, 1, 1, True),
    "binary_sigmoid": lambda spec: NumberFormat(Kind.ZERO_ONE, 1, 1, False),
    # The other functions bend their input and leave it a float.
    **dict.fromkeys(("hard_sigmoid", "hard_tanh", "smooth_sigmoid", "smooth_tanh"), lambda spec: floating(32)),
}
