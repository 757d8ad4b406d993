"""Which finished trials of a stopped run are trained again: their weights are wanted, and not there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from qsearch.goal.price import Constraints, Price
from qsearch.plan import QuantizationPlan
from qsearch.runner.model_store import ModelStore
from qsearch.runs.directory import BEST, PLAN
from qsearch.search.trials import AnyTrial, Trial


def lost(
    recorded: Sequence[AnyTrial],
    store: ModelStore,
    constraints: Constraints,
    marked: int,
    is_whole: bool,
    price: Callable[[QuantizationPlan], Price],
) -> frozenset[int]:
    """Trials to train again, in the order of their numbers; each comes to the same weights.

    They are the one that a kill has cut off from its weights, and, after a change of the budget or of how many models
    are wanted, the best trial and the others that are wanted now; and trials whose weights one of these starts from.

    Args:
        store: of a search that begins.
        marked: the last trial whose weights were written.
        is_whole: whether the whole network is searched at once; else a change of these is not allowed.
        price: of a plan, as a journal does not tell what an earlier budget did not limit.
    """
    completed = {trial.number: trial for trial in recorded if isinstance(trial, Trial)}
    there = store.checkpoints.kept
    missing = {number for number in completed if number > marked}
    best = best_of(recorded, store, constraints, price) if is_whole else None
    if best is not None:
        if best.plan != _plan_in(store.directory.path / BEST / PLAN):
            missing.add(best.number)
        missing |= replace(store, completed=_judged(recorded, constraints, price)).wanted().keys() - there
    return frozenset(_with_parents(missing, completed, there))


def best_of(
    recorded: Sequence[AnyTrial],
    store: ModelStore,
    constraints: Constraints,
    price: Callable[[QuantizationPlan], Price],
) -> Trial | None:
    """The best of finished trials within these constraints; of equal ones the first."""
    return max(_judged(recorded, constraints, price), key=lambda trial: trial.rank(store.recipe.target), default=None)


def _judged(
    recorded: Sequence[AnyTrial], constraints: Constraints, price: Callable[[QuantizationPlan], Price]
) -> list[Trial]:
    completed = [trial for trial in recorded if isinstance(trial, Trial)]
    prices = [price(trial.plan) if constraints.further else trial.price for trial in completed]
    return [
        replace(trial, accepted=trial.accepted and constraints.objection(own) is None)
        for trial, own in zip(completed, prices, strict=True)
    ]


def parents(trials: Collection[int], recorded: Sequence[AnyTrial]) -> frozenset[int]:
    """Trials whose weights these start from."""
    found = {trial.proposal.parent for trial in recorded if trial.number in trials}
    return frozenset(parent for parent in found if parent is not None)


def _with_parents(trials: set[int], completed: Mapping[int, Trial], there: Collection[int]) -> set[int]:
    found = set(trials)
    left = sorted(found)
    while left:
        parent = completed[left.pop()].proposal.parent
        if parent is not None and parent in completed and parent not in there and parent not in found:
            found.add(parent)
            left.append(parent)
    return found


def _plan_in(path: Path) -> QuantizationPlan | None:
    try:
        return QuantizationPlan.from_dict(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return None
