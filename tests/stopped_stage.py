"""Runs with a stage of training before their trials, killed in it or after a trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from qsearch.search.trials import SilentObserver
from qsearch.training.checkpoints import Checkpoints
from qsearch.training.progress import Pace


class Killed(BaseException):
    """As final as a signal: nothing of qsearch handles it."""


class Watching(SilentObserver):
    """Notes what is told, and kills the run at an epoch of the stage or after a trial.

    Attributes:
        lines: that were told.
        epochs: of the stage, that have ended.
    """

    def __init__(self, title: str, epoch: int | None = None, trial: int | None = None) -> None:
        """
        Args:
            title: what the line that tells the stage has in it.
        """
        self.title, self.epoch, self.trial = title, epoch, trial
        self.lines: list[str] = []
        self.epochs: list[int] = []

    def stage(self, title: str) -> None:
        self.lines.append(title)

    def epoch_ended(self, epoch: int, epochs: int, metrics: Mapping[str, float], trial: int | None = None) -> None:
        if trial is None and any(self.title in line for line in self.lines):
            self.epochs.append(epoch)
            if epoch == self.epoch:
                raise Killed

    def trial_ended(self, trial: Any, *_: Any) -> None:
        if trial.number == self.trial:
            raise Killed


def save_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let trainings be saved after each epoch, however short it is."""

    def always(self: Checkpoints) -> None:
        original(self)
        self.pace = Pace(least=0.0, share=1e9)

    original = Checkpoints.__post_init__
    monkeypatch.setattr(Checkpoints, "__post_init__", always)
