"""Figures as files, for papers: SVG, or PNG by resvg."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from qsearch.errors import ConfigError
from qsearch.report.figures.draw import alone
from qsearch.report.figures.marks import Figure
from qsearch.report.figures.trade_off import trade_off
from qsearch.report.html import figures_of
from qsearch.report.importance import Importance
from qsearch.report.shown_run import ShownRun

FORMATS = ("svg", "png")
ZOOM = 3.0
"""Pixels of a PNG for each of the figure's: about 300 dots an inch in a column of a paper."""


def pictures_of(run: ShownRun, importance: Importance | None) -> Mapping[str, Figure]:
    """All figures of a run by the name of their file, each with one axis: the trade-off once for each cost."""
    found = figures_of(run, importance)
    if "trade_off" in found:
        del found["trade_off"]
        for axis in run.axes:
            name = f"trade_off_{axis.key}"
            found[name] = replace(trade_off(run, (axis,)), name=name)
    return found


def drawn(figure: Figure, form: str) -> bytes:
    """The content of a figure's file.

    Raises:
        ConfigError: a PNG is wanted, and what draws it is not installed.
    """
    text = alone(figure)
    return text.encode() if form == "svg" else _png(text)


def check_format(form: str) -> None:
    """See that figures can be drawn, before any is.

    Raises:
        ConfigError: what draws them is not installed.
    """
    if form == "png":
        _resvg()


def _png(text: str) -> bytes:
    return _resvg()(svg_string=text, zoom=ZOOM, background="#ffffff")


def _resvg() -> Callable[..., bytes]:
    try:
        from resvg_py import svg_to_bytes
    except ImportError:
        raise ConfigError(
            '--format png: needs resvg-py, which is not installed: pip install "qsearch[figures]"; or --format svg'
        ) from None
    made: Callable[..., bytes] = svg_to_bytes
    return made
