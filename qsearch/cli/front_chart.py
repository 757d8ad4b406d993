"""The trials of a run as a picture of characters: the metric against the goal's cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from qsearch.report.units import cost
from qsearch.search.front import Point, front

_NARROWEST, _LOWEST = 24, 3
"""Columns and rows of dots from which on there is something to see."""


@dataclass(frozen=True)
class Marks:
    """A character for a trial, one of the front, the best one, and the reference."""

    trial: str = "·"
    front: str = "o"
    best: str = "★"
    reference: str = "R"
    across: str = "─"
    up: str = "│"
    corner: str = "└"


UNICODE = Marks()
ASCII = Marks(trial=".", best="*", across="-", up="|", corner="+")


@dataclass(frozen=True, kw_only=True)
class Dots:
    """What is drawn.

    Attributes:
        trials: the metric and the cost of each completed trial.
        best: the index of the best one.
        reference: None as long as its metric is not known.
        maximize: whether more of the metric is better.
        unit: of costs.
    """

    trials: Sequence[tuple[float, float]]
    best: int | None
    reference: tuple[float, float] | None
    maximize: bool = True
    unit: str = "pJ"


def chart(dots: Dots, name: str, width: int, height: int, marks: Marks = UNICODE) -> list[str]:
    """Lines of a picture that fits; none where that is too small, or there is nothing to draw.

    Costs rise to the right by their logarithm, metrics upward.

    Args:
        name: of the metric.
        width, height: columns and lines at most.
    """
    points = [*dots.trials, *([dots.reference] if dots.reference is not None else [])]
    points = [(metric, pj) for metric, pj in points if math.isfinite(metric) and pj > 0]
    if not points:
        return []
    metrics, costs = [metric for metric, _ in points], [math.log(pj) for _, pj in points]
    top, bottom = _number(max(metrics)), _number(min(metrics))
    margin = max(len(top), len(bottom))
    columns, rows = width - margin - 2, height - 3
    if columns < _NARROWEST or rows < _LOWEST:
        return []
    grid = [[" "] * columns for _ in range(rows)]

    def put(point: tuple[float, float], mark: str) -> None:
        if math.isfinite(point[0]) and point[1] > 0:
            row = _place(point[0], min(metrics), max(metrics), rows)
            grid[rows - 1 - row][_place(math.log(point[1]), min(costs), max(costs), columns)] = mark

    members = front([Point(metric if dots.maximize else -metric, pj) for metric, pj in dots.trials])
    for trial in dots.trials:
        put(trial, marks.trial)
    for index in members:  # in place of what was put there before
        put(dots.trials[index], marks.front)
    if dots.reference is not None:
        put(dots.reference, marks.reference)
    if dots.best is not None:
        put(dots.trials[dots.best], marks.best)
    labels = {0: top, rows - 1: bottom}
    lines = [f"{labels.get(row, ''):>{margin}} {marks.up}{''.join(cells)}" for row, cells in enumerate(grid)]
    low, high = (cost(math.exp(one), dots.unit) for one in (min(costs), max(costs)))
    ends = low if low == high else f"{low}{high:>{columns - len(low)}}"
    legend = f"{marks.front} front, {marks.best} best, {marks.reference} reference"
    what = "energy" if dots.unit == "pJ" else dots.unit
    head = f"{name} against {what}: {marks.trial} trial, {legend}"
    return [
        head if len(head) <= width else f"{name}/{what}: {legend}",
        *lines,
        f"{'':>{margin}} {marks.corner}{marks.across * columns}",
        f"{'':>{margin}}  {ends}",
    ]


def _number(value: float) -> str:
    return f"{value:.4g}"


def _place(value: float, least: float, most: float, count: int) -> int:
    return 0 if most == least else round((value - least) / (most - least) * (count - 1))
