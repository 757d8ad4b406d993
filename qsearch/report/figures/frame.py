"""Axes, grids, legends: what many figures have."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qsearch.report.figures.marks import POINT_PATHS, Box, Label, Mark, Path, PointMark, Rect
from qsearch.report.figures.scales import Scale, tick_texts


def y_axis(scale: Scale, box: Box, title: str, text: Callable[[float], str] | None = None) -> list[Mark]:
    """Lines across, their values at the left, and the title above."""
    texts = tick_texts(scale.ticks) if text is None else [text(tick) for tick in scale.ticks]
    marks: list[Mark] = [Label(x=2, y=box.top - 12, text=title, kind="axis-title")]
    for tick, shown in zip(scale.ticks, texts, strict=True):
        y = scale(tick)
        marks.append(Path(d=f"M{box.left:.1f} {y:.1f}H{box.right:.1f}", kind="grid"))
        marks.append(Label(x=box.left - 8, y=y + 4, text=shown, kind="tick", anchor="end"))
    return marks


def x_axis(
    scale: Scale, box: Box, title: str, text: Callable[[float], str] | None = None, grid: bool = True
) -> list[Mark]:
    """Values below, as many as there is room for, and the title under them."""
    texts = tick_texts(scale.ticks) if text is None else [text(tick) for tick in scale.ticks]
    marks: list[Mark] = [Path(d=f"M{box.left:.1f} {box.bottom:.1f}H{box.right:.1f}", kind="axis")]
    free = float("-inf")
    for tick, shown in zip(scale.ticks, texts, strict=True):
        x, half = scale(tick), len(shown) * 3.6 + 5
        if grid:
            marks.append(Path(d=f"M{x:.1f} {box.top:.1f}V{box.bottom:.1f}", kind="grid faint"))
        if x - half >= free:
            marks.append(Label(x=x, y=box.bottom + 18, text=shown, kind="tick", anchor="middle"))
            free = x + half
    marks.append(Label(x=(box.left + box.right) / 2, y=box.bottom + 38, text=title, kind="axis-title", anchor="middle"))
    return marks


def legend(entries: Sequence[tuple[str, str, str]], x: float, y: float, room: float) -> tuple[list[Mark], float]:
    """(marks, the height that they take) of entries (shape, kind, text) in as many lines as are needed.

    Args:
        entries: shape is one of a point, "line" or "box".
    """
    marks: list[Mark] = []
    left, line = x, 0
    for shape, kind, text in entries:
        width = 22 + len(text) * 6.1 + 22
        if left > x and left + width > x + room:
            left, line = x, line + 1
        top = y + line * 20
        marks.append(_sample(shape, kind, left + 8, top))
        marks.append(Label(x=left + 20, y=top + 4, text=text, kind="legend"))
        left += width
    return marks, (line + 1) * 20


def _sample(shape: str, kind: str, x: float, y: float) -> Mark:
    if shape == "line":
        return Path(d=f"M{x - 9:.1f} {y:.1f}h18", kind=kind)
    if shape == "box":
        return Rect(x=x - 7, y=y - 6, width=14, height=12, kind=kind)
    assert shape in POINT_PATHS
    return PointMark(xs=(x,), y=y, shape=shape, kind=f"{kind} sample", tip="", trial=0)
