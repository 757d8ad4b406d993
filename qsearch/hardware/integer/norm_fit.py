"""Batch normalization as x · factor + shift in few bits, whose every level behind the quantizer is Keras'.

Keras rounds the product and the sum to float32; exact ones tip a level now and then, and have more bits than a level
needs. With t the first code behind a step of Keras' own layers, and e the first sum behind it, a rising factor f asks
for f · t + shift >= e > f · (t - 1) + shift. The factors of the fewest bits are taken that leave each channel a shift.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy

from qsearch.errors import ExportError
from qsearch.hardware.integer.chain import Made
from qsearch.hardware.integer.channel_steps import first_codes
from qsearch.hardware.integer.formats import Codes, Format
from qsearch.hardware.integer.operations import ChannelThresholds, Scale

_BITS = (8, 10, 12, 14, 16, 20, 24, 32, 40)
"""Of the largest factor, tried in this order; then those that Keras' own factor has."""
_FAR = 1 << 62


def fitted(norm: Made, rule_on: Callable[[Format], Made], wanted: Made, form: Format) -> Made:
    """The product and the sum of a norm with the wanted steps; as it is where there are none.

    Args:
        norm: the product and the sum as Keras' factors have them.
        rule_on: the quantizer behind them, on codes of a format.
        wanted: thresholds of both together, on the codes before them.
        form: of these codes.
    """
    (scale, sums), (steps, levels) = norm, wanted
    assert isinstance(scale, Scale)
    assert isinstance(steps, ChannelThresholds)
    channels = len(steps.thresholds)
    offset = numpy.zeros(1, numpy.int64) if scale.offset is None else scale.offset
    factors, shifts = (
        [int(one) for one in numpy.broadcast_to(part, (channels,))] for part in (scale.multiplier, offset)
    )
    length = max(abs(factor).bit_length() for factor in factors)
    for places in (*(length - bits for bits in _BITS if bits < length), 0):
        short = [_rounded(factor, places) for factor in factors]
        near = [_rounded(shift, places) for shift in shifts]
        try:
            made = _shifted(short, near, sums.fraction - places, rule_on, steps, levels, form)
        except ExportError:  # more bits than can be computed with
            continue
        if made is not None:
            return made
    return norm


def _rounded(number: int, places: int) -> int:
    return number if places == 0 else (number + (1 << (places - 1))) >> places


def _shifted(
    factors: Sequence[int],
    near: Sequence[int],
    fraction: int,
    rule_on: Callable[[Format], Made],
    steps: ChannelThresholds,
    levels: Format,
    form: Format,
) -> Made | None:
    """Factors with the shifts nearest to others that give every channel its steps; None where there are none."""
    before = _reach(factors, near, fraction, form)
    edges = _edges(rule_on(before), before, levels)
    if edges is None:
        return None
    shifts = []
    for factor, shift, firsts, table in zip(factors, near, steps.thresholds, steps.levels, strict=True):
        upper = numpy.maximum(table[1:], table[:-1]) - levels.least
        low, high = _bounds(factor, firsts, edges[upper], table, form)
        if low > high:
            return None
        shifts.append(min(max(shift, low), high))
    made = _reach(factors, shifts, fraction, form)
    return Scale(numpy.array(factors, numpy.int64), numpy.array(shifts, numpy.int64)), made


def _reach(factors: Sequence[int], shifts: Sequence[int], fraction: int, form: Format) -> Format:
    """The format of the sums."""
    pairs = list(zip(factors, shifts, strict=True))
    ends = [factor * end + shift for factor, shift in pairs for end in (form.least, form.greatest)]
    return Format(fraction=fraction, least=min(ends), greatest=max(ends), divisor=form.divisor)


def _edges(rule: Made, sums: Format, levels: Format) -> Codes | None:
    """By level the first sum that is on it or above; None where the rule falls, or has a coarser grid."""
    operation, given = rule
    places = given.fraction - levels.fraction
    ends = operation(numpy.array([sums.least, sums.greatest]))
    if places < 0 or ends[0] > ends[1]:
        return None
    grid = numpy.arange(levels.least, levels.greatest + 1) << places
    table = numpy.concatenate([grid[:1], grid])[None]
    edges: Codes = first_codes(operation, table, numpy.array([True]), sums)[0]
    return edges


def _bounds(factor: int, firsts: Codes, edges: Codes, table: Codes, form: Format) -> tuple[int, int]:
    """The least and the greatest shift that give a channel its steps."""
    rises = len(table) < 2 or bool(table[1] >= table[0])
    low, high = -_FAR, _FAR
    for first, edge in zip(firsts.tolist(), edges.tolist(), strict=True):
        above, below = (first, first - 1) if rises else (first - 1, first)
        if form.least <= above <= form.greatest:
            low = max(low, edge - factor * above)
        if form.least <= below <= form.greatest:
            high = min(high, edge - 1 - factor * below)
    return low, high
