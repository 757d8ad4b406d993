"""The trial loop: ask for a proposal, train what can win, write down, tell the algorithm."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from qsearch.errors import QsearchError, plain, reason_of
from qsearch.goal.price import Constraints, Price
from qsearch.goal.target import Target
from qsearch.interrupts import Interrupts
from qsearch.plan import QuantizationPlan
from qsearch.search.candidates import Candidate
from qsearch.search.curves import LearningCurves
from qsearch.search.known import again, known_as
from qsearch.search.proposals import Feedback, Proposal, Proposer
from qsearch.search.space import SearchSpace
from qsearch.search.time_limits import OutOfTimeError
from qsearch.search.trials import AnyTrial, FailedTrial, Observer, SkippedTrial, Trained, Trial

Weights = Any
"""What training gives beside the figures and `keep` takes; the loop never looks into it."""

INTERRUPTED = "interrupted"
"""Why a search ended that did not end by itself."""
MAX_IDLE = 300
"""Proposals in a row that need no training after which the search ends."""

Stop = Callable[[list[float]], str | None]
"""Given the target metric after every epoch so far: why to stop training, or None."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """Everything that one search needs.

    Attributes:
        objection: why a plan is not to be trained that its price does not rule out, or None; asked last.
        train: builds and trains what is proposed as the trial of a number: what training came to, and the weights.
        max_trials: trials to train; ignored where the proposer has a number of its own.
        max_failures: failed trials, with none completed, after which the search ends.
        out_of_time: why the search has to end now, or None; asked before each proposal. A trial whose training raises
            OutOfTimeError is dropped, and the search ends.
        record: called with every trial before anything else believes it.
        keep: called with each completed trial, its weights, and whether it is the best so far; the weights are None
            of a trial that an earlier process trained.
        known: trials of an earlier process, by number: they are not trained again.
        prune: do not train what cannot come among the `best_models` best, even with a perfect metric.
        whole_front: the front is wanted, so that no score rules a candidate out.
        early_stop: end the training of what can no longer win, as far as earlier learning curves tell.
        block: the number of the block that is searched, which trials are marked with.
        earlier: trials before this search, which its numbers go on from.
        incumbent: a trial of an earlier search that this one's must beat.
        interrupts: raised in proposals and in training; held while a trial is written down.
    """

    space: SearchSpace
    proposer: Proposer
    train: Callable[[int, Proposal, Price, Stop | None], tuple[Trained, Weights]]
    target: Target
    max_trials: int
    max_failures: int
    record: Callable[[AnyTrial], None]
    keep: Callable[[Trial, Weights, bool], None]
    observer: Observer
    known: Mapping[int, AnyTrial] = field(default_factory=dict)
    constraints: Constraints = field(default_factory=Constraints)
    objection: Callable[[QuantizationPlan], str | None] | None = None
    prune: bool = True
    whole_front: bool = False
    early_stop: bool = False
    best_models: int = 1
    block: int | None = None
    earlier: int = 0
    incumbent: Trial | None = None
    interrupts: Interrupts = field(default_factory=Interrupts)
    out_of_time: Callable[[], str | None] = lambda: None


class TrialLoop:
    """One search as it goes on.

    Attributes:
        trials: all of them so far, in order.
        best: the best completed one, or the incumbent while none beats it.
        ended: why the search ended.
        cut_short: whether it was for want of time.
    """

    def __init__(self, search: Search) -> None:
        self.trials: list[AnyTrial] = []
        self.best = search.incumbent
        self.ended = INTERRUPTED
        self.cut_short = False
        self._search = search
        target = search.target
        self._curves = LearningCurves(None if target.limit is None else target.worth(target.limit))
        self._completed: list[Trial] = []
        self._told: dict[Hashable, Feedback] = {}
        self._trained = self._idle = 0

    def run(self) -> TrialLoop:
        """Run trials until enough of them were trained, or nothing is left that could win.

        Values that mean the plan of an earlier trial, that are outside the budget or that cannot win are recorded as
        skipped and do not count; failed trials count.
        """
        with self._search.interrupts.held():
            self.ended = self._run()
        return self

    @property
    def found(self) -> Trial | None:
        """The best trial of this search alone, where it beats the incumbent."""
        return None if self.best is self._search.incumbent else self.best

    def _run(self) -> str:
        search = self._search
        total = search.proposer.total
        while total is not None or self._trained < search.max_trials:
            number = search.earlier + len(self.trials) + 1
            reason = None if number in search.known else search.out_of_time()
            if reason is not None:
                return self._cut_short(reason)
            with search.interrupts.allowed():
                proposal = search.proposer.ask(number)
            if proposal is None or (total is None and self._idle >= MAX_IDLE):
                return self._exhausted(total)
            try:
                told = self._tried(number, proposal, search.max_trials if total is None else total)
            except OutOfTimeError as error:
                return self._cut_short(str(error))
            search.proposer.tell(number, told)
            if self._trained >= search.max_failures and not self._completed:
                return f"the first {self._trained} trials all failed"
        return f"all {search.max_trials} trials done"

    def _cut_short(self, reason: str) -> str:
        self.cut_short = True
        trained = sum(not isinstance(trial, SkippedTrial) for trial in self.trials)
        return f"{reason}, {trained} trials trained"

    def _exhausted(self, total: int | None) -> str:
        trained, space = self._trained, self._search.space
        if total is not None:
            return f"all brackets done, {trained} trials trained"
        skipped = [trial for trial in self.trials if isinstance(trial, SkippedTrial) and trial.same_as is None]
        if skipped:
            return f"nothing left that could win, {trained} trials trained; last: {skipped[-1].reason}"
        if self._search.constraints.limits_cost and len(self._told) < space.size:
            return f"nothing left that could win inside the budget, {trained} trials trained"
        return f"all {space.size} combinations tried, {trained} trials"

    def _tried(self, number: int, proposal: Proposal, total: int) -> Feedback:
        """Skip or train a proposal, record what came of it and tell the observer."""
        identity = (proposal.candidate.identity, proposal.epochs)
        skipped = self._skipped(number, proposal, self._told.get(identity))
        trial: AnyTrial
        if skipped is not None:
            trial, feedback = skipped
            known_as(self._search.known.get(number), skipped[0])
            self._idle += 1
            self._record(trial)
        else:
            self._idle = 0
            self._trained += 1
            trial, feedback = self._judged(number, proposal, total)
        self._told.setdefault(identity, feedback)
        if number not in self._search.known:
            self._search.observer.trial_ended(trial, self.best, self._trained, total)
        return feedback

    def _record(self, trial: AnyTrial) -> None:
        self._search.record(trial)
        self.trials.append(trial)

    def _skipped(
        self, number: int, proposal: Proposal, earlier: Feedback | None
    ) -> tuple[SkippedTrial, Feedback] | None:
        """A proposal that needs no training, or None."""

        def skip(reason: str, **facts: Any) -> SkippedTrial:
            return SkippedTrial(number=number, proposal=proposal, reason=reason, block=self._search.block, **facts)

        if earlier is not None:
            return skip(f"same plan as trial {earlier.trial}", same_as=earlier.trial), replace(earlier, completed=False)
        candidate = proposal.candidate
        if not isinstance(candidate, Candidate):
            return None  # becomes a failed trial, which counts
        price, energy = candidate.price, round(candidate.price.energy, 2)
        if price.objection is not None:
            return skip(price.objection, energy=energy), Feedback(trial=number)
        bound = self._search.target.bound(price.delta)
        least = self._least() if self._search.prune else None
        if bound is not None and least is not None and bound <= least:
            reason = f"its score can be {bound:.4f} at most, not above {least:.4f}"
            return skip(reason, energy=energy, bound=bound), Feedback(trial=number, bound=bound)
        objection = None if self._search.objection is None else self._search.objection(candidate.plan)
        return None if objection is None else (skip(objection, energy=energy), Feedback(trial=number))

    def _least(self) -> float | None:
        """The score that a trial must pass to matter; None as long as every one does."""
        search = self._search
        if search.whole_front:
            return None
        scores = sorted((trial.score for trial in self._completed if trial.accepted), reverse=True)
        return scores[search.best_models - 1] if len(scores) >= search.best_models else None

    def _judged(self, number: int, proposal: Proposal, total: int) -> tuple[Trial | FailedTrial, Feedback]:
        """Train a proposal, and keep what it gave."""
        known = self._search.known.get(number)
        trial, weights = self._attempt(number, proposal, total) if known is None else (again(known, proposal), None)
        self._record(trial)
        if not isinstance(trial, Trial):
            return trial, Feedback(trial=number)
        self._completed.append(trial)
        target = self._search.target
        if trial.trained.stopped is None and not proposal.first_epoch:
            self._curves.add([target.worth(value) for value in trial.trained.curve])
        better = self.best is None or trial.rank(target) > self.best.rank(target)
        self._search.keep(trial, weights, better)
        if better:  # only once its model is on disk
            self.best = trial
        return trial, Feedback(trial=number, completed=True, score=trial.score, worth=target.worth(trial.metric))

    def _attempt(self, number: int, proposal: Proposal, total: int) -> tuple[Trial | FailedTrial, Weights]:
        search, started, candidate = self._search, time.monotonic(), proposal.candidate

        def failed(reason: str) -> tuple[FailedTrial, None]:
            seconds = time.monotonic() - started
            return FailedTrial(
                number=number, proposal=proposal, reason=reason, seconds=seconds, block=search.block
            ), None

        if not isinstance(candidate, Candidate):
            return failed(candidate.reason)
        price = candidate.price
        try:
            search.observer.trial_started(number, proposal, self._trained, total)
            stop = self._stop(price.delta) if search.early_stop else None
            with search.interrupts.allowed():
                trained, weights = search.train(number, proposal, price, stop)
        except OutOfTimeError:
            raise
        except QsearchError as error:
            return failed(plain(error))
        except Exception as error:  # one bad candidate must not end a search of hours; the journal keeps its reason
            return failed(f"{type(error).__name__}: {reason_of(error)}")
        metric = trained.metrics[search.target.name]
        score = search.target.score(metric, price.delta)
        if not math.isfinite(score):
            return failed(f"score is {score}")
        least = search.constraints.metric
        trial = Trial(
            number=number,
            proposal=proposal,
            price=price,
            trained=trained,
            target=search.target.name,
            score=score,
            seconds=time.monotonic() - started,
            accepted=least is None or search.target.worth(metric) >= search.target.worth(least),
            block=search.block,
        )
        return trial, weights

    def _stop(self, delta: float) -> Stop:
        target, least = self._search.target, self._least()

        def stop(curve: list[float]) -> str | None:
            reach = self._curves.reach([target.worth(value) for value in curve])
            if reach is None or least is None:
                return None
            score = target.score(target.worth(reach), delta)
            return None if score > least else f"a score of {score:.4f} is in reach, {least:.4f} needed"

        return stop
