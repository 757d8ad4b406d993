"""The trial loop: ask for values, price, train, write down, tell the algorithm."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from qsearch.errors import QsearchError
from qsearch.plan import QuantizationPlan
from qsearch.search.oracle import Proposer
from qsearch.search.space import LEARNING_RATE, SearchSpace, Values
from qsearch.search.trials import AnyTrial, Candidate, FailedTrial, Observer, SkippedTrial, Trained, Trial

Model = Any
"""What training gives and `keep` takes; the loop never looks into it."""

MAX_REPEATS = 100
"""Repeats in a row after which the space counts as used up."""
MAX_FAILURES = 5
"""Failures in a row, with no trial completed yet, after which the search stops."""


@dataclass(frozen=True)
class Price:
    """The cost of a plan in the goal's unit, its energy in pJ, and what that cost is worth."""

    cost: float
    energy: float
    delta: float


@dataclass(frozen=True)
class Search:
    """Everything that one search needs.

    Attributes:
        price: cost of a plan, without building its model.
        train: builds and trains a candidate: what training came to, and the trained model.
        target: the target metric, as training names it ("val_acc").
        record: called with every trial before anything else believes it.
        keep: called with each new best trial and its trained model.
    """

    space: SearchSpace
    proposer: Proposer
    price: Callable[[QuantizationPlan], Price]
    train: Callable[[Candidate], tuple[Trained, Model]]
    target: str
    max_trials: int
    record: Callable[[AnyTrial], None]
    keep: Callable[[Trial, Model], None]
    observer: Observer


@dataclass(frozen=True)
class SearchResult:
    """All trials in order, the best completed one, and why the search ended."""

    trials: tuple[AnyTrial, ...]
    best: Trial | None
    ended: str


def run(search: Search) -> SearchResult:
    """Run trials until `max_trials` of them were trained, or no new plan is left.

    Values that mean the plan of an earlier trial are recorded as skipped and do not count;
    failed trials count.
    """
    trials: list[AnyTrial] = []
    told: dict[Hashable, tuple[int, float]] = {}
    best: Trial | None = None
    number = repeats = 0
    while number < search.max_trials:
        values = search.proposer.next()
        if values is None or repeats >= MAX_REPEATS:
            return SearchResult(tuple(trials), best, f"all {search.space.size} combinations tried, {number} trials")
        trial_id, plan = len(trials) + 1, search.space.plan(values)
        identity = (plan, values.get(LEARNING_RATE))
        if identity in told:
            repeats += 1
            same_as, score = told[identity]
            trial: AnyTrial = SkippedTrial(trial_id, values, plan, same_as)
            search.record(trial)
        else:
            repeats = 0
            number += 1
            trial, model = _attempt(search, trial_id, values, plan, number)
            search.record(trial)
            if isinstance(trial, Trial):
                score = trial.score
                if model is not None and (best is None or score > best.score):
                    best = trial
                    search.keep(trial, model)
            else:
                # KerasTuner needs a finite score, and one that makes a failure no better than any success.
                score = min((score for _, score in told.values()), default=0.0)
            told[identity] = (trial_id, score)
        trials.append(trial)
        search.proposer.report(score)
        search.observer.trial_ended(trial, best, number, search.max_trials)
        if best is None and number >= MAX_FAILURES:
            return SearchResult(tuple(trials), best, f"the first {number} trials all failed")
    return SearchResult(tuple(trials), best, f"all {search.max_trials} trials done")


def _attempt(
    search: Search, trial_id: int, values: Values, plan: QuantizationPlan, number: int
) -> tuple[Trial | FailedTrial, Model]:
    started = time.monotonic()

    def failed(reason: str) -> tuple[FailedTrial, None]:
        return FailedTrial(trial_id, values, plan, reason, time.monotonic() - started), None

    try:
        price = search.price(plan)
        candidate = Candidate(trial_id, values, plan, price.cost, price.energy, price.delta)
        search.observer.trial_started(candidate, number, search.max_trials)
        trained, model = search.train(candidate)
    except QsearchError as error:
        return failed(str(error))
    except Exception as error:  # one bad candidate must not end a search of hours; the journal keeps its reason
        return failed(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")
    score = trained.metrics[search.target] * (1 + price.delta)
    if not math.isfinite(score):
        return failed(f"score is {score}")
    seconds = time.monotonic() - started
    return Trial(candidate, trained.metrics, score, trained.epochs, trained.best_epoch, seconds), model
