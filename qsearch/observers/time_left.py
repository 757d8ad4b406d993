"""How long a run still takes, from what its trials and their epochs took."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from qsearch.config.schema import RunConfig
from qsearch.observers.observer import RunStart
from qsearch.search.epochs import EpochCounter
from qsearch.search.trials import AnyTrial, SkippedTrial, Trial

_ALIKE = 3
"""So many trials of a length tell how many of their epochs such trials need."""
_TRACES = 2.0
"""Times what the reference took before its first epoch was done: the best model is loaded, and has quantizers to trace.

It was 1.3, 2.1 and 3.8 times that in the recordings of `tests/observers/recorded_runs.json`, on a busy machine.
"""
_EVALUATIONS = 3.0
"""Times what evaluating the reference took, as the model is reported on too; 2.3 to 3.5 times in these recordings."""
_LAST = 30
"""Trials that tell how long the next ones take: a machine has other things to do at other times."""


@dataclass(frozen=True, kw_only=True)
class Took:
    """What a trial took.

    Attributes:
        planned, trained: epochs that it was to be trained, and that it was, all executions together.
        pace: seconds of an epoch, but for the first; None where it had no second one, or nobody looked.
    """

    planned: int
    trained: int
    seconds: float
    pace: float | None = None


@dataclass
class _Marks:
    """When the epochs of one training ended.

    Attributes:
        first: seconds until the first one had ended.
        seconds, count: of all others.
    """

    started: float
    first: float = 0.0
    last: float = 0.0
    epoch: int = 0
    seconds: float = 0.0
    count: int = 0

    def ended(self, epoch: int, now: float) -> None:
        if epoch == self.epoch + 1 and self.epoch:
            self.seconds += now - self.last
            self.count += 1
        if not self.epoch:
            self.first = now - self.started
        self.epoch, self.last = epoch, now

    @property
    def pace(self) -> float | None:
        return self.seconds / self.count if self.count else None


@dataclass
class TimeLeft:
    """Is told what observers are told, and says how long the run still takes.

    What a trial takes is a + b · epochs: b is what its epochs took after its first one, a all else (the model, the
    first call). The first trial of a process traces the model, and counts only as long as it is the only one. Skipped
    trials take nothing. Then comes the final training, at the pace of the reference's, with a trace of its own.
    """

    clock: Callable[[], float] = time.monotonic
    _start: RunStart | None = None
    _took: list[Took] = field(default_factory=list)
    _first: Took | None = None
    _open: dict[int, _Marks] = field(default_factory=dict)
    _alone: _Marks | None = None
    """Of the reference, or of the final training."""
    _staged: float = 0.0
    _reference_pace: float | None = None
    _trace: float | None = None
    """Seconds of the reference's training before its first epoch was done, but for an epoch."""
    _evaluation: float = 0.0
    _slots: int = 1
    _trials: int = 0
    _places: int = 0
    _planned: int = 0
    _seen: int = 0
    _at: float | None = None
    """When the last trial ended, in this part of the run."""
    _is_over: bool = False

    def run_started(self, start: RunStart) -> None:
        self._start = start
        for trial in start.known:
            took = self._counted(start.config.run, trial)
            if took is not None:
                self._took.append(took)

    def reference_evaluated(self) -> None:
        now = self.clock()
        if self._alone is not None:
            self._reference_pace, self._evaluation = self._alone.pace, now - self._alone.last
            self._trace = max(0.0, self._alone.first - (self._alone.pace or 0.0))
            self._alone = None

    def trial_started(self, number: int) -> None:
        self._alone = None
        self._open[number] = _Marks(self.clock())
        self._slots = max(self._slots, len(self._open))

    def epoch_ended(self, epoch: int, trial: int | None) -> None:
        now = self.clock()
        if trial is None:
            self._alone = self._alone or _Marks(self._staged)
            self._alone.ended(epoch, now)
        elif trial in self._open:
            self._open[trial].ended(epoch, now)

    def trial_ended(self, trial: AnyTrial) -> None:
        marks, now = self._open.pop(trial.number, None), self.clock()
        took = None if self._start is None else self._counted(self._start.config.run, trial, marks)
        if took is None:
            return
        if self._slots == 1 and self._at is not None:  # with what it took to propose it, and to keep what it came to
            took = replace(took, seconds=max(took.seconds, now - self._at))
        self._at = now
        if self._first is None:
            self._first = took
        else:
            self._took.append(took)

    def stage(self) -> None:
        """A new part of the run begins: what was open before has no end any more."""
        self._open.clear()
        self._at, self._staged = None, self.clock()

    def end(self) -> None:
        self._is_over = True

    @property
    def _ends_by_epochs(self) -> bool:
        return self._start is not None and self._start.config.run.max_epochs_total is not None

    def epochs(self) -> str | None:
        """ "epochs 120 of 400": of all trials that have ended, where such a sum ends the search; else None."""
        if self._start is None or not self._ends_by_epochs:
            return None
        run = self._start.config.run
        return f"epochs {run.epochs_shared + self._planned:,} of {run.epochs_shared + self._start.epochs:,}"

    def left(self) -> float | None:
        """Seconds; None while nothing is known to tell it from."""
        start, known = self._start, self._took[-_LAST:] or ([self._first] if self._first is not None else [])
        if start is None or not known or self._is_over:
            return None
        pace = pace_of(known, self._reference_pace)
        beside = sum(max(0.0, one.seconds - pace * one.trained) for one in known) / len(known)
        if not self._took:  # what the first one took beside its epochs is mostly the trace, which is done
            beside = 0.0
        trials, epochs = max(0, start.trials - self._places), max(0, start.epochs - self._planned)
        if start.config.run.search_mode.continues:  # what is skipped takes a place of its own there
            trained = self._trials / max(1, self._seen)
            trials, epochs = round(trials * trained), round(epochs * trained)
        share = 1.0 if self._ends_by_epochs else share_of(known, epochs / max(1, trials))
        if self._ends_by_epochs:  # what ends early makes room for another
            trials = math.ceil(epochs / max(1, start.config.run.extent.each))
        work = trials * beside + epochs * share * pace
        now = self.clock()
        spent = sum(now - marks.started for marks in [*self._open.values()])
        if self._slots == 1 and self._at is not None:
            spent = max(spent, now - self._at)
        search = 0.0 if self._alone is not None else max(0.0, work - spent) / self._slots
        return search + self._tail(start, pace, beside)

    def _tail(self, start: RunStart, pace: float, beside: float) -> float:
        """What comes after the search."""
        final, now = start.config.final_training, self.clock()
        epochs = 0 if final is None else final.epochs
        evaluation = _EVALUATIONS * self._evaluation
        done = self._planned >= start.epochs if self._ends_by_epochs else self._places >= start.trials
        is_searched = self._at is None and done
        if not epochs:
            return max(0.0, evaluation - (now - self._staged)) if is_searched else evaluation
        if self._alone is not None:  # it is going on, or was
            epochs = max(0, epochs - self._alone.epoch)
            if not epochs:
                return max(0.0, evaluation - (now - self._alone.last))
            return epochs * (self._alone.pace or self._reference_pace or pace) + evaluation
        trace = self._final_trace(pace, beside)
        if is_searched:  # and being traced
            trace = max(0.0, trace - (now - self._staged))
        return trace + epochs * (self._reference_pace or pace) + evaluation

    def _final_trace(self, pace: float, beside: float) -> float:
        """Seconds until the first epoch of the final training is under way."""
        if self._trace is not None:
            return _TRACES * self._trace
        # the reference was trained before, or not at all
        return beside if self._first is None else max(beside, self._first.seconds - pace * self._first.trained)

    def _counted(self, run: RunConfig, trial: AnyTrial, marks: _Marks | None = None) -> Took | None:
        """What a trial took, where it was trained; counts it."""
        proposal = trial.proposal
        planned = EpochCounter.of(run).planned(proposal)
        self._seen += 1
        if isinstance(trial, SkippedTrial):
            if run.search_mode.continues:
                self._places += 1
                self._planned += planned
            return None
        self._trials += 1
        self._places += 1
        self._planned += planned if run.max_epochs_total is None else EpochCounter.of(run).spent(trial)
        seen = 0 if marks is None else marks.epoch
        if isinstance(trial, Trial):
            seen = trial.trained.epochs
        trained = max(0, seen - proposal.first_epoch) * run.executions_per_trial
        pace = None if marks is None else marks.pace
        return Took(planned=planned, trained=trained, seconds=trial.seconds, pace=pace)


