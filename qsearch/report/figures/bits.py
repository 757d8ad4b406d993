"""Bits per layer over the best trials: a heat map."""

from __future__ import annotations

from collections.abc import Sequence

from qsearch.errors import QsearchError
from qsearch.plan import Role
from qsearch.quantizers.formats import number_format
from qsearch.quantizers.spec import QuantizerSpec
from qsearch.report.figures.marks import Figure, Label, Layer, Mark, Rect, clipped
from qsearch.report.figures.palette import bits_step
from qsearch.report.shown_run import ShownRun
from qsearch.search.trials import Trial

MOST_CELLS, MOST_COLUMNS, FEWEST_COLUMNS, MOST_ROWS = 1000, 24, 6, 160
_CELL_WIDTH, _CELL_HEIGHT, _NAMES = 30.0, 20.0, 180.0

_LETTERS = 24

Row = tuple[str, Role | None]
"""A layer, and a role of its quantizers; None for its width."""


def shown_trials(run: ShownRun, rows: int) -> list[Trial]:
    """The best trials, and, where there is room, the rest of the front."""
    room = max(FEWEST_COLUMNS, min(MOST_COLUMNS, MOST_CELLS // max(rows, 1)))
    best = list(run.ranked)
    members = [trial for trial in best if trial.number in run.front_numbers]
    first = best[: max(room - len(members), room // 2)]
    more = [trial for trial in members if trial not in first][: room - len(first)]
    return sorted((*first, *more), key=best.index)


def bits_per_layer(run: ShownRun) -> Figure | None:
    """Rows are layers and roles, columns trials, the best first; None where nothing is quantized."""
    rows = _rows(run.ranked)
    trials = shown_trials(run, len(rows))
    if not rows or not trials:
        return None
    top, marks = 66.0, list[Mark]()
    marks.append(Label(x=2, y=20, text="bits", kind="legend"))
    for place, (bits, text) in enumerate(
        ((1, "1"), (2, "2"), (4, "3–4"), (6, "5–6"), (8, "7–8"), (16, "9–16"), (32, "over 16"))
    ):
        left = 40 + place * 54
        marks.append(Rect(x=left, y=7, width=52, height=18, kind=f"b{bits_step(bits)}"))
        marks.append(Label(x=left + 26, y=20, text=text, kind=f"cell-text t{bits_step(bits)}"))
    marks.append(Label(x=_NAMES - 10, y=top - 10, text="trial", kind="axis-title", anchor="end"))
    for column, trial in enumerate(trials):
        x = _NAMES + column * _CELL_WIDTH + _CELL_WIDTH / 2
        on_front = trial.number in run.front_numbers
        best = run.best is not None and trial.number == run.best.number
        marks.append(
            Label(x=x, y=top - 10, text=str(trial.number), kind="tick strong" if best else "tick", anchor="middle")
        )
        marks.append(
            Label(x=x, y=top - 24, text="★" if best else "○" if on_front else "", kind="tick", anchor="middle")
        )
    before = ""
    for index, (layer, role) in enumerate(rows):
        y = top + index * _CELL_HEIGHT
        words = "filters" if role is None else role.words
        shown = f"{clipped(layer, max(_LETTERS - len(words), 6))} {words}" if layer != before else words
        marks.append(Label(x=_NAMES - 10, y=y + 14, text=shown, kind="name", anchor="end"))
        before = layer
        for column, trial in enumerate(trials):
            marks += _cell(trial, layer, role, _NAMES + column * _CELL_WIDTH, y)
    foot = top + len(rows) * _CELL_HEIGHT
    marks.append(
        Label(
            x=2,
            y=foot + 22,
            text="★ chosen   ○ on the front   – stays unquantized; rows “filters” are widths",
            kind="tick",
        )
    )
    width = max(_NAMES + len(trials) * _CELL_WIDTH + 12, 860.0)
    return Figure(
        name="bits_per_layer",
        title="Bits per layer",
        description="Heat map of the bits of each layer's kernel, bias and activation, in the best trials.",
        width=width,
        height=foot + 34,
        layers=(Layer(marks=tuple(marks)),),
        least_width=700,
    )


def _rows(trials: Sequence[Trial]) -> list[Row]:
    """Layers in the order of the plans, and what some trial chooses in them."""
    found: dict[str, dict[Role | None, None]] = {}
    for trial in trials:
        for name, layer in trial.plan.layers.items():
            own = found.setdefault(name, {})
            own.update(dict.fromkeys(layer.quantizers))
            if layer.filters is not None:
                own[None] = None
    return [(name, role) for name, roles in found.items() for role in roles][:MOST_ROWS]


def _cell(trial: Trial, layer: str, role: Role | None, x: float, y: float) -> list[Mark]:
    plan = trial.plan.get(layer)
    middle = x + _CELL_WIDTH / 2 - 0.5
    if role is None:
        width = None if plan is None else plan.filters
        step, text, kind, told = "width", "" if width is None else str(width), "cell-text", ""
    else:
        spec = None if plan is None else plan.quantizers.get(role)
        bits = None if spec is None else bits_of(spec)
        told = f"trial {trial.number}: {'unquantized' if spec is None else spec}"
        step = "none" if bits is None else f"b{bits_step(bits)}"
        text = "–" if bits is None else str(bits)
        kind = "cell-text" if bits is None else f"cell-text t{bits_step(bits)}"
    return [
        Rect(x=x, y=y, width=_CELL_WIDTH - 1, height=_CELL_HEIGHT - 1, kind=step, tip=told),
        Label(x=middle, y=y + 14, text=text, kind=kind),
    ]


def bits_of(spec: QuantizerSpec) -> int | None:
    """Of a quantizer's numbers; None where that cannot be told."""
    try:
        return number_format(spec).bits
    except (QsearchError, KeyError):
        return None
