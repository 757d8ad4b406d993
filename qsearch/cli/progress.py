"""How a run shows its progress: bars and a clock that goes on in a terminal, one plain line per trial elsewhere."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from qsearch.cli.log_file import log
from qsearch.cli.streams import reader_is_gone
from qsearch.errors import LONGEST_LINE, one_line
from qsearch.report.units import duration, energy
from qsearch.search.proposals import Proposal
from qsearch.search.trials import AnyTrial, FailedTrial, Observer, SkippedTrial, Trial

_QUIET = 60.0
"""Seconds without a line after which a log gets one from the next epoch."""


@contextmanager
def observe(plain: bool) -> Iterator[Observer]:
    """An observer that fits the terminal, for the length of a run."""
    console = Console()
    if plain or not _steers(console):
        yield _PlainObserver(console)
        return
    observer = _LiveObserver(console)
    # a thread of its own draws it, so that it goes on during calls of minutes into TensorFlow
    with Live(Group(observer.clocks, observer.bars), console=console, transient=True, refresh_per_second=4):
        yield observer


@contextmanager
def ticking(plain: bool, text: str) -> Iterator[None]:
    """A clock in a terminal while something is imported, which takes seconds; nothing elsewhere."""
    console = Console()
    if plain or not _steers(console):
        yield
        return
    clocks = _clocks(console)
    clocks.add_task(text, total=None)
    # what is imported keeps the streams that it finds
    with Live(clocks, console=console, transient=True, redirect_stdout=False, redirect_stderr=False):
        yield


def _steers(console: Console) -> bool:
    """Whether lines can be drawn again."""
    return console.is_terminal and not console.is_dumb_terminal


def _clocks(console: Console) -> Progress:
    spinner = "line" if console.options.ascii_only else "dots"
    text = TextColumn("{task.description}", markup=False)
    return Progress(SpinnerColumn(spinner), TimeElapsedColumn(), text, console=console)


class _Clock:
    """Time left, from the mean time of the trials so far."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.before: int | None = None
        """Trials that were trained before it started."""

    def left(self, trained: int, total: int) -> str:
        elapsed = time.monotonic() - self.started
        if self.before is None:
            self.before = max(0, trained - 1)
        done = trained - self.before
        return duration(elapsed / done * (total - trained)) if done > 0 else "?"


