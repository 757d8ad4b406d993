"""A figure as SVG: a part of a page, or a file of its own. All text is escaped, and control characters are shown."""

from __future__ import annotations

from pathlib import Path as FilePath

from markupsafe import Markup

from qsearch.errors import LONGEST_LINE, one_line
from qsearch.report.figures.marks import POINT_PATHS, Figure, Label, Layer, Mark, Path, PointMark, Rect
from qsearch.report.figures.palette import with_colours

STYLE = FilePath(__file__).parent.parent / "templates" / "figures.css"
_MARGIN = 10


def inline(figure: Figure) -> Markup:
    """For a page, whose style sheet has its colours."""
    told = f"{figure.title}. {figure.description}"
    body = Markup("").join(_layer(layer, True) for layer in figure.layers)
    return Markup(
        '<svg class="chart least{least}" id="{name}" viewBox="0 0 {width} {height}" role="group" aria-label="{told}">'
        "{body}</svg>"
    ).format(
        name=figure.name,
        least=figure.least_width,
        width=_px(figure.width),
        height=_px(figure.height),
        told=_text(told),
        body=body,
    )


def alone(figure: Figure) -> str:
    """For a file: in light colours, on white, and with the first of its axes."""
    style = with_colours(STYLE.read_text(encoding="utf-8"))
    body = Markup("").join(_layer(layer, False) for layer in figure.layers if not layer.axis)
    width, height = figure.width + 2 * _MARGIN, figure.height + 2 * _MARGIN
    return str(
        Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" class="chart" width="{width}" height="{height}" '
            'viewBox="{start} {start} {width} {height}"><title>{title}</title><desc>{description}</desc>'
            '<style>{style}</style><rect x="{start}" y="{start}" width="{width}" height="{height}" fill="#ffffff"/>'
            "{body}</svg>\n"
        ).format(
            start=-_MARGIN,
            width=_px(width),
            height=_px(height),
            title=_text(figure.title),
            description=_text(figure.description),
            style=Markup(style),  # our own file
            body=body,
        )
    )


def _layer(layer: Layer, live: bool) -> Markup:
    marks = Markup("").join(_mark(one, live) for one in layer.marks)
    if layer.axis is None or not live:
        return marks
    off = ' class="off"' if layer.axis else ""
    return Markup('<g data-axis="{axis}"{off}>{marks}</g>').format(axis=layer.axis, off=Markup(off), marks=marks)


def _mark(one: Mark, live: bool) -> Markup:
    match one:
        case Rect():
            return Markup('<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}"{rest}').format(
                kind=one.kind,
                x=_px(one.x),
                y=_px(one.y),
                width=_px(one.width),
                height=_px(one.height),
                rest=_ending("rect", one.tip),
            )
        case Path():
            return Markup('<path class="{kind}" d="{d}"{rest}').format(
                kind=one.kind, d=one.d, rest=_ending("path", one.tip)
            )
        case Label():
            anchor = Markup(' text-anchor="{}"').format(one.anchor) if one.anchor != "start" else ""
            return Markup('<text class="{kind}" x="{x}" y="{y}"{anchor}>{text}</text>').format(
                kind=one.kind, x=_px(one.x), y=_px(one.y), anchor=anchor, text=_text(one.text)
            )
        case PointMark():
            return _point(one, live)


def _point(one: PointMark, live: bool) -> Markup:
    first = one.xs[0]
    if first is None and not live:
        return Markup("")
    places = ""
    if live and one.tip:
        xs = "|".join("" if x is None else _px(x) for x in one.xs)
        places = Markup(' role="img" data-t="{}" data-x="{}" data-y="{}"').format(one.trial, xs, _px(one.y))
    return Markup('<path class="pt {kind}{off}" transform="translate({x} {y})"{places} d="{d}"{rest}').format(
        kind=one.kind,
        off=" off" if first is None else "",
        x=_px(0.0 if first is None else first),
        y=_px(one.y),
        places=places,
        d=POINT_PATHS[one.shape],
        rest=_ending("path", one.tip),
    )


def _ending(tag: str, tip: str) -> Markup:
    if not tip:
        return Markup("/>")
    return Markup("><title>{}</title></{}>").format(_text(tip), tag)


def _text(text: str) -> str:
    return one_line(text, LONGEST_LINE)


def _px(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
