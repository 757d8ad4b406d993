"""The trial loop: ask for proposals, train what can win, write down, tell the algorithm.

Several trials may be trained at a time, and end in any order. They are written down and told in the order of their
numbers, and what a trial is skipped for is decided by all trials before it, so that the journal of an algorithm that
does not learn between its proposals is the same with any number of workers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any

from qsearch.config.extent import Extent
from qsearch.goal.price import Constraints
from qsearch.goal.target import Target
from qsearch.interrupts import Interrupts
from qsearch.plan import QuantizationPlan
from qsearch.search.candidates import Candidate
from qsearch.search.curves import EarlyStop, LearningCurves
from qsearch.search.engine import Engine, Outcome, Task, Weights
from qsearch.search.epochs import EpochCounter
from qsearch.search.known import again, check_same
from qsearch.search.proposals import Feedback, Proposal, Proposer
from qsearch.search.space import SearchSpace
from qsearch.search.time_limits import OutOfTimeError
from qsearch.search.trials import AnyTrial, FailedTrial, Observer, SkippedTrial, Trial

INTERRUPTED = "interrupted"
"""Why a search ended that did not end by itself."""
MAX_IDLE = 300
"""Proposals in a row that need no training after which the search ends."""
_AHEAD = 4
"""Trials for each slot that may have ended before one with a lower number has."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """Everything that one search needs.

    Attributes:
        objection: why a plan is not to be trained that its price does not rule out, or None; asked last, and once.
        engine: trains what is proposed, one or several at a time.
        extent: how much to train; ignored where the proposer has a number of trials of its own.
        epochs: counts those of trials.
        max_failures: failed trials, with none completed, after which the search ends.
        out_of_time: why the search has to end now, or None; asked before each proposal. A trial whose training raises
            OutOfTimeError is dropped, and the search ends.
        record: called with every trial before anything else believes it.
        keep: called with each completed trial, its weights, and whether it is the best so far; the weights are None
            of a trial that an earlier process trained.
        known: trials of an earlier process, by number: they are not trained again, and what was skipped stays so.
        lost: of these, the ones to train again, as their weights are wanted and not there.
        prune: do not train what cannot come among the `best_models` best, even with a perfect metric.
        whole_front: the front is wanted, so that no score rules a candidate out.
        whole_list: the algorithm has a list of plans, and not the whole space.
        early_stop: end the training of what can no longer win, as far as earlier learning curves tell.
        block: the number of the block that is searched, which trials are marked with.
        earlier: trials before this search, which its numbers go on from.
        incumbent: a trial of an earlier search that this one's must beat.
        interrupts: raised in proposals and in training; held while a trial is written down.
    """

    space: SearchSpace
    proposer: Proposer
    engine: Engine
    target: Target
    extent: Extent
    epochs: EpochCounter
    max_failures: int
    record: Callable[[AnyTrial], None]
    keep: Callable[[Trial, Weights, bool], None]
    observer: Observer
    known: Mapping[int, AnyTrial] = field(default_factory=dict)
    lost: Set[int] = frozenset()
    constraints: Constraints = field(default_factory=Constraints)
    objection: Callable[[QuantizationPlan], str | None] | None = None
    prune: bool = True
    whole_front: bool = False
    whole_list: bool = False
    early_stop: bool = False
    best_models: int = 1
    block: int | None = None
    earlier: int = 0
    incumbent: Trial | None = None
    interrupts: Interrupts = field(default_factory=Interrupts)
    out_of_time: Callable[[], str | None] = lambda: None


@dataclass(kw_only=True)
class _Open:
    """A proposal that is not written down yet.

    Attributes:
        told: how many trials the algorithm had been told of; None where that is all before it, or does not matter.
        trains: whether it is to be trained; else it is skipped for what is known already.
        objection: why it is skipped, beside its price.
    """

    number: int
    proposal: Proposal
    told: int | None = None
    trains: bool = False
    objection: str | None = None
    outcome: Outcome | None = None

    @property
    def identity(self) -> Hashable:
        """Of two with the same, one needs no training."""
        return self.proposal.candidate.identity, self.proposal.epochs


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
        self._open: list[_Open] = []
        self._trained = self._idle = self._epochs = 0

    def run(self) -> TrialLoop:
        """Run trials until enough of them were trained, or nothing is left that could win.

        Values that mean the plan of an earlier trial, that are outside the budget or that cannot win are recorded as
        skipped and do not count; failed trials count.
        """
        with self._search.interrupts.held():
            try:
                self.ended = self._run()
            except OutOfTimeError as error:
                self.cut_short = True
                trained = sum(not isinstance(trial, SkippedTrial) for trial in self.trials)
                self.ended = f"{error}, {trained} trials trained"
            finally:
                for one in self._open:
                    self._drop(one)
        return self

    @property
    def found(self) -> Trial | None:
        """The best trial of this search alone, where it beats the incumbent."""
        return None if self.best is self._search.incumbent else self.best

    def _run(self) -> str:
        while (ended := self._enough()) is None:
            asked = self._may_ask() and self._ask()
            if self._settle() or asked:
                continue
            if not self._open:
                return self._exhausted()
            self._wait()
        return ended

    def _enough(self) -> str | None:
        """Why the search is at its end, or None."""
        search, total = self._search, self._search.proposer.total
        if self._trained >= search.max_failures and not self._completed:
            return f"the first {self._trained} trials all failed"
        if total is None and (reached := search.extent.reached(self._trained, self._epochs)) is not None:
            return reached
        return self._exhausted() if total is None and self._idle >= MAX_IDLE else None

    @property
    def _done(self) -> int:
        """The number of the last trial that was written down."""
        return self._search.earlier + len(self.trials)

    @property
    def _next(self) -> int:
        """The number of the trial that is asked for next."""
        return self._done + len(self._open) + 1

    def _due(self) -> bool | None:
        """Whether an earlier process knew what is known now when it asked for the next trial; None: it did not ask."""
        then = self._search.known.get(self._next)
        return None if then is None else self._done == (then.number - 1 if then.told is None else then.told)

    def _may_ask(self) -> bool:
        """Whether there is a slot for another trial, and need of one."""
        due, search = self._due(), self._search
        if due is not None:
            return due
        slots = search.engine.slots
        running = sum(one.trains and one.outcome is None for one in self._open)
        if running >= slots or len(self._open) >= (1 if slots == 1 else _AHEAD * slots):
            return False
        return search.proposer.total is not None or search.extent.reached(*self._at_most()) is None

    def _at_most(self) -> tuple[int, int]:
        """(trials, their epochs), once all that are open are trained to their end."""
        going_on = [one.proposal for one in self._open if one.trains]
        return self._trained + len(going_on), self._epochs + sum(map(self._search.epochs.planned, going_on))

    @property
    def _shown(self) -> int:
        """How many trials an observer is told that there will be."""
        search = self._search
        return search.extent.expected(*self._at_most()) if search.proposer.total is None else search.proposer.total

    def _ask(self) -> bool:
        """Open another proposal, and let it be trained where nothing speaks against it; whether there was one."""
        search, number = self._search, self._next
        late = None if number in search.known else search.out_of_time()
        if late is not None:
            raise OutOfTimeError(late)
        then = search.known.get(number)
        with search.interrupts.allowed():
            proposal = search.proposer.ask(number) if then is None else search.proposer.recall(number, then.proposal)
        if proposal is None:
            return False
        told = self._done if self._open and not search.proposer.same_with_workers else None
        one = _Open(number=number, proposal=proposal, told=told)
        repeats = any(other.identity == one.identity for other in self._open)
        self._open.append(one)
        if then is not None:
            check_same(then, proposal)
            if number not in search.lost:
                return True
        if not repeats and self._skipped(one) is None:
            self._begin(one)
        return True

    def _begin(self, one: _Open) -> None:
        """Let it be trained, unless that is known to be of no use."""
        search, candidate = self._search, one.proposal.candidate
        if isinstance(candidate, Candidate):
            one.objection = None if search.objection is None else search.objection(candidate.plan)
            if one.objection is not None:
                return
        one.trains = True
        if not isinstance(candidate, Candidate):
            one.outcome = Outcome(reason=candidate.reason)
            return
        trained, _ = self._at_most()
        search.observer.trial_started(one.number, one.proposal, trained, self._shown)
        least = self._least() if search.early_stop else None
        stop = None if least is None else EarlyStop(self._curves, search.target, candidate.price.delta, least)
        search.engine.start(Task(number=one.number, proposal=one.proposal, price=candidate.price, stop=stop))

    def _drop(self, one: _Open) -> None:
        if one.trains and one.outcome is None:
            self._search.engine.drop(one.number)

    def _wait(self) -> None:
        """For one of the trials that are being trained."""
        number, outcome = self._search.engine.finished()
        next(one for one in self._open if one.number == number).outcome = outcome

    def _settle(self) -> bool:
        """Write down and tell the first of the open ones, where it is decided; whether it was."""
        if not self._open or self._due():  # an earlier process had asked for one more
            return False
        search, one = self._search, self._open[0]
        then = search.known.get(one.number)
        trial: AnyTrial
        if then is not None and one.number not in search.lost:
            trial, feedback = self._as_recorded(then, one)
        elif (skipped := self._skipped(one)) is not None:
            self._drop(one)
            trial, feedback = skipped
            self._idle += 1
            self._record(trial)
        elif one.outcome is not None:
            trial, feedback = self._kept(self._trial(one, one.outcome), one.outcome.weights)
        else:
            return False
        self._open.pop(0)
        self._told.setdefault(one.identity, feedback)
        if then is None or one.number in search.lost:
            search.observer.trial_ended(trial, self.best, self._trained, self._shown)
        search.proposer.tell(one.number, feedback)
        return True

    def _exhausted(self) -> str:
        trained, space = self._trained, self._search.space
        if self._search.proposer.total is not None:
            return f"all brackets done, {trained} trials trained"
        skipped = [trial for trial in self.trials if isinstance(trial, SkippedTrial) and trial.same_as is None]
        if skipped:
            return f"nothing left that could win, {trained} trials trained; last: {skipped[-1].reason}"
        if self._search.constraints.limits_cost and len(self._told) < space.size:
            return f"nothing left that could win inside the budget, {trained} trials trained"
        if self._search.whole_list:
            return f"all plans of the list tried, {trained} trials"
        return f"all {space.size} combinations tried, {trained} trials"

    def _record(self, trial: AnyTrial) -> None:
        self._search.record(trial)
        self.trials.append(trial)

    def _as_recorded(self, then: AnyTrial, one: _Open) -> tuple[AnyTrial, Feedback]:
        """What the journal says became of it."""
        if not isinstance(then, SkippedTrial):
            return self._kept(again(then, one.proposal), None)
        self._idle += 1
        trial = replace(then, proposal=one.proposal)
        self._record(trial)
        earlier = None if then.same_as is None else self._told.get(one.identity)
        feedback = Feedback(trial=one.number, bound=then.bound)
        return trial, feedback if earlier is None else replace(earlier, completed=False)

    def _skipped(self, one: _Open) -> tuple[SkippedTrial, Feedback] | None:
        """A proposal that needs no training, as far as the trials before it are known; or None."""
        number, proposal = one.number, one.proposal

        def skip(reason: str, **facts: Any) -> SkippedTrial:
            return SkippedTrial(
                number=number, proposal=proposal, reason=reason, block=self._search.block, told=one.told, **facts
            )

        earlier = self._told.get(one.identity)
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
        return None if one.objection is None else (skip(one.objection, energy=energy), Feedback(trial=number))

    def _least(self) -> float | None:
        """The score that a trial must pass to matter; None as long as every one does."""
        search = self._search
        if search.whole_front:
            return None
        scores = sorted((trial.score for trial in self._completed if trial.accepted), reverse=True)
        return scores[search.best_models - 1] if len(scores) >= search.best_models else None

    def _kept(self, trial: Trial | FailedTrial, weights: Weights) -> tuple[Trial | FailedTrial, Feedback]:
        """What a trial that counts is written down as; a completed one's weights are kept where they may be wanted."""
        self._idle = 0
        self._trained += 1
        self._epochs += self._search.epochs.spent(trial)
        self._record(trial)
        if not isinstance(trial, Trial):
            return trial, Feedback(trial=trial.number)
        self._completed.append(trial)
        target = self._search.target
        if trial.trained.stopped is None and not trial.proposal.first_epoch:
            self._curves.add([target.worth(value) for value in trial.trained.curve])
        better = self.best is None or trial.rank(target) > self.best.rank(target)
        self._search.keep(trial, weights, better)
        if better:  # only once its model is on disk
            self.best = trial
        return trial, Feedback(trial=trial.number, completed=True, score=trial.score, worth=target.worth(trial.metric))

    def _trial(self, one: _Open, outcome: Outcome) -> Trial | FailedTrial:
        search, candidate, trained = self._search, one.proposal.candidate, outcome.trained
        common: dict[str, Any] = {
            "number": one.number,
            "proposal": one.proposal,
            "seconds": outcome.seconds,
            "block": search.block,
            "told": one.told,
        }
        if trained is None or not isinstance(candidate, Candidate):
            return FailedTrial(**common, reason=outcome.reason)
        price, metric, least = candidate.price, trained.metrics[search.target.name], search.constraints.metric
        score = search.target.score(metric, price.delta)
        if not math.isfinite(score):
            return FailedTrial(**common, reason=f"score is {score}")
        return Trial(
            **common,
            price=price,
            trained=trained,
            target=search.target.name,
            score=score,
            accepted=least is None or search.target.worth(metric) >= search.target.worth(least),
        )