class _PlainObserver:
    """One line per stage and per trial, and one a minute from a training that lasts longer."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.clock = _Clock()
        self.stopped = False
        self.title = ""
        self.open: list[int] = []
        """Trials that have started and not ended; there may be several."""
        self.heard = time.monotonic()
        """When there was a line, or a trial began."""

    def stage(self, title: str) -> None:
        self.clock = _Clock()
        self.title = title
        self.open.clear()  # of an interrupted trial there is no end
        self._print(title)

    def trial_started(self, number: int, proposal: Proposal, trained: int, total: int) -> None:
        """No line: it comes when the trial ends."""
        self.open.append(number)
        self.heard = time.monotonic()

    def epoch_ended(self, epoch: int, epochs: int, metrics: Mapping[str, float], trial: int | None = None) -> None:
        """A line where there was none for long, but none of the last epoch, behind which another comes."""
        if epoch >= epochs or time.monotonic() - self.heard < _QUIET:
            return
        told = {name: value for name, value in metrics.items() if name.startswith("val_")} or metrics
        self._print(", ".join([f"{self._trained_now(trial)}: epoch {epoch} of {epochs}", *_values(told)]))

    def trial_ended(self, trial: AnyTrial, best: Trial | None, trained: int, total: int) -> None:
        self._closed(trial.number)
        self._print(f"[{trained}/{total}] {self._describe(trial, best)}, {self.clock.left(trained, total)} left")

    def _closed(self, number: int) -> None:
        if number in self.open:  # one that is skipped never started
            self.open.remove(number)

    def _trained_now(self, trial: int | None) -> str:
        """What an epoch is told of."""
        if trial is not None:
            return f"trial {trial}"
        if not self.open:
            return self.title.partition(":")[0]
        numbers = ", ".join(map(str, self.open))
        return f"trial {numbers}" if len(self.open) == 1 else f"one of the trials {numbers}"

    def _describe(self, trial: AnyTrial, best: Trial | None) -> str:
        if isinstance(trial, SkippedTrial):
            return f"trial {trial.number}: skipped, {trial.reason}"
        if isinstance(trial, FailedTrial):
            return f"trial {trial.number}: failed: {trial.reason}"
        name = trial.target.removeprefix("val_")
        mark = "best so far" if best is None or best is trial else f"best {best.score:.4f}, trial {best.number}"
        return (
            f"trial {trial.number}: {name} {trial.metric:.4f}, {energy(trial.price.energy)}, "
            f"score {trial.score:.4f} ({mark}), {duration(trial.seconds)}{_ended(trial)}"
        )

    def _print(self, text: str) -> None:
        self.heard = time.monotonic()
        line = one_line(text, LONGEST_LINE)
        log(line)
        self.console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)
        if not self.stopped and reader_is_gone():  # as any Unix tool ends then; a stopped run keeps what it has
            self.stopped = True  # once: what is left is written
            os.kill(os.getpid(), signal.SIGTERM)


def _ended(trial: Trial) -> str:
    return "" if trial.trained.stopped is None else f", stopped after epoch {trial.trained.epochs}"


def _values(metrics: Mapping[str, float]) -> Iterator[str]:
    return (f"{name} {value:.4f}" for name, value in metrics.items())


class _LiveObserver(_PlainObserver):
    """Below the lines a clock of the stage and of each trial that is open, and bars of trials and epochs.

    Attributes:
        clocks, bars: what is shown; the caller draws them again and again.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.clocks = _clocks(console)
        self.bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[info]}", markup=False),
            console=console,
        )
        self.of_stage = self._clock_of("start")
        self.of_trials: dict[int, TaskID] = {}
        self.trials: TaskID | None = None
        self.epochs: TaskID | None = None

    def stage(self, title: str) -> None:
        super().stage(title)
        for number in list(self.of_trials):
            self._closed(number)
        for task in (self.trials, self.epochs):
            if task is not None:
                self.bars.remove_task(task)
        self.trials = self.epochs = None
        self.clocks.remove_task(self.of_stage)
        self.of_stage = self._clock_of(title)

    def trial_started(self, number: int, proposal: Proposal, trained: int, total: int) -> None:
        super().trial_started(number, proposal, trained, total)
        if self.trials is None:
            self.trials = self.bars.add_task("trials", total=total, info="")
        self.of_trials[number] = self._clock_of(f"trial {number}")
        self._without_epochs()

    def epoch_ended(self, epoch: int, epochs: int, metrics: Mapping[str, float], trial: int | None = None) -> None:
        if trial in self.of_trials:
            values = ", ".join([f"epoch {epoch} of {epochs}", *_values(metrics)])
            self.clocks.update(self.of_trials[trial], description=f"trial {trial}: {values}")
        if len(self.open) > 1 or trial is not None:  # a bar would jump between them
            return
        info = ", ".join(_values(metrics))
        if self.epochs is None:
            self.epochs = self.bars.add_task("epochs", total=epochs, info=info)
        self.bars.update(self.epochs, completed=epoch, total=epochs, info=info)

    def trial_ended(self, trial: AnyTrial, best: Trial | None, trained: int, total: int) -> None:
        super().trial_ended(trial, best, trained, total)
        if self.trials is not None:
            shown = "" if best is None else f"best {best.score:.4f}, {energy(best.price.energy)}, "
            self.bars.update(self.trials, completed=trained, info=f"{shown}{self.clock.left(trained, total)} left")

    def _clock_of(self, text: str) -> TaskID:
        return self.clocks.add_task(one_line(text, LONGEST_LINE), total=None)

    def _closed(self, number: int) -> None:
        super()._closed(number)
        task = self.of_trials.pop(number, None)
        if task is not None:
            self.clocks.remove_task(task)
            self._without_epochs()

    def _without_epochs(self) -> None:
        """Epochs that were shown are those of another trial."""
        if self.epochs is not None:
            self.bars.remove_task(self.epochs)
            self.epochs = None
