"""The trade-off: every trial's metric against a cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qsearch.report.axes import Axis
from qsearch.report.figures.frame import legend, x_axis, y_axis
from qsearch.report.figures.marks import Box, Figure, Label, Layer, Mark, Path, PointMark, steps
from qsearch.report.figures.scales import Scale, cost_scale, scale
from qsearch.report.shown_run import ShownRun
from qsearch.search.trials import Trial

WIDTH, HEIGHT = 860.0, 480.0
MANY = 100
"""Trials from which their points are smaller."""


def trade_off(run: ShownRun, axes: Sequence[Axis] | None = None) -> Figure:
    """All completed trials; a figure that can be switched between axes.

    Args:
        axes: of the run; None for all it has.
    """
    axes = run.axes if axes is None else axes
    entries = _entries(run)
    keys, height = legend(entries, 2, 14, WIDTH - 4)
    box = Box(66, 34 + height, WIDTH - 22, HEIGHT - 50)
    across = _metric_scale(run, box)
    along = [_cost_scale(run, axis, box) for axis in axes]
    layers = [Layer(marks=(*keys, *y_axis(across, box, f"{run.metric} on the selection set")))]
    layers += [
        Layer(marks=tuple(_of_axis(run, axis, x, across, box)), axis=index)
        for index, (axis, x) in enumerate(zip(axes, along, strict=True))
    ]
    layers.append(Layer(marks=tuple(_points(run, axes, along, across))))
    counts = f"{len(run.completed)} trials that were trained"
    return Figure(
        name="trade_off",
        title=f"{run.metric} against cost",
        description=f"Scatter plot of {counts}, the front of those that no other beats in both, and the reference.",
        width=WIDTH,
        height=HEIGHT,
        layers=tuple(layers),
        axes=tuple(axis.label for axis in axes),
        least_width=700,
    )


def _entries(run: ShownRun) -> list[tuple[str, str, str]]:
    found = [("circle", "trial", "trial"), ("line", "front", "not beaten in both (front)")]
    if run.best is not None:
        found.append(("star", "best", f"{'best so far' if run.is_live else 'chosen'}: trial {run.best.number}"))
    if run.reference is not None:
        found.append(("diamond", "reference", "reference"))
    if run.earlier:
        found.append(("dot", "earlier", "of earlier blocks"))
    if any(not trial.accepted for trial in run.completed):
        found.append(("triangle", "unmet", "misses max_drop"))
    if run.least_metric is not None:
        found.append(("line", "demand", "metric demanded"))
    if any(axis.budget is not None for axis in run.axes):
        found.append(("line", "budget", "budget"))
    return found


def _metric_scale(run: ShownRun, box: Box) -> Scale:
    values = [trial.metric for trial in (*run.completed, *run.earlier)]
    if run.reference_metric is not None:
        values.append(run.reference_metric)
    if run.least_metric is not None:
        values.append(run.least_metric)
    return scale(values, box.bottom, box.top)


def _cost_scale(run: ShownRun, axis: Axis, box: Box) -> Scale:
    values = list(axis.costs.values())
    values += [value for value in (axis.reference, axis.budget) if value is not None]
    return cost_scale(values, box.left + 10, box.right - 10)


def _of_axis(run: ShownRun, axis: Axis, x: Scale, y: Scale, box: Box) -> list[Mark]:
    marks = x_axis(x, box, axis.label + (" (logarithmic)" if x.is_log else ""), axis.text)
    if run.least_metric is not None:
        across = y(run.least_metric)
        marks.append(Path(d=f"M{box.left:.1f} {across:.1f}H{box.right:.1f}", kind="demand", tip="metric demanded"))
    if axis.budget is not None:
        place = x(axis.budget)
        told = f"budget: {axis.text(axis.budget)}"
        marks.append(Path(d=f"M{place:.1f} {box.top:.1f}V{box.bottom:.1f}", kind="budget", tip=told))
        right = place > (box.left + box.right) / 2
        marks.append(
            Label(
                x=place + (-6 if right else 6),
                y=box.top + 12,
                text=told,
                kind="tick",
                anchor="end" if right else "start",
            )
        )
    members = run.front_by(axis)
    if members:
        marks.append(Path(d=steps([(x(axis.costs[trial.number]), y(trial.metric)) for trial in members]), kind="front"))
    r = 8 if len(run.completed) <= MANY else 5
    for trial in members:
        if trial is not run.best:  # whose star is larger
            start = f"M{x(axis.costs[trial.number]) - r:.1f} {y(trial.metric):.1f}"
            marks.append(Path(d=f"{start}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0-{2 * r} 0", kind="ring"))
    return marks


def _points(run: ShownRun, axes: Sequence[Axis], along: Sequence[Scale], y: Scale) -> list[PointMark]:
    pairs = list(zip(axes, along, strict=True))

    def places(costs: Sequence[float | None]) -> tuple[float | None, ...]:
        return tuple(None if cost is None else x(cost) for x, cost in zip(along, costs, strict=True))

    points = []
    if run.reference is not None and run.reference_metric is not None and math.isfinite(run.reference_metric):
        told = f"reference: {run.metric} {run.reference_metric:.4f}, {pairs[0][0].text(pairs[0][0].reference or 0.0)}"
        xs = places([axis.reference for axis in axes])
        points.append(PointMark(xs=xs, y=y(run.reference_metric), shape="diamond", kind="reference", tip=told, trial=0))
    own = sorted((*run.earlier, *run.completed), key=lambda trial: trial.price.energy)
    best = run.best
    for trial in (*(one for one in own if one is not best), *(() if best is None else (best,))):
        if not math.isfinite(trial.metric):
            continue
        xs = places([axis.costs.get(trial.number) for axis in axes])
        shape, kind = _look(run, trial)
        if any(x is not None for x in xs):
            points.append(
                PointMark(
                    xs=xs, y=y(trial.metric), shape=shape, kind=kind, tip=point_text(run, trial), trial=trial.number
                )
            )
    return points


def _look(run: ShownRun, trial: Trial) -> tuple[str, str]:
    if run.best is not None and trial.number == run.best.number:
        return "star", "best"
    if trial in run.earlier:
        return "dot", "earlier"
    return ("circle" if len(run.completed) <= MANY else "dot", "trial") if trial.accepted else ("triangle", "unmet")


def point_text(run: ShownRun, trial: Trial) -> str:
    """What is told of a trial where it is pointed at."""
    axis = run.axes[0]
    cost = axis.costs.get(trial.number, trial.price.energy)
    return f"trial {trial.number}: {run.metric} {trial.metric:.4f}, {axis.text(cost)}, score {trial.score:.4f}"
