"""The progress of a run as lines: one for each stage and each trial."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping

from rich.console import Console

from qsearch.cli.log_file import log
from qsearch.cli.streams import reader_is_gone
from qsearch.errors import LONGEST_LINE, one_line
from qsearch.observers.observer import Observer, RunStart
from qsearch.observers.time_left import TimeLeft
from qsearch.report.units import cost, duration, energy
from qsearch.runs.figures import Evaluation
from qsearch.runs.record import RunRecord
from qsearch.search.proposals import Proposal
from qsearch.search.trials import AnyTrial, FailedTrial, SkippedTrial, Trial

_QUIET = 60.0
"""Seconds without a line after which a log gets one from the next epoch."""


class PlainObserver(Observer):
    """One line per stage and per trial, and one a minute from a training that lasts longer."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console
        self.clock = clock
        self.time_left = TimeLeft(clock)
        self.stopped = False
        self.unit = "pJ"
        self.title = ""
        self.open: list[int] = []
        """Trials that have started and not ended; there may be several."""
        self.heard = clock()
        """When there was a line, or a trial began."""

    def run_started(self, start: RunStart) -> None:
        self.time_left.run_started(start)
        self.unit = start.unit

    def reference_evaluated(self, figures: Evaluation) -> None:
        self.time_left.reference_evaluated()

    def run_ended(self, record: RunRecord | None) -> None:
        self.time_left.end()

    def stage(self, title: str) -> None:
        self.time_left.stage()
        self.title = title
        self.open.clear()  # of an interrupted trial there is no end
        self._print(title)

    def trial_started(self, number: int, proposal: Proposal, trained: int, total: int) -> None:
        """No line: it comes when the trial ends."""
        self.time_left.trial_started(number)
        self.open.append(number)
        self.heard = self.clock()

    def epoch_ended(self, epoch: int, epochs: int, metrics: Mapping[str, float], trial: int | None = None) -> None:
        """A line where there was none for long, but none of the last epoch, behind which another comes."""
        self.time_left.epoch_ended(epoch, trial)
        if epoch >= epochs or self.clock() - self.heard < _QUIET:
            return
        told = {name: value for name, value in metrics.items() if name.startswith("val_")} or metrics
        self._print(", ".join([f"{self._trained_now(trial)}: epoch {epoch} of {epochs}", *values_of(told)]))

    def trial_ended(self, trial: AnyTrial, best: Trial | None, trained: int, total: int) -> None:
        self.time_left.trial_ended(trial)
        self._closed(trial.number)
        left = self.time_left.left()
        shown = "?" if left is None else duration(left)
        epochs = self.time_left.epochs()
        spent = "" if epochs is None else f"{epochs}, "
        self._print(f"[{trained}/{total}] {self._describe(trial, best)}, {spent}{shown} left")

    def _closed(self, number: int) -> None:
        if number in self.open:  # one that is skipped never started
            self.open.remove(number)

    def _trained_now(self, trial: int | None) -> str:
        """What an epoch is told of."""
        return self.title.partition(":")[0] if trial is None else f"trial {trial}"

    def _describe(self, trial: AnyTrial, best: Trial | None) -> str:
        if isinstance(trial, SkippedTrial):
            return f"trial {trial.number}: skipped, {trial.reason}"
        if isinstance(trial, FailedTrial):
            return f"trial {trial.number}: failed: {trial.reason}"
        name = trial.target.removeprefix("val_")
        mark = "best so far" if best is None or best is trial else f"best {best.score:.4f}, trial {best.number}"
        return (
            f"trial {trial.number}: {name} {trial.metric:.4f}, {self._spent(trial)}, "
            f"score {trial.score:.4f} ({mark}), {duration(trial.seconds)}{_ended(trial)}"
        )

    def _spent(self, trial: Trial) -> str:
        """The goal's own cost, where that is another one, and energy."""
        own = "" if self.unit == "pJ" else f"{cost(trial.price.cost, self.unit)}, "
        return f"{own}{energy(trial.price.energy)}"

    def _print(self, text: str) -> None:
        self.heard = self.clock()
        line = one_line(text, LONGEST_LINE)
        log(line)
        self.console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)
        if not self.stopped and reader_is_gone():  # as any Unix tool ends then; a stopped run keeps what it has
            self.stopped = True  # once: what is left is written
            os.kill(os.getpid(), signal.SIGTERM)


def values_of(metrics: Mapping[str, float]) -> Iterator[str]:
    """Metrics as a line shows them."""
    return (f"{name} {value:.4f}" for name, value in metrics.items())


def _ended(trial: Trial) -> str:
    return "" if trial.trained.stopped is None else f", stopped after epoch {trial.trained.epochs}"
