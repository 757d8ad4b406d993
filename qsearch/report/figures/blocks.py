"""The blocks of a search: what each one changed, and the trials that it was searched with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qsearch.report.block_rows import trials_of
from qsearch.report.figures.frame import legend, x_axis
from qsearch.report.figures.marks import Box, Figure, Label, Layer, Mark, Path, PointMark, clipped, dots
from qsearch.report.figures.scales import Scale, cost_scale, scale
from qsearch.report.shown_run import ShownRun
from qsearch.report.units import energy
from qsearch.runs.figures import BlockResult, Standing
from qsearch.search.trials import Trial

WIDTH = 860.0
_ROW = 58.0
_COLUMNS = ((226.0, 416.0), (446.0, 636.0), (666.0, 850.0))
_LETTERS = 32
"""Of a line of text beside a block."""


@dataclass(frozen=True)
class _Column:
    """A figure of standings and trials; text: a value as it is written."""

    title: str
    of_standing: Callable[[Standing], float]
    of_trial: Callable[[Trial], float]
    text: Callable[[float], str]
    is_cost: bool


def blocks_figure(run: ShownRun) -> Figure | None:
    """A row for each block, in the order in which they were searched: its layers and trials; energy, metric and score.

    None of a run that did not search blocks, or has no result yet.
    """
    blocks = () if run.result is None else run.result.blocks
    if not blocks:
        return None
    entries = [("dot", "trial", "a trial of the block"), ("circle", "unmet", "before"), ("circle", "best", "after")]
    keys, height = legend(entries, 2, 14, WIDTH - 4)
    top = 34.0 + height
    bottom = top + _ROW * len(blocks)
    marks: list[Mark] = list(keys)
    for index, block in enumerate(blocks):
        marks += _beside(block, top + index * _ROW)
    for column, (left, right) in zip(_columns(run), _COLUMNS, strict=True):
        marks += _drawn(run, blocks, column, Box(left, top, right, bottom))
    return Figure(
        name="block_by_block",
        title="Block by block",
        description=f"For each block its layers and trials, and energy, {run.metric} and score before and after it.",
        width=WIDTH,
        height=bottom + 26,
        layers=(Layer(marks=tuple(marks)),),
        least_width=700,
    )


def _columns(run: ShownRun) -> tuple[_Column, ...]:
    return (
        _Column("energy", lambda one: one.energy, lambda trial: trial.price.energy, energy, True),
        _Column(run.metric, lambda one: one.metric, lambda trial: trial.metric, _number, False),
        _Column("score", lambda one: one.score, lambda trial: trial.score, _number, False),
    )


def _number(value: float) -> str:
    return f"{value:.4f}"


def _beside(block: BlockResult, y: float) -> list[Mark]:
    """Its pattern, its layers, and how much of it there is."""
    names = list(block.chosen)
    layers = f"{len(names)} layers, {names[0]} to {names[-1]}" if len(names) > 2 else ", ".join(names)
    counts = f"{block.share:.1%} of the cost, {trials_of(block)} trials"
    lines = (
        (f"{block.block}. {block.pattern}", "name strong"),
        (layers or "nothing chosen", "small"),
        (counts if block.trial is not None else f"{counts}, none better", "small"),
    )
    return [
        Label(x=2, y=y + 17 + place * 14, text=clipped(text, _LETTERS if place == 0 else _LETTERS + 8), kind=kind)
        for place, (text, kind) in enumerate(lines)
    ]


def _drawn(run: ShownRun, blocks: Sequence[BlockResult], column: _Column, box: Box) -> list[Mark]:
    trials = [[trial for trial in run.record.completed if trial.block == block.block] for block in blocks]
    values = [column.of_standing(one) for block in blocks for one in (block.before, block.after)]
    values += [column.of_trial(trial) for own in trials for trial in own]
    left, right = box.left + 8, box.right - 8
    x = cost_scale(values, left, right) if column.is_cost else scale(values, left, right, 4)
    marks: list[Mark] = [Label(x=box.left, y=box.top - 8, text=_title(column, x), kind="axis-title")]
    marks += x_axis(x, box, "", energy if column.is_cost else None)
    for index, (block, own) in enumerate(zip(blocks, trials, strict=True)):
        y = box.top + index * _ROW
        if index:
            marks.append(Path(d=f"M{box.left:.1f} {y:.1f}H{box.right:.1f}", kind="grid"))
        places = [(x(value), y + 42) for trial in own if math.isfinite(value := column.of_trial(trial))]
        if places:
            marks.append(Path(d=dots(places), kind="dots"))
        marks += _change(block, column, x, y + 24)
    return marks


def _title(column: _Column, x: Scale) -> str:
    return f"{column.title} (logarithmic)" if x.is_log else column.title


def _change(block: BlockResult, column: _Column, x: Scale, y: float) -> list[Mark]:
    """From before to after, with the value that it came to."""
    before, after = column.of_standing(block.before), column.of_standing(block.after)
    told = f"block {block.block}, {column.title}: {column.text(before)} → {column.text(after)}"
    marks: list[Mark] = []
    if math.isfinite(before) and math.isfinite(after):
        marks.append(Path(d=f"M{x(before):.1f} {y:.1f}H{x(after):.1f}", kind="front", tip=told))
    for value, kind in ((before, "unmet"), (after, "best")):
        if math.isfinite(value):
            marks.append(PointMark(xs=(x(value),), y=y, shape="circle", kind=kind, tip="", trial=0))
    if math.isfinite(after):
        is_right = x(after) > (x.start + x.end) / 2
        place = min(x(after) + 9, x.end) if is_right else max(x(after) - 9, x.start)
        marks.append(
            Label(x=place, y=y - 9, text=column.text(after), kind="small", anchor="end" if is_right else "start")
        )
    return marks