def share_of(trials: Sequence[Took], planned: float) -> float:
    """The part of its epochs that a trial of so many is trained: long ones end early more often than short ones."""
    alike = [one for one in trials if planned / 2 <= one.planned <= planned * 2]
    told = alike if len(alike) >= _ALIKE else trials
    return sum(one.trained for one in told) / max(1, sum(one.planned for one in told))


def pace_of(trials: Sequence[Took], reference: float | None = None) -> float:
    """Seconds of an epoch: as it was seen, else from how the seconds of trials rise with their epochs.

    Args:
        reference: of an epoch of the reference, which counts where trials have one epoch each.
    """
    seen = [(one.pace, one.trained) for one in trials if one.pace is not None]
    if seen:
        return sum(pace * epochs for pace, epochs in seen) / sum(epochs for _, epochs in seen)
    epochs = [one.trained for one in trials]
    total = sum(epochs)
    if not total:
        return 0.0
    mean_epochs, mean_seconds = total / len(trials), sum(one.seconds for one in trials) / len(trials)
    spread = sum((one - mean_epochs) ** 2 for one in epochs)
    if not spread:
        whole = mean_seconds / mean_epochs
        return whole if reference is None else min(reference, whole)
    slope = sum((one.trained - mean_epochs) * (one.seconds - mean_seconds) for one in trials) / spread
    return min(max(slope, 0.0), mean_seconds / mean_epochs)
