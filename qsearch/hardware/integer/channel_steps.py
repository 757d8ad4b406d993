"""Batch normalization and the quantizer behind it as thresholds of each channel, to the bit of Keras' float32.

A rounded product and a rounded sum still only rise or only fall, so that a channel steps where halving finds it; the
thresholds are taken from the very layers, which round as they do. (FINN: Umuroglu et al. 2017,
doi:10.1145/3020078.3021744.)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy

from qsearch.errors import ExportError
from qsearch.hardware.integer.chain import Made
from qsearch.hardware.integer.formats import Codes, Format, dyadic
from qsearch.hardware.integer.operations import ChannelThresholds
from qsearch.hardware.integer.steps import Function

MOST_LEVELS = 256
_PROBES = 512


def channel_rule(function: Function, channels: int, form: Format, most: int = MOST_LEVELS) -> Made | None:
    """The thresholds of a function that has an own form in each channel; None where there are none.

    Args:
        function: of float32 values, (any number, channels) in and out.
        most: levels on the grid that all channels have in common.
    """
    even = numpy.linspace(form.least, form.greatest, _PROBES).round().astype(numpy.int64)
    probes = numpy.repeat(even[:, None], channels, axis=1)
    try:
        wanted, fraction = dyadic(_values(function, probes, form))
    except ExportError:
        return None
    least, greatest = int(wanted.min()), int(wanted.max())
    if greatest - least >= most:
        return None
    rising = wanted[-1] >= wanted[0]
    levels = numpy.arange(least, greatest + 1)
    table = numpy.where(rising[:, None], levels, levels[::-1])
    rule = ChannelThresholds(
        first_codes(lambda codes: _codes(function, codes, form, fraction), table, rising, form), table
    )
    near = rule.thresholds.T
    probes = numpy.clip(numpy.concatenate([near - 1, near, near + 1, probes]), form.least, form.greatest)
    if not numpy.array_equal(rule(probes), _codes(function, probes, form, fraction)):
        return None
    return rule, Format(fraction=fraction, least=least, greatest=greatest)


def first_codes(levels_of: Callable[[Codes], Codes], table: Codes, rising: numpy.ndarray, form: Format) -> Codes:
    """By channel and step the first code behind it, found by halving; one more than the greatest where there is none.

    Args:
        levels_of: codes (any number, channels) to levels.
        table: the levels of each channel in the order in which it goes through them, (channels, levels).
        rising: for each channel, whether it rises; else it falls.
    """
    steps = table[:, 1:].T
    low = numpy.full(steps.shape, form.least - 1, numpy.int64)  # before the step
    high = numpy.full(steps.shape, form.greatest + 1, numpy.int64)  # behind it
    while ((high - low) > 1).any():
        middle = (low + high) // 2
        given = levels_of(numpy.clip(middle, form.least, form.greatest))
        behind = numpy.where(rising, given >= steps, given <= steps)
        open_ = high - low > 1
        low, high = numpy.where(open_ & ~behind, middle, low), numpy.where(open_ & behind, middle, high)
    return numpy.ascontiguousarray(high.T)


def _values(function: Function, codes: Codes, form: Format) -> numpy.ndarray:
    return numpy.asarray(function(form.values(codes).astype(numpy.float32)), numpy.float32)


def _codes(function: Function, codes: Codes, form: Format, fraction: int) -> Codes:
    scaled = numpy.ldexp(_values(function, codes, form).astype(numpy.float64), fraction)
    whole: Codes = numpy.round(scaled).astype(numpy.int64)
    return numpy.where(scaled == whole, whole, numpy.iinfo(numpy.int64).max)  # on another grid: no rule
