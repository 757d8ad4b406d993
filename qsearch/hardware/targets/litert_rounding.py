"""How LiteRT's kernels round sums to int8, and the numbers that make them give a rule exactly.

A kernel computes q = round(scale · (Σ kernel·x + bias)) with a float32 scale for every channel. The default path
(XNNPACK) multiplies in float32 and rounds halves to even; reference kernels and TFLite Micro multiply by a 31-bit
integer, round that, and round again after the shift, halves away from zero. A rule that only rises is given exactly
where it is on both sides of every one of its steps, of which int8 has at most 255.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy
from numpy.typing import NDArray

from qsearch.hardware.integer.formats import Codes

Rule = Callable[[Codes], Codes]
"""Sums (n, channels) -> codes."""
Floats = NDArray[numpy.float64]
DEFAULT, REFERENCE, DENSE_REFERENCE = "default", "reference", "reference of dense layers"
_INT32 = 2**31
_WEIGHT = 127
"""The greatest weight; -128 is left out, as TFLite asks for."""
_HALVINGS = 150
"""Steps of a search that leaves two thirds each time."""
_NEIGHBOURS = 4
_SMALLEST, _LARGEST = 2.0**-31, 2.0**7
"""Scales that every kernel takes."""
_TRIED, _PARTS = 400, (0.5, 0.3, 0.7, 0.1, 0.9, 0.2, 0.8, 0.4, 0.6)
"""Pairs of factor and bias that are tried, and where between the scales that are right for them."""
_OFFSETS = 3
"""Biases that are tried on both sides of the one that is nearest to the rule."""


@dataclass(frozen=True, kw_only=True)
class Steps:
    """A rule of one channel on whole numbers from `low` to `high`, as where it steps.

    Attributes:
        at_least: (sums, codes): there the rule gives these codes or larger ones.
        at_most: and here these or smaller ones.
        first, last: the codes at both ends.
        sign: -1 where the rule falls with the sums; then `low` to `high` are the negative ones.
    """

    at_least: tuple[Codes, Codes]
    at_most: tuple[Codes, Codes]
    low: int
    high: int
    first: int
    last: int
    sign: int


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What a channel is computed with: code = round(scale · (factor · sum + bias)).

    Attributes:
        reach: the codes at both ends, before anything is cut off.
    """

    factor: int
    bias: int
    scale: float
    reach: tuple[int, int]


def rounded(kernels: str, sums: Codes, scale: Floats | float) -> Codes:
    """What kernels make of int32 sums, before zero point and saturation."""
    if kernels == DEFAULT:
        products = sums.astype(numpy.float32) * numpy.asarray(scale, numpy.float32)
        return numpy.rint(products).astype(numpy.int64)
    mantissas, exponents = numpy.frexp(numpy.asarray(scale, numpy.float64))
    whole = numpy.round(mantissas * _INT32).astype(numpy.int64)
    if kernels == DENSE_REFERENCE:
        return _away(sums * whole, 31 - exponents)
    shifted = (sums << numpy.maximum(exponents, 0)) * whole
    doubled = shifted + numpy.where(shifted >= 0, 1 << 30, 1 - (1 << 30))
    high = numpy.where(doubled >= 0, doubled >> 31, -((-doubled) >> 31))
    return _away(high, numpy.maximum(-exponents, 0))


def _away(numbers: Codes, places: NDArray[numpy.integer[Any]]) -> Codes:
    """numbers / 2^places, halves away from zero."""
    half = numpy.where(places > 0, numpy.int64(1) << numpy.maximum(places - 1, 0), 0)
    found: Codes = numpy.sign(numbers) * ((numpy.abs(numbers) + half) >> places)
    return found


def steps_of(rule: Rule, low: Codes, high: Codes, least: int, greatest: int) -> list[Steps]:
    """The steps of a rule that rises or falls throughout, channel by channel, on sums from `low` to `high`."""
    ends = rule(low[None])[0], rule(high[None])[0]
    sign = numpy.where(ends[0] > ends[1], -1, 1)
    start, stop = numpy.where(sign < 0, -high, low), numpy.where(sign < 0, -low, high)
    first, last = numpy.minimum(*ends), numpy.maximum(*ends)
    levels = numpy.arange(least + 1, greatest + 1)[:, None]
    before = numpy.broadcast_to(start - 1, (len(levels), len(low))).copy()  # there the rule is below the level
    at = numpy.broadcast_to(stop + 1, before.shape).copy()  # and here at it
    while ((at - before) > 1).any():
        middle = (before + at) // 2
        inside = numpy.clip(middle, start, stop)
        reached = rule(inside * sign) >= levels
        at, before = numpy.where(reached, middle, at), numpy.where(reached, before, middle)
    found = []
    for channel in range(len(low)):
        place = at[:, channel]
        crossed = (place > start[channel]) & (place <= stop[channel])
        codes = levels[crossed, 0]
        over, under = [(place[crossed], codes)], [(place[crossed] - 1, codes - 1)]
        if first[channel] > least:
            over.append((start[channel : channel + 1], first[channel : channel + 1]))
        if last[channel] < greatest:
            under.append((stop[channel : channel + 1], last[channel : channel + 1]))
        found.append(
            Steps(
                at_least=_joined(over),
                at_most=_joined(under),
                low=int(start[channel]),
                high=int(stop[channel]),
                first=int(first[channel]),
                last=int(last[channel]),
                sign=int(sign[channel]),
            )
        )
    return found


