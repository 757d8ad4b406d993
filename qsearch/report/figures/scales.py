"""Numbers -> pixels, and the numbers that an axis names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

LOG_SPAN = 5.0
"""Greatest over least value from which an axis is logarithmic."""


@dataclass(frozen=True)
class Scale:
    """From [low, high] to [start, end]; ticks: what the axis names."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool
    ticks: tuple[float, ...]

    def __call__(self, value: float) -> float:
        """The place of a value; inside of the ends."""
        low, high = self.low, self.high
        if self.is_log:
            value, low, high = math.log10(max(value, low)), math.log10(low), math.log10(high)
        share = (value - low) / (high - low)
        return self.start + (self.end - self.start) * min(max(share, 0.0), 1.0)


def scale(values: Iterable[float], start: float, end: float, wanted: int = 6, from_zero: bool = False) -> Scale:
    """A linear scale over values, with round ends."""
    low, high = _ends(values)
    if from_zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if not low < high:
        room = abs(low) * 0.1 or 1.0
        low, high = (low, low + room) if from_zero and low == 0 else (low - room, high + room)
    step = _step((high - low) / wanted)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(round(index * step, 12) for index in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], start, end, False, ticks)


def cost_scale(values: Iterable[float], start: float, end: float) -> Scale:
    """A scale of costs: logarithmic where they span much, with room at both ends."""
    found = [value for value in values if math.isfinite(value)]
    low, high = _ends(found)
    if low <= 0 or high / low < LOG_SPAN:
        return scale(found, start, end)
    low, high = low / 1.15, high * 1.15
    return Scale(low, high, start, end, True, _log_ticks(low, high))


def _log_ticks(low: float, high: float) -> tuple[float, ...]:
    decades = math.log10(high / low)
    factors: Sequence[int] = (1, 2, 5) if decades < 2.5 else (1, 3) if decades < 4 else (1,)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = max(1, round((last - first) / 8))
    ticks = [
        float(f"{factor}e{power}")
        for power in range(first, last + 1, every if len(factors) == 1 else 1)
        for factor in factors
    ]
    return tuple(tick for tick in ticks if low <= tick <= high)


def _step(least: float) -> float:
    """The next of 1, 2, 2.5, 5, 10, 20, ... above."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= least * (1 - 1e-9))


def _ends(values: Iterable[float]) -> tuple[float, float]:
    found = [value for value in values if math.isfinite(value)]
    return (min(found), max(found)) if found else (0.0, 1.0)


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """Numbers as an axis shows them: all with as many decimals as their step needs."""
    if len(ticks) < 2:
        return [f"{tick:g}" for tick in ticks]
    step = min(abs(b - a) for a, b in pairwise(ticks))
    if max(abs(tick) for tick in ticks) >= 1e6 or step < 1e-6:
        return [f"{tick:.3g}" for tick in ticks]
    decimals = next((places for places in range(7) if abs(round(step, places) - step) < step * 1e-6), 7)
    return [f"{tick:,.{decimals}f}" for tick in ticks]
