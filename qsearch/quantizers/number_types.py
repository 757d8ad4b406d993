"""What kind of number a quantizer makes: the types of the energy model. No TensorFlow.

Types and their derivation are those of QKeras' QTools (Coelho et al. 2021, doi:10.1038/s42256-021-00356-5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    FIXED = "fixed"
    POWER_OF_TWO = "power of two"
    TERNARY = "ternary"
    BINARY = "binary"
    """Values -1 and +1."""
    ZERO_ONE = "zero-one"
    FLOAT = "float"


@dataclass(frozen=True, kw_only=True)
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
    return NumberFormat(kind=Kind.FIXED, bits=bits, int_bits=int_bits, signed=signed)


def floating(bits: int) -> NumberFormat:
    return NumberFormat(kind=Kind.FLOAT, bits=bits, int_bits=-1, signed=True, name="floating_point")
