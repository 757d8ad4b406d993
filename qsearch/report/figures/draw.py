"""A figure as SVG: a part of a page, or a file of its own. All text is escaped, and control characters are shown."""

from __future__ import annotations

from pathlib import Path as FilePath

from markupsafe import Markup, escape

from qsearch.errors import LONGEST_LINE, one_line
from qsearch.report.figures.marks import POINT_PATHS, Figure, Label, Layer, Mark, Path, PointMark, Rect
from qsearch.report.figures.palette import with_colours

STYLE = FilePath(__file__).parent.parent / "templates" / "figures.css"
_MARGIN = 10


def inline(figure: Figure) -> Markup:
    """For a page, whose style sheet has its colours."""
    told = f"{figure.title}. {figure.description}"
    body = "".join(_layer(layer, True) for layer in figure.layers)
    size = f"0 0 {_px(figure.width)} {_px(figure.height)}"
    head = f'<svg class="chart least{figure.least_width}" id="{_safe(figure.name)}" viewBox="{size}" role="group"'
    return Markup(f'{head} aria-label="{_safe(told)}">{body}</svg>')  # each text was escaped


def alone(figure: Figure) -> str:
    """For a file: in light colours, on white, and with the first of its axes."""
    style = with_colours(STYLE.read_text(encoding="utf-8"))
    body = "".join(_layer(layer, False) for layer in figure.layers if not layer.axis)
    width, height = _px(figure.width + 2 * _MARGIN), _px(figure.height + 2 * _MARGIN)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" width="{width}" height="{height}" '
        f'viewBox="-{_MARGIN} -{_MARGIN} {width} {height}">'
        f"<title>{_safe(figure.title)}</title><desc>{_safe(figure.description)}</desc><style>{style}</style>"
        f'<rect x="-{_MARGIN}" y="-{_MARGIN}" width="{width}" height="{height}" fill="#ffffff"/>{body}</svg>\n'
    )


def _layer(layer: Layer, live: bool) -> str:
    marks = "".join(_mark(one, live) for one in layer.marks)
    if layer.axis is None or not live:
        return marks
    off = ' class="off"' if layer.axis else ""
    return f'<g data-axis="{layer.axis}"{off}>{marks}</g>'


def _mark(one: Mark, live: bool) -> str:
    match one:
        case Rect(x=x, y=y, width=width, height=height):
            place = f'x="{_px(x)}" y="{_px(y)}" width="{_px(width)}" height="{_px(height)}"'
            return f'<rect class="{one.kind}" {place}{_ending("rect", one.tip)}'
        case Path():
            return f'<path class="{one.kind}" d="{one.d}"{_ending("path", one.tip)}'
        case Label():
            anchor = f' text-anchor="{one.anchor}"' if one.anchor != "start" else ""
            return f'<text class="{one.kind}" x="{_px(one.x)}" y="{_px(one.y)}"{anchor}>{_safe(one.text)}</text>'
        case PointMark():
            return _point(one, live)


def _point(one: PointMark, live: bool) -> str:
    first = one.xs[0]
    if first is None and not live:
        return ""
    data = ""
    if live and one.tip:
        xs = "|".join("" if x is None else _px(x) for x in one.xs)
        data = f' role="img" data-t="{one.trial}" data-x="{xs}"'
    off = " off" if first is None else ""
    place = f"translate({_px(0.0 if first is None else first)} {_px(one.y)})"
    return (
        f'<path class="pt {one.kind}{off}" transform="{place}"{data} d="{POINT_PATHS[one.shape]}"'
        f"{_ending('path', one.tip)}"
    )


def _ending(tag: str, tip: str) -> str:
    return f"><title>{_safe(tip)}</title></{tag}>" if tip else "/>"


def _safe(text: str) -> str:
    """Text of anybody's as SVG shows it, and nothing else."""
    return str(escape(one_line(text, LONGEST_LINE)))


def _px(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
