"""What a figure is made of. Lengths are pixels of its own coordinates; text is anybody's, and escaped when drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qsearch.errors import one_line

POINT_PATHS = {
    "circle": "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0",
    "dot": "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0",
    "diamond": "M0 -6.5L6.5 0L0 6.5L-6.5 0z",
    "square": "M-5.5 -5.5h11v11h-11z",
    "star": "M0 -10L2.6 -3.4L9.6 -3.1L4.1 1.3L6 8.1L0 4.2L-6 8.1L-4.1 1.3L-9.6 -3.1L-2.6 -3.4z",
    "triangle": "M0 -7L6.5 5H-6.5z",
}


@dataclass(frozen=True, kw_only=True)
class Rect:
    """A box; kind: its class in the style sheet; tip: what is told where it is pointed at."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    tip: str = ""


@dataclass(frozen=True, kw_only=True)
class Path:
    """A line or an outline; d: as SVG spells it."""

    d: str
    kind: str
    tip: str = ""


@dataclass(frozen=True, kw_only=True)
class Label:
    """Text; anchor: "start", "middle" or "end"."""

    x: float
    y: float
    text: str
    kind: str = "label"
    anchor: str = "start"


@dataclass(frozen=True, kw_only=True)
class PointMark:
    """A trial in a scatter plot.

    Attributes:
        xs: its place on each of the figure's axes; None where it has none.
        shape: a key of POINT_PATHS.
        trial: its number.
    """

    xs: tuple[float | None, ...]
    y: float
    shape: str
    kind: str
    tip: str
    trial: int


Mark = Rect | Path | Label | PointMark


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Marks that are shown together; axis: the one of the figure's axes that they belong to, None for all."""

    marks: tuple[Mark, ...]
    axis: int | None = None


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A drawing.

    Attributes:
        name: of a file, and of its place in a page.
        title, description: what it shows, also for those who do not see it.
        axes: names of the x axes that it can be switched to; none for one that cannot.
        least_width: pixels below which it is not scaled down, so that it can be read.
    """

    name: str
    title: str
    description: str
    width: float
    height: float
    layers: tuple[Layer, ...]
    axes: tuple[str, ...] = ()
    least_width: int = 480


@dataclass(frozen=True)
class Box:
    """The part of a figure that data is drawn in."""

    left: float
    top: float
    right: float
    bottom: float


def polyline(points: Sequence[tuple[float, float]]) -> str:
    """A path through points."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) if points else ""


def steps(points: Sequence[tuple[float, float]]) -> str:
    """A path through points that goes across before it goes up or down."""
    if not points:
        return ""
    parts = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    parts += [f"H{x:.1f}V{y:.1f}" for x, y in points[1:]]
    return "".join(parts)


def dots(points: Sequence[tuple[float, float]]) -> str:
    """Points as one path, which round ends of its lines make visible."""
    return "".join(f"M{x:.1f} {y:.1f}h0" for x, y in points)


def clipped(text: str, length: int) -> str:
    """Text that fits, with its middle left out where it is too long: ends tell names apart."""
    text = one_line(text)
    if len(text) <= length:
        return text
    head = (length - 1) // 2
    return f"{text[:head]}…{text[len(text) - (length - 1 - head) :]}"
