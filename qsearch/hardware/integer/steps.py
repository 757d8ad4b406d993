"""An elementwise function of codes as a rule: rounding to a grid where it is that, else thresholds.

A quantizer, and whatever stands between it and the sum before, is a function of one whole number. Its rule is taken
from the very function that the layer computes, and held against it on codes around every step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from qsearch.errors import ExportError
from qsearch.hardware.integer.formats import Codes, Format, dyadic
from qsearch.hardware.integer.operations import Thresholds, Uniform

Function = Callable[[Any], Any]
"""float32 values -> float32 values, element by element."""

_ALL = 2**16
"""Ranges of codes up to this are looked at as a whole."""
_MOST_LEVELS = 2**12
_PROBES = 4096


def rule_of(name: str, function: Function, form: Format) -> tuple[Uniform | Thresholds, Format]:
    """The rule of a function on codes of a format, and the format that it gives.

    Raises:
        ExportError: a function whose values are on no grid, that is no step function, or looks at several values.
    """
    probes = _probes(form)
    values = _values(function, probes, form)
    small = numpy.argsort(numpy.abs(probes), kind="stable")[: len(probes) // 4 + 1]
    if not numpy.array_equal(_values(function, probes[small, None], form)[:, 0], values[small]):
        raise ExportError(
            f"{name}: rounds by a scale that it takes from all the values that it is given; give its quantizer a scale "
            "of its own, such as alpha=1.0"
        )
    try:
        _, fraction = dyadic(values)
    except ExportError as error:
        raise ExportError(f"{name}: {error}") from None
    rule = _uniform(function, form, fraction, probes, values)
    if rule is not None:
        return rule, Format(fraction=fraction, least=rule.least, greatest=rule.greatest)
    table = _thresholds(name, function, form, fraction, values)
    return table, Format(fraction=fraction, least=int(table.levels.min()), greatest=int(table.levels.max()))


def _uniform(function: Function, form: Format, fraction: int, probes: Codes, values: numpy.ndarray) -> Uniform | None:
    """The rounding rule that gives these values, if one does."""
    wanted = numpy.round(numpy.ldexp(values.astype(numpy.float64), fraction)).astype(numpy.int64)
    least, greatest = int(wanted.min()), int(wanted.max())
    for half_away in (False, True):
        rule = Uniform(fraction - form.fraction, form.divisor, least, greatest, half_away)
        if not numpy.array_equal(rule(probes), wanted):
            continue
        edges = _edges(rule, form)
        if numpy.array_equal(rule(edges), _codes(function, edges, form, fraction)):
            return rule
    return None


def _edges(rule: Uniform, form: Format) -> Codes:
    """Codes at the places where a rule steps, and the nearest beside them that float32 has."""
    if form.greatest - form.least < _ALL:
        return numpy.arange(form.least, form.greatest + 1)
    count = min(rule.greatest - rule.least, _MOST_LEVELS)
    levels = numpy.unique(numpy.linspace(rule.least, rule.greatest, count + 1).round())
    middles = numpy.ldexp(levels + 0.5, -(form.fraction + rule.shift)).astype(numpy.float32)
    near = [middles, *(numpy.nextafter(middles, numpy.float32(end)) for end in (-numpy.inf, numpy.inf))]
    return _held(numpy.ldexp(numpy.concatenate(near).astype(numpy.float64), form.fraction) * form.divisor, form)


def _thresholds(name: str, function: Function, form: Format, fraction: int, values: numpy.ndarray) -> Thresholds:
    """Where the function steps, found by halving: it must rise or fall throughout."""
    if form.greatest - form.least < _ALL:
        codes = numpy.arange(form.least, form.greatest + 1)
        given = _codes(function, codes, form, fraction)
        steps = numpy.flatnonzero(numpy.diff(given)) + 1
        return Thresholds(codes[steps], given[numpy.concatenate([[0], steps])])
    levels = numpy.unique(numpy.round(numpy.ldexp(values.astype(numpy.float64), fraction)).astype(numpy.int64))
    if len(levels) > _MOST_LEVELS:
        raise ExportError(
            f"{name}: has more than {_MOST_LEVELS} levels over {form.bits} bits of input, which is no table; "
            "give it fewer bits, or a quantizer with evenly spaced levels"
        )
    ends = _codes(function, numpy.array([form.least, form.greatest]), form, fraction)
    if ends[0] > ends[1]:
        levels = levels[::-1]
    rising = ends[0] <= ends[1]
    low = numpy.full(len(levels) - 1, form.least, numpy.int64)  # here the function is before the step
    high = numpy.full(len(levels) - 1, form.greatest, numpy.int64)  # and here behind it
    while ((high - low) > 1).any():
        middle = (low + high) // 2
        given = _codes(function, middle, form, fraction)
        behind = given >= levels[1:] if rising else given <= levels[1:]
        high, low = numpy.where(behind, middle, high), numpy.where(behind, low, middle)
    rule = Thresholds(high, levels)
    probes = _held(numpy.concatenate([high - 1, high, high + 1, _probes(form)]), form)
    if not numpy.array_equal(rule(probes), _codes(function, probes, form, fraction)):
        raise ExportError(f"{name}: is no step function that only rises or only falls; give it a quantizer that is")
    return rule


def _probes(form: Format) -> Codes:
    """Codes all over the range: every one of a short range."""
    if form.greatest - form.least < _ALL:
        return numpy.arange(form.least, form.greatest + 1)
    even = numpy.linspace(form.least, form.greatest, _PROBES).round().astype(numpy.int64)
    fine = numpy.arange(-_PROBES, _PROBES + 1)
    powers = numpy.array([sign << bit for sign in (1, -1) for bit in range(form.bits)], numpy.int64)
    return _held(numpy.concatenate([even, fine, powers, powers + 1, powers - 1]), form)


def _held(codes: numpy.ndarray, form: Format) -> Codes:
    """The nearest codes in the range whose values float32 holds: Keras sees no others."""
    whole = numpy.clip(numpy.round(codes.astype(numpy.float64)), form.least, form.greatest)
    values = numpy.ldexp(whole, -form.fraction).astype(numpy.float32)
    exact = numpy.ldexp(values.astype(numpy.float64), form.fraction)
    values = numpy.where(exact > form.greatest, numpy.nextafter(values, numpy.float32(-numpy.inf)), values)
    values = numpy.where(exact < form.least, numpy.nextafter(values, numpy.float32(numpy.inf)), values)
    held = numpy.round(numpy.ldexp(values.astype(numpy.float64), form.fraction))
    return numpy.unique(held[(held >= form.least) & (held <= form.greatest)].astype(numpy.int64))


def _values(function: Function, codes: Codes, form: Format) -> numpy.ndarray:
    return numpy.asarray(function(form.values(codes).astype(numpy.float32)), numpy.float32)


def _codes(function: Function, codes: Codes, form: Format, fraction: int) -> Codes:
    values = _values(function, codes, form).astype(numpy.float64)
    return numpy.round(numpy.ldexp(values, fraction)).astype(numpy.int64)
