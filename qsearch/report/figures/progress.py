"""How a search went: figures of trials in their order, and learning curves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from qsearch.report.figures.frame import legend, x_axis, y_axis
from qsearch.report.figures.marks import Box, Figure, Layer, Mark, Path, dots, polyline, steps
from qsearch.report.figures.scales import Scale, cost_scale, scale
from qsearch.report.shown_run import ShownRun
from qsearch.report.units import energy
from qsearch.search.trials import Trial

WIDTH = 860.0
_PANEL, _GAP = 128.0, 44.0
CURVES = 60
"""Learning curves that are drawn faintly, the best first; of the best of them, CLEARLY."""
CLEARLY = 4
_MUCH_LONGER = 4
"""Times the epochs of trials."""


def progress(run: ShownRun) -> Figure:
    """Score, metric and energy of each trial, and of the best trial so far."""
    keys, height = legend(_progress_entries(run), 2, 14, WIDTH - 24)
    top = 34 + height
    numbers = [trial.number for trial in run.record.trials]
    count = max(numbers, default=1)
    marks: list[Mark] = list(keys)
    panels: tuple[tuple[str, Callable[[Trial], float], bool], ...] = (
        ("score", lambda trial: trial.score, False),
        (f"{run.metric} on the selection set", lambda trial: trial.metric, False),
        ("energy", lambda trial: trial.price.energy, True),
    )
    for index, (title, of, is_cost) in enumerate(panels):
        box = Box(66, top + index * (_PANEL + _GAP), WIDTH - 22, top + index * (_PANEL + _GAP) + _PANEL)
        x = scale([1, count], box.left + 10, box.right - 10) if count > 1 else scale([0, 2], box.left, box.right)
        x = Scale(min(1, count), max(count, 2), x.start, x.end, False, _whole(count))
        marks += _panel(run, title, of, is_cost, box, x)
        if index == len(panels) - 1:
            marks += x_axis(x, box, "trial", lambda tick: f"{tick:.0f}", grid=False)
    return Figure(
        name="progress",
        title="The search, trial by trial",
        description="Score, metric and energy of every trial in the order of the search, and of the best one so far.",
        width=WIDTH,
        height=top + 3 * _PANEL + 2 * _GAP + 48,
        layers=(Layer(marks=tuple(marks)),),
        least_width=700,
    )


def _progress_entries(run: ShownRun) -> list[tuple[str, str, str]]:
    found = [("dot", "trial", "trial"), ("line", "best-line", "best so far")]
    if run.failed:
        found.append(("line", "failed", f"failed ({len(run.failed)})"))
    if run.skipped:
        found.append(("line", "skipped", f"skipped ({len(run.skipped)})"))
    return found


def _whole(count: int) -> tuple[float, ...]:
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10**9) if count / step <= 12)
    ticks = [tick for tick in range(step, count + 1, step) if tick > 1]
    return (1.0, *map(float, ticks)) if step < 5 or not ticks else tuple(map(float, (1, *ticks)))


def _panel(run: ShownRun, title: str, of: Callable[[Trial], float], is_cost: bool, box: Box, x: Scale) -> list[Mark]:
    trials = [trial for trial in (*run.earlier, *run.completed) if math.isfinite(of(trial))]
    values = [of(trial) for trial in trials]
    y = cost_scale(values, box.bottom, box.top) if is_cost else scale(values, box.bottom, box.top, 4)
    marks = y_axis(y, box, title + (" (logarithmic)" if y.is_log else ""), energy if is_cost else None)
    missed = (("skipped", run.skipped), ("failed", run.failed))
    for kind, found in missed:
        if found:
            ticks = "".join(f"M{x(trial.number):.1f} {box.bottom - 6:.1f}v6" for trial in found)
            marks.append(Path(d=ticks, kind=kind))
    marks.append(Path(d=dots([(x(t.number), y(of(t))) for t in trials]), kind="dots"))
    marks.append(Path(d=_best_so_far(run, trials, of, x, y), kind="best-line"))
    return marks


def _best_so_far(run: ShownRun, trials: Sequence[Trial], of: Callable[[Trial], float], x: Scale, y: Scale) -> str:
    """Of each block anew, as scores of blocks are not the same thing."""
    paths, block, best = [], None, None
    points: list[tuple[float, float]] = []
    ordered = sorted(trials, key=lambda trial: trial.number)
    for trial in ordered:
        if trial.block != block:
            paths.append(steps(points))
            points, block, best = [], trial.block, None
        leads = best is None or trial.rank(run.target) > best.rank(run.target)
        if leads:
            best = trial
            points.append((x(trial.number), y(of(trial))))
        elif points:
            points.append((x(trial.number), points[-1][1]))
    paths.append(steps(points))
    return "".join(paths)


def curves(run: ShownRun) -> Figure | None:
    """The metric after each epoch, of trials and of the reference; None where none has more than one epoch.

    Epochs are shown by their logarithm where the reference was trained much longer than trials were.
    """
    drawn = [trial for trial in run.ranked if len(trial.trained.curve) > 1][:CURVES]
    known = () if run.reference is None else run.reference.curve
    of_reference = known if len(known) > 1 else ()
    if not drawn and not of_reference:
        return None
    keys, height = legend(_curve_entries(run, drawn, bool(of_reference)), 2, 14, WIDTH - 4)
    box = Box(66, 34 + height, WIDTH - 22, 34 + height + 260)
    values = [value for trial in drawn for value in trial.trained.curve] + list(of_reference)
    if run.reference_metric is not None:
        values.append(run.reference_metric)
    y = scale(values, box.bottom, box.top)
    begin = min([_first(trial) for trial in drawn] + [1] * bool(of_reference))
    longest = max((trial.trained.epochs for trial in drawn), default=0)
    last, is_log = max(longest, len(of_reference)), bool(drawn) and len(of_reference) > longest * _MUCH_LONGER
    x = Scale(begin, max(last, begin + 1), box.left + 10, box.right - 10, is_log, _ticks(last, is_log))
    marks = [*keys, *y_axis(y, box, f"{run.metric} on the selection set"), *_epochs(x, box)]
    if run.reference_metric is not None:
        level = y(run.reference_metric)
        marks.append(Path(d=f"M{box.left:.1f} {level:.1f}H{box.right:.1f}", kind="reference-line"))
    if of_reference:
        marks.append(Path(d=_line(of_reference, 1, x, y), kind="reference-curve", tip="reference"))
    for place in range(len(drawn) - 1, -1, -1):
        trial = drawn[place]
        kind = f"curve{place}" if place < CLEARLY else "curve-faint"
        line = _line(trial.trained.curve, _first(trial), x, y)
        marks.append(Path(d=line, kind=kind, tip=f"trial {trial.number}" if place < CLEARLY else ""))
    told = f"of the best {len(drawn)} trials{' and of the reference' if of_reference else ''}"
    return Figure(
        name="curves",
        title="Learning curves",
        description=f"{run.metric} on the selection set after each epoch, {told}.",
        width=WIDTH,
        height=box.bottom + 48,
        layers=(Layer(marks=tuple(marks)),),
        least_width=700,
    )


def _curve_entries(run: ShownRun, drawn: Sequence[Trial], has_reference: bool) -> list[tuple[str, str, str]]:
    first = drawn[:CLEARLY]
    entries = [("line", f"curve{index}", f"trial {trial.number}") for index, trial in enumerate(first)]
    if len(drawn) > len(first):
        entries.append(("line", "curve-faint", f"{len(drawn) - len(first)} others"))
    if has_reference:
        entries.append(("line", "reference-curve", "reference"))
    if run.reference_metric is not None:
        entries.append(("line", "reference-line", "reference, trained"))
    return entries


def _line(curve: Sequence[float], first: int, x: Scale, y: Scale) -> str:
    """Through the epochs that have a metric."""
    return polyline([(x(first + epoch), y(value)) for epoch, value in enumerate(curve) if math.isfinite(value)])


def _ticks(last: int, is_log: bool) -> tuple[float, ...]:
    if not is_log:
        return _whole(last)
    return tuple(float(tick) for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if tick <= last)


def _epochs(x: Scale, box: Box) -> list[Mark]:
    title = "epoch (logarithmic)" if x.is_log else "epoch"
    return x_axis(x, box, title, lambda tick: f"{tick:.0f}", grid=False)


def _first(trial: Trial) -> int:
    """The first epoch of its curve."""
    return max(trial.trained.epochs - len(trial.trained.curve) + 1, 1)
