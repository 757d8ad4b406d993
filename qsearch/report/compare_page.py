"""Several runs on one page: their fronts over each other, their figures, and where their configurations differ."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qsearch.report.axes import Axis
from qsearch.report.compared import names_of
from qsearch.report.config_diff import differences
from qsearch.report.config_diff import shown as in_a_file
from qsearch.report.figures.frame import legend, x_axis, y_axis
from qsearch.report.figures.marks import Box, Figure, Layer, Mark, Path, PointMark, steps
from qsearch.report.figures.scales import cost_scale, scale
from qsearch.report.figures.trade_off import HEIGHT, WIDTH, point_text
from qsearch.report.headline import headline
from qsearch.report.html import rendered
from qsearch.report.shown_run import ShownRun

_SHAPES = ("circle", "diamond", "square", "triangle", "circle", "diamond")
STYLES = len(_SHAPES)
"""Runs that look different; more repeat."""


def compared(runs: Sequence[ShownRun]) -> str:
    """A page."""
    names = names_of([run.record.folder for run in runs])
    figure = fronts(runs, names)
    return rendered(
        "compare.html",
        {} if figure is None else {figure.name: figure},
        states=[run.state.value for run in runs],
        rows=table_of(runs),
        differences=[
            (each.key, [in_a_file(value) for value in each.values])
            for each in differences([run.record.config for run in runs])
        ],
        names=names,
        data={"labels": [], "figures": {}, "columns": [], "choices": [], "plans": {}},
    )


def table_of(runs: Sequence[ShownRun]) -> list[tuple[str, list[tuple[str, str]]]]:
    """(what, for each run (of the best model, how that compares with the reference))."""
    found = [{what: (best, change) for what, _, best, change in headline(run).rows} for run in runs]
    names = list(dict.fromkeys(what for one in found for what in one))
    return [(what, [one.get(what, ("–", "")) for one in found]) for what in names]


def fronts(runs: Sequence[ShownRun], names: Sequence[str]) -> Figure | None:
    """The trials and fronts of runs over each other, against the costs that all have; None where there are none."""
    shown = [run for run in runs if run.completed]
    if not shown or len({(run.metric, run.maximize) for run in shown}) > 1:
        return None
    keys = [key for key in (axis.key for axis in shown[0].axes) if all(_axis(run, key) for run in shown)]
    entries = [
        (_SHAPES[place % STYLES], f"run{place % STYLES}", name)
        for place, (name, run) in enumerate(zip(names, runs, strict=True))
        if run.completed
    ]
    marks, height = legend(entries, 2, 14, WIDTH - 4)
    box = Box(66, 34 + height, WIDTH - 22, HEIGHT - 50)
    metrics = [trial.metric for run in shown for trial in run.completed]
    metrics += [run.reference_metric for run in shown if run.reference_metric is not None]
    y = scale(metrics, box.bottom, box.top)
    along = []
    for key in keys:
        axes = [axis for run in shown if (axis := _axis(run, key)) is not None]
        along.append(cost_scale([cost for axis in axes for cost in axis.costs.values()], box.left + 10, box.right - 10))
    layers = [Layer(marks=(*marks, *y_axis(y, box, f"{shown[0].metric} on the selection set")))]
    for index, (key, x) in enumerate(zip(keys, along, strict=True)):
        first = _axis(shown[0], key)
        assert first is not None
        lines: list[Mark] = list(x_axis(x, box, first.label + (" (logarithmic)" if x.is_log else ""), first.text))
        for place, run in enumerate(runs):
            axis = _axis(run, key)
            if axis is not None and run.completed:
                members = [(x(axis.costs[trial.number]), y(trial.metric)) for trial in run.front_by(axis)]
                lines.append(Path(d=steps(members), kind=f"front-run{place % STYLES}", tip=names[place]))
        layers.append(Layer(marks=tuple(lines), axis=index))
    points = [
        PointMark(
            xs=tuple(
                x(axis.costs[trial.number])
                if (axis := _axis(run, key)) is not None and trial.number in axis.costs
                else None
                for key, x in zip(keys, along, strict=True)
            ),
            y=y(trial.metric),
            shape=_SHAPES[place % STYLES],
            kind=f"run{place % STYLES}",
            tip=f"{names[place]}, {point_text(run, trial)}",
            trial=0,
        )
        for place, run in enumerate(runs)
        for trial in run.completed
        if math.isfinite(trial.metric)
    ]
    layers.append(Layer(marks=tuple(points)))
    return Figure(
        name="fronts",
        title="Fronts over each other",
        description=f"Scatter plot of the trials of {len(shown)} runs, and the front of each.",
        width=WIDTH,
        height=HEIGHT,
        layers=tuple(layers),
        axes=tuple(axis.label for key in keys if (axis := _axis(shown[0], key)) is not None),
        least_width=700,
    )


def _axis(run: ShownRun, key: str) -> Axis | None:
    return next((axis for axis in run.axes if axis.key == key), None)
