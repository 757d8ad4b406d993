"""What a run has to tell beside its figures: keys that it had no use for, and why it found nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from qsearch.config.schema import RunConfig
from qsearch.config.search_modes import SEARCH_MODES
from qsearch.runner.staged_search import StagedSearch
from qsearch.search.trials import FailedTrial, SkippedTrial


def unused_keys(run: RunConfig) -> list[str]:
    """Keys of a configuration that a run had no use for, a line each."""
    return [*_about_the_end(run), *_about_the_start(run), *_about_blocks(run), *_of_other_modes(run)]


def _about_the_end(run: RunConfig) -> Iterator[str]:
    if run.max_epochs_total is not None and run.max_trials != RunConfig.model_fields["max_trials"].default:
        yield f"run.max_trials: not used, as max_epochs_total says when the search ends: {run.max_epochs_total} epochs"


def _of_other_modes(run: RunConfig) -> Iterator[str]:
    every = dict.fromkeys(name for mode in SEARCH_MODES.values() for name in mode.options)
    for name in every:
        if getattr(run, name) is not None and name not in run.search_mode.options:
            readers = " and ".join(mode.name for mode in SEARCH_MODES.values() if name in mode.options)
            yield f"run.{name}: is for mode {readers}; not used in mode {run.mode}"


def _about_the_start(run: RunConfig) -> Iterator[str]:
    if run.start != RunConfig.model_fields["start"].default and not run.search_mode.starts:
        modes = " and ".join(mode.name for mode in SEARCH_MODES.values() if mode.starts)
        yield f"run.start: is for modes {modes}; not used in mode {run.mode}"


def _about_blocks(run: RunConfig) -> Iterator[str]:
    """Keys that mean nothing in this kind of search."""
    if not run.blocks:
        for key in ("min_trials_per_block", "block_learning_rates", "blocks_to_come"):
            if getattr(run, key) != RunConfig.model_fields[key].default:  # a run's own config.yaml has all of them
                yield f"run.{key}: is for a search block by block; not used without run.blocks"
    elif run.transfer_weights is False:
        yield "run.transfer_weights: false is for the whole network at once; blocks start from the best model so far"


def nothing_found(search: StagedSearch, ended: str, journal: Path) -> str:
    """Why a search is without a single usable trial.

    Args:
        ended: why it ended.
    """
    if search.cut_short:
        failed = any(isinstance(trial, FailedTrial) for trial in search.trials)
        why = f": {search.why_failed()}" if failed else ""
        return f"run.time_limit: no trial was completed ({ended}){why}; allow more time, and go on with qsearch resume"
    if all(isinstance(trial, SkippedTrial) for trial in search.trials):
        nearest = search.nearest()
        if search.constraints.objection(nearest) is None:
            return (
                f"run.budget: nothing that was proposed is inside it ({ended}), and there are candidates that are, of "
                f"{nearest.energy:,.2f} pJ for one; mode guided and mode pareto look for them; what was looked at is "
                f"in {journal}"
            )
        return (
            f"run.budget: no candidate is inside it ({ended}); the cheapest takes "
            f"{nearest.energy:,.2f} pJ; what was looked at is in {journal}"
        )
    return f"no trial was completed ({ended}): {search.why_failed()}; every trial is in {journal}"
