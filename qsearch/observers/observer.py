"""The interface of observers: what a run tells, and when."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from qsearch.config import Config
from qsearch.goal.target import Target
from qsearch.runs.figures import Evaluation
from qsearch.runs.record import RunRecord
from qsearch.search.space import Dimension
from qsearch.search.trials import AnyTrial, SilentObserver


@dataclass(frozen=True, kw_only=True)
class RunStart:
    """What is known of a run when it begins, or goes on.

    Attributes:
        folder: the run directory.
        config: as it was resolved, defaults included.
        target: the metric that is searched by.
        dimensions: the choices of the search, with all their options.
        trials: how many will be trained at most.
        epochs: of all these together, as far as planned: a trial may end sooner.
        reference_energy: of one inference, pJ.
        reference_cost: in `unit`, that of the goal.
        known: trials of earlier processes of this run, which this one only reads: of them `trial_ended` is not called.
    """

    folder: Path
    config: Config
    target: Target
    dimensions: tuple[Dimension, ...]
    trials: int
    epochs: int
    reference_energy: float
    reference_cost: float
    unit: str
    known: tuple[AnyTrial, ...] = ()


class Observer(SilentObserver):
    """Is told how a run goes on; each method does nothing until it is overridden.

        class Loud(qsearch.Observer):
            def trial_ended(self, trial, best, trained, total):
                print(trial.number, trial.status, trained, "of", total)

        qsearch.run("digits", observer=Loud())

    All calls come from the thread of the run, which waits for them. What is raised ends the observer, and not the run:
    it is left out from there on, and a note says so. With workers, observers are in the process that began the run.
    """

    def run_started(self, start: RunStart) -> None:
        """Before anything is trained; the run directory is there."""

    def reference_evaluated(self, figures: Evaluation) -> None:
        """The reference is trained; its metrics on the selection set and on the test set."""

    def run_ended(self, record: RunRecord | None) -> None:
        """Everything is written, `record.result` included; None where an error ended the run before."""


@runtime_checkable
class RunObserver(Protocol):
    """What `Observer` has beside what a search tells."""

    def run_started(self, start: RunStart) -> None: ...

    def reference_evaluated(self, figures: Evaluation) -> None: ...

    def run_ended(self, record: RunRecord | None) -> None: ...
