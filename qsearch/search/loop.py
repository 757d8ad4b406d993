"""The trial loop: ask for values, price, train what can win, write down, tell the algorithm."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from qsearch.errors import QsearchError, plain, reason_of
from qsearch.goal.price import Constraints, Price
from qsearch.goal.target import Target
from qsearch.interrupts import Interrupts
from qsearch.plan import QuantizationPlan
from qsearch.search.curves import LearningCurves
from qsearch.search.proposals import Feedback, Proposal, Proposer
from qsearch.search.space import LEARNING_RATE, SearchSpace
from qsearch.search.trials import AnyTrial, Candidate, FailedTrial, Observer, SkippedTrial, Trained, Trial

Model = Any
"""What training gives and `keep` takes; the loop never looks into it."""

MAX_IDLE = 300
"""Proposals in a row that need no training after which the search ends."""
MAX_FAILURES = 5
"""Failures in a row, with no trial completed yet, after which the search stops."""

Stop = Callable[[list[float]], str | None]
"""Given the target metric after every epoch so far: why to stop training, or None."""


@dataclass(frozen=True)
class Search:
    """Everything that one search needs.

    Attributes:
        price: cost of a plan, without building its model.
        train: builds and trains a candidate: what training came to, and the trained model.
        max_trials: trials to train; ignored where the proposer has a number of its own.
        record: called with every trial before anything else believes it.
        keep: called with each completed trial, its trained model, and whether it is the best so far.
        prune: do not train what cannot come among the `best_models` best, even with a perfect metric.
        whole_front: the front is wanted, so that no score rules a candidate out.
        early_stop: end the training of what can no longer win, as far as earlier learning curves tell.
        objection: why a plan is outside the budget, or None; in place of the constraints' own.
        block: the number of the block that is searched, which trials are marked with.
        earlier: trials before this search, which its numbers go on from.
        incumbent: a trial of an earlier search that this one's must beat.
        interrupts: raised in proposals and in training; held while a trial is written down.
    """

    space: SearchSpace
    proposer: Proposer
    price: Callable[[QuantizationPlan], Price]
    train: Callable[[Candidate, Stop | None], tuple[Trained, Model]]
    target: Target
    max_trials: int
    record: Callable[[AnyTrial], None]
    keep: Callable[[Trial, Model, bool], None]
    observer: Observer
    constraints: Constraints = field(default_factory=Constraints)
    prune: bool = True
    whole_front: bool = False
    early_stop: bool = False
    best_models: int = 1
    objection: Callable[[QuantizationPlan, Price], str | None] | None = None
    block: int | None = None
    earlier: int = 0
    incumbent: Trial | None = None
    interrupts: Interrupts = field(default_factory=Interrupts)


@dataclass(frozen=True)
class SearchResult:
    """All trials in order, the best completed one, and why the search ended."""

    trials: tuple[AnyTrial, ...]
    best: Trial | None
    ended: str


def run(search: Search) -> SearchResult:
    """Run trials until enough of them were trained, or nothing is left that could win.

    Values that mean the plan of an earlier trial, that are outside the budget or that cannot win are recorded as
    skipped and do not count; failed trials count.
    """
    with search.interrupts.held():
        return _Loop(search).go()


@dataclass
class _Loop:
    """The state of one search."""

    search: Search
    trials: list[AnyTrial] = field(default_factory=list)
    completed: list[Trial] = field(default_factory=list)
    told: dict[Hashable, Feedback] = field(default_factory=dict)
    best: Trial | None = None
    number: int = 0
    idle: int = 0

    def __post_init__(self) -> None:
        target = self.search.target
        self.curves = LearningCurves(None if target.limit is None else target.worth(target.limit))
        self.best = self.search.incumbent

    def go(self) -> SearchResult:
        search = self.search
        total = search.proposer.total
        while total is not None or self.number < search.max_trials:
            with search.interrupts.allowed():
                proposal = search.proposer.next()
            if proposal is None or (total is None and self.idle >= MAX_IDLE):
                return self._result(self._exhausted(total))
            told = self._tried(proposal, search.max_trials if total is None else total)
            self.trials.append(told.trial)
            search.proposer.tell(told)
            if self.number >= MAX_FAILURES and not self.completed:
                return self._result(f"the first {self.number} trials all failed")
        return self._result(f"all {search.max_trials} trials done")

    def _exhausted(self, total: int | None) -> str:
        if total is not None:
            return f"all brackets done, {self.number} trials trained"
        skipped = [trial for trial in self.trials if isinstance(trial, SkippedTrial) and trial.same_as is None]
        if skipped:
            return f"nothing left that could win, {self.number} trials trained; last: {skipped[-1].reason}"
        if self.search.constraints.limits_cost and len(self.told) < self.search.space.size:
            return f"nothing left that could win inside the budget, {self.number} trials trained"
        return f"all {self.search.space.size} combinations tried, {self.number} trials"

    def _result(self, ended: str) -> SearchResult:
        return SearchResult(tuple(self.trials), self.best, ended)

    def _tried(self, proposal: Proposal, total: int) -> Feedback:
        """Skip or train a proposal, record what came of it and tell the observer."""
        trial_id = self.search.earlier + len(self.trials) + 1
        plan = self.search.space.plan(proposal.values)
        identity = (plan, proposal.values.get(LEARNING_RATE), proposal.epochs)
        skipped = self._skipped(trial_id, proposal, plan, identity)
        if skipped is not None:
            self.idle += 1
            self.search.record(skipped.trial)
        else:
            self.idle = 0
            self.number += 1
            skipped = self._trained(trial_id, proposal, plan, total)
        self.told.setdefault(identity, skipped)
        self.search.observer.trial_ended(skipped.trial, self.best, self.number, total)
        return skipped

    def _skipped(
        self, trial_id: int, proposal: Proposal, plan: QuantizationPlan, identity: Hashable
    ) -> Feedback | None:
        def skip(reason: str, **facts: Any) -> SkippedTrial:
            return SkippedTrial(trial_id, proposal.values, plan, reason, block=self.search.block, **facts)

        if identity in self.told:
            earlier = self.told[identity]
            number = getattr(earlier.trial, "same_as", None) or earlier.trial.number
            trial = skip(f"same plan as trial {number}", same_as=number)
            return Feedback(trial, earlier.score, earlier.worth, earlier.bound)
        try:
            price = self.search.price(plan)
        except QsearchError:
            return None  # becomes a failed trial, which counts
        objecting = self.search.objection or (lambda _, found: self.search.constraints.objection(found))
        objection = objecting(plan, price)
        if objection is not None:
            return Feedback(skip(objection, energy=round(price.energy, 2)))
        bound = self.search.target.bound(price.delta)
        least = self._least() if self.search.prune else None
        if bound is not None and least is not None and bound <= least:
            reason = f"its score can be {bound:.4f} at most, not above {least:.4f}"
            return Feedback(skip(reason, energy=round(price.energy, 2), bound=bound), bound=bound)
        return None

    def _least(self) -> float | None:
        """The score that a trial must pass to matter; None as long as every one does."""
        search = self.search
        if search.whole_front:
            return None
        scores = sorted((trial.score for trial in self.completed if trial.accepted), reverse=True)
        return scores[search.best_models - 1] if len(scores) >= search.best_models else None

    def _trained(self, trial_id: int, proposal: Proposal, plan: QuantizationPlan, total: int) -> Feedback:
        trial, model = self._attempt(trial_id, proposal, plan, total)
        self.search.record(trial)
        if not isinstance(trial, Trial):
            return Feedback(trial)
        self.completed.append(trial)
        if trial.trained.stopped is None and not trial.candidate.first_epoch:
            self.curves.add([self.search.target.worth(value) for value in trial.trained.curve])
        target = self.search.target
        better = self.best is None or trial.rank(target) > self.best.rank(target)
        if better:
            self.best = trial
        self.search.keep(trial, model, better)
        return Feedback(trial, trial.score, self.search.target.worth(trial.metric))

    def _attempt(
        self, trial_id: int, proposal: Proposal, plan: QuantizationPlan, total: int
    ) -> tuple[Trial | FailedTrial, Model]:
        search, started = self.search, time.monotonic()

        def failed(reason: str) -> tuple[FailedTrial, None]:
            return FailedTrial(trial_id, proposal.values, plan, reason, time.monotonic() - started, search.block), None

        try:
            price = search.price(plan)
            candidate = Candidate(
                trial_id,
                proposal.values,
                plan,
                price.cost,
                price.energy,
                price.delta,
                proposal.epochs,
                proposal.first_epoch,
                proposal.parent,
            )
            search.observer.trial_started(candidate, self.number, total)
            stop = self._stop(price.delta) if search.early_stop else None
            with search.interrupts.allowed():
                trained, model = search.train(candidate, stop)
        except QsearchError as error:
            return failed(plain(error))
        except Exception as error:  # one bad candidate must not end a search of hours; the journal keeps its reason
            return failed(f"{type(error).__name__}: {reason_of(error)}")
        metric = trained.metrics[search.target.name]
        score = search.target.score(metric, price.delta)
        if not math.isfinite(score):
            return failed(f"score is {score}")
        least = search.constraints.metric
        accepted = least is None or search.target.worth(metric) >= search.target.worth(least)
        seconds = time.monotonic() - started
        return Trial(candidate, trained, search.target.name, score, seconds, accepted, search.block), model

    def _stop(self, delta: float) -> Stop:
        target, least = self.search.target, self._least()

        def stop(curve: list[float]) -> str | None:
            reach = self.curves.reach([target.worth(value) for value in curve])
            if reach is None or least is None:
                return None
            score = target.score(target.worth(reach), delta)
            return None if score > least else f"a score of {score:.4f} is in reach, {least:.4f} needed"

        return stop
