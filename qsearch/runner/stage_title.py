"""The line that a stage of a search begins with: what is searched, how, and how long."""

from __future__ import annotations

from qsearch.blocks.schedule import Stage
from qsearch.config.schema import RunConfig
from qsearch.search.space import SearchSpace


def title(stage: Stage, stages: int, run: RunConfig, total: int | None, space: SearchSpace) -> str:
    """Of a stage.

    Args:
        stages: how many there are.
        total: trials, where the algorithm has a number of its own.
    """
    place = "search"
    if stage.block is not None:
        place = f"block {stage.number} of {stages}, {stage.block.pattern}"
    described = f"{space.size:.3g} combinations of {len(space.dimensions)} choices"
    return f"{place}, {run.mode}: {_length(stage, run, total)}, {described}"


def _length(stage: Stage, run: RunConfig, total: int | None) -> str:
    if total is not None:
        return f"{total} trials of up to {run.max_epochs or run.epochs} epochs"
    if not run.search_mode.trains:
        return f"{stage.trials} plans, not trained"
    extent = stage.extent
    if extent.epochs is not None:
        shared = f", {extent.before} of them before the first one" if extent.before else ""
        return f"trials of {run.epochs} epochs until {extent.epochs:,} are trained{shared}"
    return f"{extent.trials} trials of {run.epochs} epochs"
