"""Which layer hurts at which format: a heat map."""

from __future__ import annotations

import math

from qsearch.report.figures.marks import Figure, Label, Layer, Mark, Rect, clipped
from qsearch.sensitivity.table import Alone, SensitivityTable

WIDTH = 860.0
MOST_ROWS = 160
"""Choices that are drawn; a file has all of them."""
_NAMES, _CELL, _HEIGHT, _OF_LINE = 184.0, 84.0, 34.0, 8
_STEPS = (1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.3)
"""Parts of the greatest increase up to which a cell has a colour."""


def sensitivity_map(table: SensitivityTable) -> Figure | None:
    """A row for each choice, a cell for each option, the darker the more the loss grows; None without choices."""
    choices = list(table.by_dimension())[:MOST_ROWS]
    if not choices:
        return None
    worst = max((row.increase for row in table.rows if math.isfinite(row.increase)), default=0.0)
    marks: list[Mark] = [Label(x=2, y=20, text="increase of the loss", kind="legend")]
    for step, text in enumerate((*(f"≤ {worst * share:.1g}" for share in _STEPS), "more")):
        left = 130 + step * 76
        marks.append(Rect(x=left, y=7, width=74, height=18, kind=f"b{step}"))
        marks.append(Label(x=left + 37, y=20, text=text, kind=f"cell-text t{step}"))
    y = 40.0
    for _, rows in choices:
        words = rows[0].part.replace("_", " ")
        layers = rows[0].layers[0] + (f" +{len(rows[0].layers) - 1}" if len(rows[0].layers) > 1 else "")
        name = f"{clipped(layers, max(24 - len(words), 6))} {words}"
        marks.append(Label(x=_NAMES - 10, y=y + 21, text=name, kind="name", anchor="end"))
        for place, row in enumerate(rows):
            line, column = divmod(place, _OF_LINE)
            marks += _cell(row, worst, _NAMES + column * _CELL, y + line * _HEIGHT)
        y += math.ceil(len(rows) / _OF_LINE) * _HEIGHT + 2
    foot = (
        f"each option alone, all else as in the reference, whose loss is {table.loss:.4g} on {table.samples:,} samples"
    )
    marks.append(Label(x=2, y=y + 18, text=foot, kind="tick"))
    return Figure(
        name="sensitivity",
        title="Sensitivity",
        description="Heat map of the increase of the loss with each option of each choice alone.",
        width=WIDTH,
        height=y + 30,
        layers=(Layer(marks=tuple(marks)),),
        least_width=700,
    )


def _cell(row: Alone, worst: float, x: float, y: float) -> list[Mark]:
    share = row.increase / worst if worst > 0 else 0.0
    step = next((step for step, most in enumerate(_STEPS) if share <= most), len(_STEPS))
    told = f"{', '.join(row.layers)} {row.part} {row.option}: {row.increase:+.4g}"
    told += "" if row.fisher is None else f"; Fisher estimate {row.fisher:.3g}"
    option = row.option.removeprefix("quantized_")
    return [
        Rect(x=x, y=y, width=_CELL - 1, height=_HEIGHT - 1, kind=f"b{step}", tip=told),
        Label(
            x=x + _CELL / 2,
            y=y + 13,
            text=option if len(option) <= 13 else f"{option[:12]}…",
            kind=f"cell-text t{step}",
        ),
        Label(x=x + _CELL / 2, y=y + 27, text=_short(row.increase), kind=f"cell-text t{step}"),
    ]


def _short(increase: float) -> str:
    if not math.isfinite(increase):
        return "no number"
    return "0" if abs(increase) < 5e-6 else f"{increase:+.2g}"
