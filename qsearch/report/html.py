"""report.html: a run on one page that needs nothing else. Names of anybody's are escaped everywhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from qsearch import __version__
from qsearch.errors import LONGEST_LINE, one_line
from qsearch.report.figures.bits import bits_per_layer
from qsearch.report.figures.blocks import blocks_figure
from qsearch.report.figures.draw import STYLE, inline
from qsearch.report.figures.layers import energy_per_layer
from qsearch.report.figures.marks import Figure
from qsearch.report.figures.palette import page_colours
from qsearch.report.figures.progress import curves, progress
from qsearch.report.figures.sensitivity import sensitivity_map
from qsearch.report.figures.trade_off import trade_off
from qsearch.report.figures.weights import importance_bars, weight_histograms
from qsearch.report.headline import headline
from qsearch.report.importance import Importance
from qsearch.report.parts import (
    blocks_of,
    commands,
    configuration,
    failed_of,
    layers_of,
    machine,
    notes_of,
    plan_yaml,
    trial_rows,
)
from qsearch.report.shown_run import ShownRun
from qsearch.report.trials_data import trials_data

TEMPLATES = Path(__file__).parent / "templates"
LATER = "It is computed at the end of the run, or by `qsearch report`."


@dataclass(frozen=True)
class Page:
    """What a page is made of, beside its template's own variables."""

    style: str
    script: str

    @property
    def policy(self) -> str:
        """The page may run its own script and style, and load nothing."""
        return (
            f"default-src 'none'; img-src data:; script-src {_hash(self.script)}; style-src {_hash(self.style)}; "
            "base-uri 'none'; form-action 'none'"
        )


def figures_of(run: ShownRun, importance: Importance | None) -> dict[str, Figure]:
    """All figures that a run has, by name."""
    found: list[Figure | None] = []
    if run.record.completed:
        found += [trade_off(run), progress(run), curves(run), bits_per_layer(run)]
    found.append(blocks_figure(run))
    if run.energies is not None:
        found.append(energy_per_layer(run.energies))
    if run.record.weights is not None and not run.is_live:
        found.append(weight_histograms(run.record.weights.weights))
    if run.record.sensitivity is not None:
        found.append(sensitivity_map(run.record.sensitivity))
    if importance is not None:
        found.append(importance_bars(importance.choices, run.metric))
    return {figure.name: figure for figure in found if figure is not None}


def page(run: ShownRun, importance: Importance | None) -> str:
    """The report of one run.

    Args:
        importance: which choices mattered; None to leave that out while a run goes on.
    """
    figures = figures_of(run, importance)
    return rendered(
        "report.html",
        figures,
        run=run,
        head=headline(run),
        data=trials_data(run),
        trials=trial_rows(run),
        layers=layers_of(run),
        blocks=blocks_of(run),
        failed=failed_of(run),
        notes=notes_of(run),
        importance=importance,
        later=LATER,
        plan=plan_yaml(run),
        configuration=configuration(run),
        commands=commands(run),
        machine=machine(run),
    )


def rendered(template: str, figures: Mapping[str, Figure], **values: Any) -> str:
    """A template with figures, styles and the script in it."""
    widths = sorted({figure.least_width for figure in figures.values()})
    least = "".join(f".least{width}{{min-width:{width}px}}" for width in widths)
    made = Page(page_colours() + _text("page.css") + STYLE.read_text(encoding="utf-8") + least, _text("page.js"))
    text = (
        _environment()
        .get_template(template)
        .render(
            page=made,
            style=Markup(made.style),  # our own files
            script=Markup(made.script),
            figures=figures,
            draw=inline,
            version=__version__,
            **values,
        )
    )
    return text + "\n"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["shown"] = _shown
    made.filters["coded"] = _coded
    made.filters["lines"] = _lines
    return made


def _text(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """As a content security policy names a style or a script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _shown(text: str) -> str:
    """Text of anybody's in one line; control characters are shown."""
    return one_line(text, LONGEST_LINE)


def _lines(text: str) -> str:
    """The same of text whose lines stay lines."""
    return "\n".join(map(_shown, text.split("\n")))


def _coded(text: str) -> Markup:
    """The same, with `code` between backticks."""
    parts: Sequence[str] = _shown(text).split("`")
    made = [Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)]
    return Markup("").join(made)
