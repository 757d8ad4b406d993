"""Several observers as one, none of which can end the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from qsearch.errors import ConfigError, one_line, shown, told
from qsearch.observers.observer import RunObserver, RunStart
from qsearch.runs.figures import Evaluation
from qsearch.runs.record import RunRecord
from qsearch.search.proposals import Proposal
from qsearch.search.trials import AnyTrial, Observer, Trial

_TOLD = ("stage", "trial_started", "epoch_ended", "trial_ended")


class Observers:
    """Tells each of several what it is told.

    One that raises an exception is told nothing more; what ends a process (KeyboardInterrupt, SystemExit) goes on.

    Attributes:
        left_out: why observers are told nothing more, a line each.
    """

    def __init__(self, observers: Sequence[Observer]) -> None:
        """
        Raises:
            ConfigError: one is no observer.
        """
        for one in observers:
            missing = [name for name in _TOLD if not callable(getattr(one, name, None))]
            if missing:
                raise ConfigError(
                    f"observer: found {shown(one)}, which has no {missing[0]}; derive its class from qsearch.Observer, "
                    "and give an instance"
                )
        self.left_out: list[str] = []
        self._observers = list(observers)
        self._has_ended = False

    def run_started(self, start: RunStart) -> None:
        self._of_run(lambda one: one.run_started(start))

    def reference_evaluated(self, figures: Evaluation) -> None:
        self._of_run(lambda one: one.reference_evaluated(figures))

    def run_ended(self, record: RunRecord | None) -> None:
        """Told once; what comes after it is not passed on."""
        if not self._has_ended:
            self._has_ended = True
            self._of_run(lambda one: one.run_ended(record))

    def stage(self, title: str) -> None:
        self._tell(lambda one: one.stage(title))

    def trial_started(self, number: int, proposal: Proposal, trained: int, total: int) -> None:
        self._tell(lambda one: one.trial_started(number, proposal, trained, total))

    def epoch_ended(self, epoch: int, epochs: int, metrics: Mapping[str, float], trial: int | None = None) -> None:
        self._tell(lambda one: one.epoch_ended(epoch, epochs, metrics, trial))

    def trial_ended(self, trial: AnyTrial, best: Trial | None, trained: int, total: int) -> None:
        self._tell(lambda one: one.trial_ended(trial, best, trained, total))

    def _of_run(self, call: Callable[[RunObserver], None]) -> None:
        self._tell(lambda one: call(one) if isinstance(one, RunObserver) else None)

    def _tell(self, call: Callable[[Observer], None]) -> None:
        for one in [*self._observers]:
            try:
                call(one)
            except Exception as error:  # whatever an observer of anybody's does
                self._leave_out(one, error)

    def _leave_out(self, one: Observer, error: Exception) -> None:
        if one not in self._observers:  # by what it was told of another one
            return
        self._observers.remove(one)
        line = f"observer {one_line(type(one).__name__)} is left out from here on: {told(error)}"
        self.left_out.append(line)
        self.stage(line)
