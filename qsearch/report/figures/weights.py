"""Histograms of the best model's weights over the levels of their quantizers, and bars of what mattered."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from qsearch.report.figures.frame import legend
from qsearch.report.figures.marks import Box, Figure, Label, Layer, Mark, Path, Rect, clipped
from qsearch.report.figures.scales import Scale
from qsearch.report.importance import Choice
from qsearch.runs.weights import WeightHistogram

WIDTH = 860.0
MOST = 24
"""Weights that are drawn, those of the most values."""
_COLUMNS, _PANEL_HEIGHT, _GAP = 3, 92.0, 62.0


def weight_histograms(weights: Sequence[WeightHistogram]) -> Figure | None:
    """One panel for each quantized weight; None where there are none."""
    weights = [one for one in weights if one.quantizer is not None]
    largest = sorted(weights, key=lambda one: -one.count)[:MOST]
    drawn = [one for one in weights if one in largest]
    if not drawn:
        return None
    entries = [("box", "level", "weights at each level"), ("line", "trained", "floats before they are quantized")]
    keys, height = legend(entries, 2, 14, WIDTH - 4)
    top = 46.0 + height
    room = (WIDTH + 14) / _COLUMNS
    marks: list[Mark] = [*keys]
    for index, one in enumerate(drawn):
        row, column = divmod(index, _COLUMNS)
        left, y = 2 + column * room, top + row * (_PANEL_HEIGHT + _GAP)
        marks += _panel(one, Box(left, y, left + room - 20, y + _PANEL_HEIGHT))
    rows = -(-len(drawn) // _COLUMNS)
    return Figure(
        name="weights",
        title="Weights of the best model",
        description="How many values of each quantized weight lie at each level, and the floats before.",
        width=WIDTH,
        height=top + rows * (_PANEL_HEIGHT + _GAP) - 18,
        layers=(Layer(marks=tuple(marks)),),
        least_width=700,
    )


def _panel(one: WeightHistogram, box: Box) -> list[Mark]:
    title = clipped(f"{one.layer} {one.weight}", 34)
    told = f"{clipped(str(one.quantizer), 28)} · {one.count:,} · {one.zeros / one.count:.0%} zero"
    marks: list[Mark] = [
        Label(x=box.left, y=box.top - 20, text=title, kind="name strong"),
        Label(x=box.left, y=box.top - 6, text=told, kind="tick"),
        Path(d=f"M{box.left:.1f} {box.bottom:.1f}H{box.right:.1f}", kind="axis"),
    ]
    low, high = one.levels[0], one.levels[-1]
    if one.edges is not None:
        low, high = min(low, one.edges[0]), max(high, one.edges[1])
    if not low < high:
        low, high = low - 1, high + 1
    gaps = [b - a for a, b in pairwise(one.levels)]
    gap = min(gaps, default=(high - low) / 3)
    room = box.right - box.left
    x = Scale(low - gap / 2, high + gap / 2, box.left, box.right, False, ())
    width = max(min(gap / (x.high - x.low) * room * 0.8, 26.0), 1.2)
    most = max(one.counts)
    for level, count in zip(one.levels, one.counts, strict=True):
        tall = count / most * _PANEL_HEIGHT
        tip = f"{one.layer} {one.weight}: {count:,} {'about' if one.binned else 'at'} {level:g}"
        marks.append(
            Rect(x=x(level) - width / 2, y=box.bottom - tall, width=width, height=max(tall, 0.5), kind="level", tip=tip)
        )
    if one.edges is not None and one.trained:
        marks.append(Path(d=_outline(one, x, box), kind="trained"))
    ends = ((one.levels[0], "start"), (one.levels[-1], "end")) if len(one.levels) > 1 else ((one.levels[0], "middle"),)
    for level, anchor in ends:
        place = {"start": box.left, "end": box.right}.get(anchor, x(level))
        marks.append(Label(x=place, y=box.bottom + 15, text=f"{level:.4g}", kind="tick", anchor=anchor))
    return marks


def _outline(one: WeightHistogram, x: Scale, box: Box) -> str:
    assert one.edges is not None
    low, high = one.edges
    step, most = (high - low) / len(one.trained), max(one.trained)
    parts = [f"M{x(low):.1f} {box.bottom:.1f}"]
    for index, count in enumerate(one.trained):
        parts.append(f"V{box.bottom - count / most * _PANEL_HEIGHT:.1f}H{x(low + (index + 1) * step):.1f}")
    return "".join((*parts, f"V{box.bottom:.1f}"))


CHOICES = 20
"""Choices whose importance is drawn."""
_ROW = 30.0


def importance_bars(choices: Sequence[Choice], metric: str) -> Figure | None:
    """Two bars for each choice, for the score and for the metric; None where there are none."""
    if not choices:
        return None
    drawn = choices[:CHOICES]
    keys, height = legend([("box", "of-score", "score"), ("box", "of-metric", metric)], 2, 14, WIDTH - 4)
    top, left, right = 18.0 + height, 280.0, WIDTH - 60
    most = max(max(one.score, one.metric) for one in drawn) or 1.0
    marks: list[Mark] = [*keys]
    for index, one in enumerate(drawn):
        y = top + index * _ROW
        marks.append(Label(x=left - 10, y=y + 19, text=clipped(one.name, 40), kind="name", anchor="end"))
        for offset, value, kind in ((3.0, one.score, "of-score"), (14.0, one.metric, "of-metric")):
            width = value / most * (right - left)
            tip = f"{one.name}: {value:.1%} of the variance"
            marks.append(Rect(x=left, y=y + offset, width=max(width, 0.5), height=10, kind=kind, tip=tip))
            marks.append(Label(x=left + width + 6, y=y + offset + 9, text=f"{value:.1%}", kind="small"))
    bottom = top + len(drawn) * _ROW
    marks.append(Path(d=f"M{left:.1f} {top:.1f}V{bottom:.1f}", kind="axis"))
    return Figure(
        name="importance",
        title="Which choices mattered",
        description=f"Permutation importance of each choice for the score and for {metric}.",
        width=WIDTH,
        height=bottom + 12,
        layers=(Layer(marks=tuple(marks)),),
        least_width=700,
    )
