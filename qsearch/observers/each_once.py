"""What observers share that keep trials elsewhere: each trial is kept once, however often the run was stopped."""

from __future__ import annotations

from abc import ABC, abstractmethod

from qsearch.observers.observer import Observer, RunStart
from qsearch.quantizers.spec import QuantizerSpec
from qsearch.search.space import Choice, Values
from qsearch.search.trials import AnyTrial, Trial

NAME = "qsearch"


class EachOnce(Observer, ABC):
    """Keeps each trial of a run once, also those that were finished before an earlier process could keep them.

    A process may be killed between the journal and the observer, or have had none: what is missing comes with the
    start of the next one.

    Attributes:
        kept: the numbers of the trials that are kept already.
    """

    def __init__(self) -> None:
        self.kept: frozenset[int] = frozenset()

    def run_started(self, start: RunStart) -> None:
        self.kept = frozenset(self.begin(start))
        for trial in start.known:
            self._keep(trial)

    def trial_ended(self, trial: AnyTrial, best: Trial | None, trained: int, total: int) -> None:
        self._keep(trial)  # one that is kept already was trained again, as its weights were lost, and came to the same

    @abstractmethod
    def begin(self, start: RunStart) -> set[int]:
        """Open what trials are kept in.

        Returns:
            The numbers of the trials that are in there, whole.
        """

    @abstractmethod
    def keep(self, trial: AnyTrial) -> None:
        """Keep a trial that is not kept yet."""

    def _keep(self, trial: AnyTrial) -> None:
        if trial.number not in self.kept:
            self.keep(trial)
            self.kept |= {trial.number}


def plain(choice: Choice) -> str | float | int:
    """A choice as other programs know it: a quantizer is its text."""
    return str(choice) if isinstance(choice, QuantizerSpec) else choice


def plain_values(values: Values) -> dict[str, str | float | int]:
    """What a trial chose, as other programs know it."""
    return {name: plain(choice) for name, choice in values.items()}
