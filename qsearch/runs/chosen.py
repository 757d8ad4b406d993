"""What a record selects by, and which trial is the best one so far."""

from __future__ import annotations

from collections.abc import Sequence

from qsearch.goal.target import Target
from qsearch.plan import QuantizationPlan
from qsearch.runs.record import RunRecord
from qsearch.runs.result import Result
from qsearch.search.trials import AnyTrial, Trial


def result_of(record: RunRecord) -> Result | None:
    """What a run came to; None where that is not written yet, or is of fewer trials than there are."""
    result = record.result
    told = None if result is None else result.trials
    if told is not None and told.completed + told.failed + told.skipped != len(record.trials):
        return None  # of before it went on
    return result


def target_of(record: RunRecord) -> Target:
    """The metric and its direction; the best value that it can have does not matter any more."""
    known = record.result or record.costs
    if known is not None:
        return Target(f"val_{known.target_metric}", known.direction == "max", None)
    completed = of_last_block(record.trials)
    name = completed[0].target if completed else f"val_{record.config.reference.metrics[0]}"
    # a score has the sign of the metric where more is better, and the other one where less is
    turned = any(trial.score * trial.metric < 0 for trial in completed)
    return Target(name, not turned, None)


def best_of(record: RunRecord, result: Result | None, comparable: Sequence[Trial], target: Target) -> Trial | None:
    """The trial of the model in best/; it is not that of the last block where that found nothing better.

    Args:
        result: what the run came to; None while that is not known.
        comparable: the trials that may be the best one where neither the result nor best/plan.yaml tells it.
    """
    every = {trial.number: trial for trial in record.completed}
    if result is not None:
        return None if result.best is None else every.get(result.best.trial)
    there = [trial for trial in every.values() if _same(trial.plan, record.best_plan)]
    return max(there or comparable, key=lambda trial: trial.rank(target), default=None)


def of_last_block(trials: Sequence[AnyTrial]) -> tuple[Trial, ...]:
    """The completed trials that can be compared: of the last block alone, as earlier ones leave layers unquantized."""
    last = max((trial.block or 0 for trial in trials), default=0)
    return tuple(trial for trial in trials if isinstance(trial, Trial) and (trial.block or 0) == last)


def ranked_by_block(trials: Sequence[AnyTrial], target: Target) -> tuple[Trial, ...]:
    """The completed trials, those of the last block first, of each block the best first.

    Scores of blocks are reckoned differently, each with what is still to come, so that trials of different blocks have
    no order of their own.
    """
    completed = [trial for trial in trials if isinstance(trial, Trial)]
    return tuple(sorted(completed, key=lambda trial: (trial.block or 0, *trial.rank(target)), reverse=True))


def _same(plan: QuantizationPlan, other: QuantizationPlan | None) -> bool:
    return other is not None and plan == other
