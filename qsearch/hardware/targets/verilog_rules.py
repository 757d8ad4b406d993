"""Functions of one element that rise or fall in steps: an adder, comparisons or a table, whichever is smallest.

A quantizer, with the batch normalization before it, is a staircase of whole numbers. Instead of 24 bits of a float's
factor, the shortest factor is taken that puts every step where it belongs, which is proven by looking at each of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy

from qsearch.errors import ExportError
from qsearch.hardware.integer.formats import FLOAT32_BITS, Codes, Format
from qsearch.hardware.integer.operations import Clamp, Operation, Scale, Thresholds, Uniform
from qsearch.hardware.targets.verilog_numbers import (
    Element,
    add,
    any_bit,
    both,
    clip,
    digits_of,
    ends,
    floored,
    is_negative,
    looked_up,
    low_bits,
    plus,
    step_of,
    times,
    total,
    width,
)

_MOST_LEVELS = 2**16
_MOST_COMPARISONS = 2**8
_MOST_SHIFT = 40
_LUT, _MOST_ADDRESS = 6, 12
"""Inputs of a look-up table of an FPGA, and bits of the largest table that is made of them."""
_INT64 = 62
_NEVER = 2**62
"""The cost of a way that there is not."""

Chain = Sequence[Operation]
"""Scale and Clamp, as many as there are, then a Uniform or Thresholds."""


@dataclass(frozen=True)
class Affine:
    """floor((x · factor + offset) / 2^shift): the level, before it is cut off at both ends."""

    factor: int
    offset: int
    shift: int


@dataclass(frozen=True, eq=False)
class Staircase:
    """levels[how many thresholds are not above x], or above −x where it falls.

    Attributes:
        slope: levels for each step of x, where levels are evenly spaced.
    """

    thresholds: Codes
    levels: Codes
    falling: bool
    slope: Fraction | None

    @cached_property
    def affine(self) -> Affine | None:
        """The one with the shortest factor that takes every step where it should, None where there is none."""
        count = len(self.thresholds)
        if self.slope is None or not self.slope or count < 2:
            return None
        numbers = numpy.arange(1, count + 1, dtype=numpy.int64)
        reach = max(int(numpy.abs(self.thresholds).max()), 1).bit_length() + 1
        for shift in range(_MOST_SHIFT):
            exact = self.slope * (1 << shift)
            for factor in sorted({math.floor(exact), math.ceil(exact)}):
                if factor < 1:
                    continue
                if factor >= 1 << FLOAT32_BITS or max(reach + factor.bit_length(), count.bit_length() + shift) > _INT64:
                    return None
                least = int(((numbers << shift) - factor * self.thresholds).max())
                greatest = int(((numbers << shift) - factor * (self.thresholds - 1)).min()) - 1
                if least <= greatest:
                    return Affine(factor, _roundest(least, greatest) + (int(self.levels[0]) << shift), shift)
        return None


def staircase_of(chain: Chain, form: Format, channel: int) -> Staircase | None:
    """The staircase of a chain on codes of a format; None where it has too many steps to look at each."""
    factor = _factor_of(chain, channel)
    sign = -1 if factor < 0 else 1
    inner = [_of_channel(operation, channel) for operation in chain[:-1]]
    last = chain[-1]

    def level(codes: Codes) -> Codes:
        found = sign * codes
        for operation in inner:
            found = operation(found)
        if isinstance(last, Thresholds):
            return numpy.searchsorted(last.thresholds, found, side="right").astype(numpy.int64)
        return last(found)

    low, high = sorted((sign * form.least, sign * form.greatest))
    first, end = (int(code) for code in level(numpy.array([low, high], numpy.int64)))
    if end - first > _MOST_LEVELS:
        return None
    thresholds = _steps(level, numpy.arange(first + 1, end + 1, dtype=numpy.int64), low, high)
    if isinstance(last, Thresholds):
        return Staircase(thresholds, last.levels[first : end + 1].astype(numpy.int64), sign < 0, None)
    assert isinstance(last, Uniform)
    slope = abs(factor) * Fraction(2) ** last.shift / last.divisor
    return Staircase(thresholds, numpy.arange(first, end + 1, dtype=numpy.int64), sign < 0, slope)


def climbed(x: Element, stairs: Staircase, exact: tuple[int, Callable[[], Element]] | None = None) -> Element:
    """The level of an element.

    Args:
        exact: the cost of another way, and the way.
    """
    if isinstance(x, int):
        return int(stairs.levels[numpy.searchsorted(stairs.thresholds, -x if stairs.falling else x, side="right")])
    a = times(x, -1) if stairs.falling else x
    low, high = ends(a)
    first, last = (int(found) for found in numpy.searchsorted(stairs.thresholds, [low, high], side="right"))
    thresholds, levels = stairs.thresholds[first:last], stairs.levels[first : last + 1]
    if not len(thresholds):
        return int(levels[0])
    ways = [_comparisons(a, thresholds, levels), _table(a, thresholds, levels)]
    if stairs.affine is not None:
        ways.append(_adder(a, stairs.affine, levels))
    if exact is not None:
        ways.append(exact)
    cost, way = min(ways, key=lambda way: way[0])
    if cost >= _NEVER:
        raise ExportError(
            f"rounds {width(a)} bits to {len(levels)} levels by a rule that no circuit is made of; give the "
            "quantizer, or what it reads, fewer bits"
        )
    return way()


def applied(x: Element, chain: Chain, channel: int) -> Element:
    """A chain without Thresholds, one operation after another."""
    found = x
    for operation in chain:
        match operation:
            case Scale():
                factor, offset = _scale_of(operation, channel)
                found = plus(times(found, factor), offset)
            case Clamp(least=least, greatest=greatest):
                found = clip(found, least, greatest)
            case Uniform():
                found = rounded(found, operation)
    return found


def applied_cost(x: Element, chain: Chain, channel: int) -> int:
    """About how many look-up tables `applied` takes."""
    bits = width(x)
    found = 0
    for operation in chain:
        if isinstance(operation, Scale):
            factor, offset = _scale_of(operation, channel)
            bits += abs(factor).bit_length()
            found += len(digits_of(factor)) * bits + (bits if offset else 0)
        elif isinstance(operation, Uniform):
            found += bits + 2 * _bits(operation.least, operation.greatest)
    return found


def rounded(x: Element, rule: Uniform) -> Element:
    """A rule without a divisor, by its own arithmetic.

    Raises:
        ExportError: it divides.
    """
    first, last = (int(level) for level in rule(numpy.array(ends(x), numpy.int64)))
    if first == last:
        return first
    if rule.divisor != 1:
        raise ExportError(
            f"divides by {rule.divisor} into more than {_MOST_LEVELS} levels, which is too many to prove; give the "
            "quantizer fewer bits, or pool over an area that is a power of two"
        )
    shift = -rule.shift
    if shift <= 0 or step_of(x) >= 1 << shift:
        return clip(floored(x, shift), rule.least, rule.greatest)
    half = 1 << (shift - 1)
    if rule.half_away:  # one less below 0, so that halves fall to the number that is farther from it
        found = floored(plus(add(x, times(is_negative(x), -1)), half), shift)
    else:  # halves go up, and one up too far where the result is odd: its lowest bit is dropped
        raised = plus(x, half)
        up = floored(raised, shift)
        odd = up & 1 if isinstance(up, int) else low_bits(up, 1)
        rest = raised % (1 << shift) if isinstance(raised, int) else low_bits(raised, shift)
        found = add(times(floored(up, 1), 2), both(any_bit(rest), odd))
    return clip(found, rule.least, rule.greatest)


def _steps(level: Callable[[Codes], Codes], wanted: Codes, low: int, high: int) -> Codes:
    """The least x that reaches each level, by halving."""
    below = numpy.full(len(wanted), low, numpy.int64)
    reached = numpy.full(len(wanted), high, numpy.int64)
    while len(wanted) and int((reached - below).max()) > 1:
        middle = below + (reached - below) // 2
        there = level(middle) >= wanted
        reached, below = numpy.where(there, middle, reached), numpy.where(there, below, middle)
    return reached


def _adder(a: Element, affine: Affine, levels: Codes) -> tuple[int, Callable[[], Element]]:
    bits = width(a) + affine.factor.bit_length()
    least, greatest = int(levels[0]), int(levels[-1])
    cost = (len(digits_of(affine.factor)) - 1) * bits + bits // 2 + 2 * _bits(least, greatest)

    def made() -> Element:
        summed = plus(times(a, affine.factor), affine.offset)
        return clip(floored(summed, affine.shift), least, greatest)

    return cost, made


def _comparisons(a: Element, thresholds: Codes, levels: Codes) -> tuple[int, Callable[[], Element]]:
    shift, kept = _dropped(a, thresholds)
    cost = len(kept) * max(width(a) - shift, 1) + 2 * (len(kept) - 1)
    if len(kept) > _MOST_COMPARISONS:
        cost = _NEVER

    def made() -> Element:
        coarse, last = floored(a, shift), int(levels[-1])
        parts: list[Element] = []
        for threshold, rise in zip(kept.tolist(), numpy.diff(levels).tolist(), strict=True):
            parts.append(times(is_negative(plus(coarse, -threshold)), -rise))
        return plus(total(parts), last)

    return cost, made


def _table(a: Element, thresholds: Codes, levels: Codes) -> tuple[int, Callable[[], Element]]:
    shift, kept = _dropped(a, thresholds)
    low, high = (end >> shift for end in ends(a))
    near = max(low, int(kept[0]) - 1), min(high, int(kept[-1]))
    whole, part = _bits(low, high), (near[1] - near[0]).bit_length()
    cuts = whole > _LUT and part < whole
    address = part if cuts else whole
    out = _bits(int(levels.min()), int(levels.max()))
    cost = out * (1 << max(address - _LUT, 0)) + (2 * whole if cuts else 0)
    if address > _MOST_ADDRESS or out > FLOAT32_BITS:
        cost = _NEVER

    def made() -> Element:
        coarse = floored(a, shift)
        if cuts:
            coarse = clip(coarse, *near)
        least, greatest = ends(coarse)
        if isinstance(coarse, int):
            return int(levels[numpy.searchsorted(kept, coarse, side="right")])
        addresses = numpy.arange(least, greatest + 1, step_of(coarse))
        return looked_up(coarse, levels[numpy.searchsorted(kept, addresses, side="right")])

    return cost, made


def _dropped(a: Element, thresholds: Codes) -> tuple[int, Codes]:
    """(how many low bits say nothing, thresholds of what is left)."""
    step = step_of(a)
    multiples = -(-thresholds // step) * step
    bits = int(numpy.bitwise_or.reduce(multiples))
    shift = (bits & -bits).bit_length() - 1 if bits else step.bit_length() - 1
    return shift, multiples >> shift


def _roundest(least: int, greatest: int) -> int:
    """The number of a range that has the most zeros at its end."""
    if least <= 0 <= greatest:
        return 0
    for zeros in range(max(abs(least), abs(greatest)).bit_length(), -1, -1):
        found = -(-least >> zeros) << zeros
        if found <= greatest:
            return found
    return least


def _factor_of(chain: Chain, channel: int) -> int:
    """The product of the factors of a channel."""
    found = 1
    for operation in chain:
        if isinstance(operation, Scale):
            found *= _scale_of(operation, channel)[0]
    return found


def _of_channel(operation: Operation, channel: int) -> Operation:
    if not isinstance(operation, Scale):
        return operation
    factor, offset = _scale_of(operation, channel)
    return Scale(numpy.array([factor]), numpy.array([offset]))


def _scale_of(scale: Scale, channel: int) -> tuple[int, int]:
    factors, offsets = scale.multiplier.reshape(-1), None if scale.offset is None else scale.offset.reshape(-1)
    factor = int(factors[channel if len(factors) > 1 else 0])
    return factor, 0 if offsets is None else int(offsets[channel if len(offsets) > 1 else 0])


def _bits(least: int, greatest: int) -> int:
    return Format(fraction=0, least=least, greatest=greatest).bits
