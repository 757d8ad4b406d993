"""Numbers as integers: value = code · 2^−fraction / divisor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy
from numpy.typing import NDArray

from qsearch.errors import ExportError

Codes = NDArray[numpy.int64]

MOST_BITS = 62
"""Of an int64, with room for a sign and a carry."""
FLOAT32_BITS = 24
"""Whole numbers up to 2^24 are exact in float32."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """What the codes of a tensor mean, and the range that they are proven to be in.

    Attributes:
        fraction: bits behind the point; negative where steps are larger than 1.
        least, greatest: of the codes.
        divisor: of an average over an area that is no power of two; else 1.
    """

    fraction: int
    least: int
    greatest: int
    divisor: int = 1

    def __post_init__(self) -> None:
        for name in ("fraction", "least", "greatest", "divisor"):  # numpy's whole numbers have an end
            object.__setattr__(self, name, int(getattr(self, name)))

    @property
    def signed(self) -> bool:
        return self.least < 0

    @property
    def bits(self) -> int:
        """Of a code, sign included; at least 1."""
        magnitude = max(self.greatest.bit_length(), (-self.least - 1).bit_length() if self.signed else 0)
        return max(magnitude + self.signed, 1)

    @property
    def magnitude(self) -> int:
        """The largest absolute code."""
        return max(abs(self.least), abs(self.greatest))

    @property
    def step(self) -> Fraction:
        """The distance of neighbouring values."""
        return Fraction(1, self.divisor) * Fraction(2) ** -self.fraction

    def values(self, codes: Codes) -> NDArray[numpy.float64]:
        """The values of codes, exact up to 53 bits."""
        return numpy.ldexp(codes.astype(numpy.float64), -self.fraction) / self.divisor


def checked(name: str, form: Format) -> Format:
    """The format, if it can be computed with.

    Raises:
        ExportError: more bits than an int64 has.
    """
    if form.bits > MOST_BITS:
        raise ExportError(
            f"{name}: needs {form.bits} bits, at most {MOST_BITS} can be computed with; give what "
            "it reads a quantizer, or its bias one"
        )
    return form


def dyadic(values: Any) -> tuple[Codes, int]:
    """(codes, fraction) of float32 values, exact: value = code · 2^−fraction, with the smallest codes.

    Raises:
        ExportError: values that are not finite, or differ by more than 2^38.
    """
    array = numpy.asarray(values, numpy.float64)
    if not numpy.isfinite(array).all():
        raise ExportError("holds values that are not finite")
    mantissas, exponents = numpy.frexp(array)
    whole = numpy.round(numpy.ldexp(mantissas, FLOAT32_BITS)).astype(numpy.int64)
    used = whole != 0
    if not used.any():
        return numpy.zeros(array.shape, numpy.int64), 0
    lowest = whole & -whole  # the lowest bit that is set
    trailing = numpy.where(used, numpy.log2(numpy.where(used, lowest, 1)).astype(numpy.int64), 0)
    least = int((exponents - FLOAT32_BITS + trailing)[used].min())
    shift = exponents - FLOAT32_BITS - least
    if int(shift[used].max()) > MOST_BITS - FLOAT32_BITS:
        raise ExportError("holds values of too different sizes for one fixed-point format")
    codes = numpy.where(shift >= 0, whole << numpy.maximum(shift, 0), whole >> numpy.maximum(-shift, 0))
    return numpy.where(used, codes, 0), -least


def rounded_division(numerator: Codes, denominator: int, half_away: bool) -> Codes:
    """The nearest whole number of a quotient; of two equally near ones the even one, or the one away from 0."""
    if denominator == 1:
        return numerator
    large = 2 * denominator > 1 << MOST_BITS  # more than an int64 holds
    found = _rounded_division(numerator.astype(object) if large else numerator, denominator, half_away)
    whole: Codes = found.astype(numpy.int64)
    return whole


def _rounded_division(numerator: Any, denominator: int, half_away: bool) -> Any:
    """`rounded_division` of any whole numbers."""
    if half_away:
        return numpy.sign(numerator) * ((2 * numpy.abs(numerator) + denominator) // (2 * denominator))
    quotient = numerator // denominator
    rest = numerator - quotient * denominator
    up = (2 * rest > denominator) | ((2 * rest == denominator) & (quotient % 2 == 1))
    return quotient + up


def aligned(formats: tuple[Format, ...]) -> tuple[int, int, tuple[int, ...]]:
    """(fraction, divisor, factors): what codes of several formats are multiplied with to mean the same."""
    fraction = max(form.fraction for form in formats)
    divisor = math.lcm(*(form.divisor for form in formats))
    factors = tuple((1 << (fraction - form.fraction)) * (divisor // form.divisor) for form in formats)
    return fraction, divisor, factors