def _joined(parts: list[tuple[Codes, Codes]]) -> tuple[Codes, Codes]:
    return numpy.concatenate([sums for sums, _ in parts]), numpy.concatenate([codes for _, codes in parts])


def fitted(steps: Steps, line: tuple[Fraction, Fraction] | None, largest: int, kernels: Sequence[str]) -> Fit | None:
    """A factor, bias and scale with which every one of the kernels gives the rule; None where none was found.

    Args:
        line: slope and offset of the codes over the sums, where the rule is a rounded line.
        largest: the greatest weight; factors keep it within int8.
    """
    if steps.first == steps.last:
        return Fit(factor=0, bias=steps.first, scale=1.0, reach=(steps.first, steps.first))
    most = max(_WEIGHT // max(largest, 1), 1)
    for slope, offset in _lines(steps, line):
        for candidates in (_exact(slope, offset, most), _between(steps, slope, offset, most)):
            for candidate in candidates:
                fit = _held(steps, *candidate, kernels)
                if fit is not None:
                    return fit
    return None


def _lines(steps: Steps, line: tuple[Fraction, Fraction] | None) -> Iterator[tuple[Fraction, Fraction]]:
    """The rule's own line, where it has one, and one between its steps; both rise."""
    if line is not None and line[0] != 0:
        yield abs(line[0]), line[1]
    yield _line(steps)


def _line(steps: Steps) -> tuple[Fraction, Fraction]:
    """A rising line between the steps."""
    sums, codes = steps.at_least
    if sums.min() == sums.max():  # one step, of any height: steep enough to be on both levels at once
        height = int(codes.max() - steps.at_most[1].min())
        middle = Fraction(int(codes.max() + steps.at_most[1].min()), 2)
        return Fraction(2 * height), middle - 2 * height * Fraction(2 * int(sums[0]) - 1, 2)
    return _middle(steps)


def _middle(steps: Steps) -> tuple[Fraction, Fraction]:
    """The rising line that is farthest from every step: the room that a slope leaves has one maximum."""
    (over, least), (under, most) = steps.at_least, steps.at_most

    def offsets(slope: float) -> tuple[float, float]:
        return float((least - 0.5 - slope * over).max()), float((most + 0.5 - slope * under).min())

    low, high = 0.0, float(steps.last - steps.first + 1)
    for _ in range(_HALVINGS):
        third = (high - low) / 3
        rooms = [top - bottom for bottom, top in (offsets(low + third), offsets(high - third))]
        low, high = (low + third, high) if rooms[0] < rooms[1] else (low, high - third)
    slope = (low + high) / 2
    return Fraction(slope), Fraction(sum(offsets(slope)) / 2)


def _exact(slope: Fraction, offset: Fraction, most: int) -> Iterator[tuple[int, int, float]]:
    """Factors with which the bias is a whole number; scales beside the exact one tip halves to one side.

    With a factor of 2 the first of the reference kernels' two roundings has nothing to round.
    """
    for factor in range(1, min(most, 16) + 1):
        bias = factor * offset / slope
        if bias.denominator == 1:
            scale = numpy.float32(float(slope / factor))
            for near in (
                scale,
                numpy.nextafter(scale, numpy.float32(numpy.inf)),
                numpy.nextafter(scale, numpy.float32(0)),
            ):
                yield factor, int(bias), float(near)


def _between(steps: Steps, slope: Fraction, offset: Fraction, most: int) -> Iterator[tuple[int, int, float]]:
    """Factors and biases for which there are scales on the right side of every step, those with most room first."""
    factors = numpy.arange(1, most + 1)
    middles = [round(int(factor) * offset / slope) for factor in factors]
    around = numpy.arange(-_OFFSETS, _OFFSETS + 1)
    biases = (numpy.array(middles)[:, None] + around).reshape(-1)
    factors = factors.repeat(len(around))
    low, high = _scales(steps, factors, biases)
    room = high / low
    for index in numpy.argsort(-room)[:_TRIED]:
        if room[index] >= 1:  # 1 where halves on both sides leave one scale
            for part in _PARTS if room[index] > 1 else _PARTS[:1]:
                scale = low[index] + (high[index] - low[index]) * part
                yield int(factors[index]), int(biases[index]), float(numpy.float32(scale))


def _scales(steps: Steps, factors: Codes, biases: Codes) -> tuple[Floats, Floats]:
    """Between which scales every step is where it should be."""
    low, high = numpy.full(len(factors), _SMALLEST), numpy.full(len(factors), _LARGEST)
    for (sums, codes), side, over in ((steps.at_least, -0.5, True), (steps.at_most, 0.5, False)):
        values = (factors[:, None] * sums + biases[:, None]).astype(numpy.float64)
        wanted = codes + side
        zero = values == 0
        bounds = wanted / numpy.where(zero, 1.0, values)
        rising = (values > 0) == over  # the scale must be at least the bound
        low = numpy.maximum(low, numpy.where(rising & ~zero, bounds, 0).max(axis=1, initial=0))
        high = numpy.minimum(high, numpy.where(~rising & ~zero, bounds, _LARGEST).min(axis=1, initial=_LARGEST))
        missed = zero & ((wanted > 0) if over else (wanted < 0))
        high = numpy.where(missed.any(axis=1), 0.0, high)
    return low, high


def _held(steps: Steps, factor: int, bias: int, scale: float, kernels: Sequence[str]) -> Fit | None:
    """The fit, if every kernel gives the rule with it."""
    if not _SMALLEST <= scale <= _LARGEST:
        return None
    ends = numpy.array([factor * steps.low + bias, factor * steps.high + bias])
    if numpy.abs(ends).max() * max(scale, 1.0) * 2 >= _INT32:
        return None
    reach = []
    for kernel in kernels:
        for (sums, codes), over in ((steps.at_least, True), (steps.at_most, False)):
            given = rounded(kernel, factor * sums + bias, scale)
            if (given < codes).any() if over else (given > codes).any():
                return None
        reach.append(rounded(kernel, ends, scale))
    found = numpy.array(reach)
    return Fit(factor=factor * steps.sign, bias=bias, scale=scale, reach=(int(found.min()), int(found.max())))


@dataclass(frozen=True, kw_only=True)
class RealFit:
    """What a channel is computed with in float32: code = round(slope · sum + offset).

    Attributes:
        reach: the codes at both ends, before anything is cut off.
    """

    slope: float
    offset: float
    reach: tuple[int, int]


def fitted_real(steps: Steps, line: tuple[Fraction, Fraction] | None, kernels: Sequence[str]) -> RealFit | None:
    """A float32 factor and offset with which float32 gives the rule; None where none was found."""
    if steps.first == steps.last:
        return RealFit(slope=0.0, offset=float(steps.first), reach=(steps.first, steps.first))
    for slope, offset in _lines(steps, line):
        for factor, shift in itertools.product(_beside(slope), _beside(offset)):
            fit = _held_real(steps, factor, shift, kernels)
            if fit is not None:
                return fit
    return None


def _beside(number: Fraction) -> list[numpy.float32]:
    """The float32 numbers around a number, the nearest first."""
    near = numpy.float32(float(number))
    found = [near]
    for _ in range(_NEIGHBOURS if near else 0):
        found += [numpy.nextafter(found[-2 if len(found) > 1 else 0], numpy.float32(numpy.inf))]
        found += [numpy.nextafter(found[-2 if len(found) > 2 else 0], numpy.float32(-numpy.inf))]
    return found


def _held_real(steps: Steps, slope: numpy.float32, offset: numpy.float32, kernels: Sequence[str]) -> RealFit | None:
    reach: list[int] = []
    for kernel in kernels:
        for (sums, codes), over in ((steps.at_least, True), (steps.at_most, False)):
            given = _real(kernel, sums, slope, offset)
            if (given < codes).any() if over else (given > codes).any():
                return None
        reach += _real(kernel, numpy.array([steps.low, steps.high]), slope, offset).tolist()
    if max(abs(code) for code in reach) >= _INT32 >> 1:  # kernels round to int32 before they cut off
        return None
    return RealFit(slope=float(slope) * steps.sign, offset=float(offset), reach=(min(reach), max(reach)))


def _real(kernels: str, sums: Codes, slope: numpy.float32, offset: numpy.float32) -> Codes:
    values: NDArray[numpy.float32] = sums.astype(numpy.float32) * slope + offset
    if kernels == DEFAULT:
        return numpy.rint(values).astype(numpy.int64)
    wide = values.astype(numpy.float64)
    away: Codes = (numpy.sign(wide) * numpy.floor(numpy.abs(wide) + 0.5)).astype(numpy.int64)
    return away
