"""Weights of trials that a later step may still need."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy

from qsearch.files import written_whole
from qsearch.training.fit import TrainingState


@dataclass
class Checkpoints:
    """One file a trial: the weights of its best epoch, and where its training stopped."""

    folder: Path
    kept: set[int] = field(default_factory=set)

    def save(self, trial: int, best: list[Any], end: TrainingState | None) -> None:
        """Keep a trial's weights; `end` only where training may go on from there."""
        parts = {"best": best}
        if end is not None:
            parts |= {"end": end.weights, "optimizer": end.optimizer}
            parts |= {f"schedule_{name}": [numpy.asarray(value)] for name, value in end.schedule.items()}
        arrays = {f"{part}_{index}": array for part, values in parts.items() for index, array in enumerate(values)}
        with written_whole(self._path(trial)) as aside:
            numpy.savez(aside, **arrays)
        self.kept.add(trial)

    def best(self, trial: int) -> list[Any]:
        """The weights of its best epoch."""
        return self._read(trial, "best")

    def end(self, trial: int) -> TrainingState:
        """Where its training stopped."""
        with numpy.load(self._path(trial), allow_pickle=False) as file:
            named = [name.removesuffix("_0") for name in file.files if name.startswith("schedule_")]
            schedule = {name.removeprefix("schedule_"): float(file[f"{name}_0"]) for name in named}
        return TrainingState(self._read(trial, "end"), self._read(trial, "optimizer"), schedule)

    def prune(self, needed: Collection[int]) -> None:
        """Drop all but these."""
        for trial in self.kept - set(needed):
            self._path(trial).unlink(missing_ok=True)
        self.kept &= set(needed)

    def clear(self) -> None:
        """Drop all of them, and the folder."""
        self.prune(())
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _path(self, trial: int) -> Path:
        return self.folder / f"trial_{trial}.npz"

    def _read(self, trial: int, part: str) -> list[Any]:
        with numpy.load(self._path(trial), allow_pickle=False) as file:
            names = [name for name in file.files if name.startswith(f"{part}_")]
            return [file[f"{part}_{index}"] for index in range(len(names))]
