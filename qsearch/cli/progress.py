"""How a run shows its progress: bars in a terminal, one plain line per trial elsewhere."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from qsearch.cli.streams import reader_is_gone
from qsearch.errors import LONGEST_LINE, one_line
from qsearch.report.units import duration, energy
from qsearch.search.proposals import Proposal
from qsearch.search.trials import AnyTrial, FailedTrial, Observer, SkippedTrial, Trial


@contextmanager
def observe(plain: bool) -> Iterator[Observer]:
    """An observer that fits the terminal, for the length of a run."""
    console = Console()
    if plain or not console.is_terminal:
        yield _PlainObserver(console)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[info]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield _LiveObserver(console, progress)


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
        return duration(elapsed / done * (total - trained)) if done else "?"


class _PlainObserver:
    """One line per stage and per trial."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.clock = _Clock()
        self.stopped = False

    def stage(self, title: str) -> None:
        self.clock = _Clock()
        self._print(title)

    def trial_started(self, number: int, proposal: Proposal, trained: int, total: int) -> None:
        """Nothing: the line comes when the trial ends."""

    def epoch_ended(self, epoch: int, epochs: int, metrics: Mapping[str, float], trial: int | None = None) -> None:
        """Nothing: too many lines for a log."""

    def trial_ended(self, trial: AnyTrial, best: Trial | None, trained: int, total: int) -> None:
        self._print(f"[{trained}/{total}] {self._describe(trial, best)}, {self.clock.left(trained, total)} left")

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
        self.console.print(one_line(text, LONGEST_LINE), markup=False, highlight=False, emoji=False, soft_wrap=True)
        if not self.stopped and reader_is_gone():  # as any Unix tool ends then; a stopped run keeps what it has
            self.stopped = True  # once: what is left is written
            os.kill(os.getpid(), signal.SIGTERM)


def _ended(trial: Trial) -> str:
    return "" if trial.trained.stopped is None else f", stopped after epoch {trial.trained.epochs}"


class _LiveObserver(_PlainObserver):
    """Bars of trials and epochs below the lines."""

    def __init__(self, console: Console, progress: Progress) -> None:
        super().__init__(console)
        self.progress = progress
        self.trials: TaskID | None = None
        self.epochs: TaskID | None = None

    def stage(self, title: str) -> None:
        super().stage(title)
        for task in (self.trials, self.epochs):
            if task is not None:
                self.progress.remove_task(task)
        self.trials = self.epochs = None

    def trial_started(self, number: int, proposal: Proposal, trained: int, total: int) -> None:
        if self.trials is None:
            self.trials = self.progress.add_task("trials", total=total, info="")
        if self.epochs is not None:
            self.progress.reset(self.epochs, info="")

    def epoch_ended(self, epoch: int, epochs: int, metrics: Mapping[str, float], trial: int | None = None) -> None:
        info = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        if self.epochs is None:
            self.epochs = self.progress.add_task("epochs", total=epochs, info=info)
        self.progress.update(self.epochs, completed=epoch, total=epochs, info=info)

    def trial_ended(self, trial: AnyTrial, best: Trial | None, trained: int, total: int) -> None:
        super().trial_ended(trial, best, trained, total)
        if self.trials is not None:
            shown = "" if best is None else f"best {best.score:.4f}, {energy(best.price.energy)}, "
            self.progress.update(self.trials, completed=trained, info=f"{shown}{self.clock.left(trained, total)} left")
