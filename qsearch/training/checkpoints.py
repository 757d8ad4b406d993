"""Weights that a later step may still need: of trials, and of the reference."""

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

    def __post_init__(self) -> None:
        """Those of an earlier process are found."""
        self.kept |= {int(path.stem.removeprefix("trial_")) for path in self.folder.glob("trial_*.npz")}

    def save_reference(self, weights: list[Any]) -> None:
        """Keep the weights of the trained reference."""
        with written_whole(self._reference, self.folder.parent) as aside:
            numpy.savez(aside, **{f"best_{index}": array for index, array in enumerate(weights)})

    def reference(self) -> list[Any] | None:
        """The weights of the trained reference, or None."""
        return _arrays(self._reference, "best") if self._reference.exists() else None

    def mark(self, trial: int) -> None:
        """Note that all is on disk that is wanted of the trials up to this one."""
        with written_whole(self._mark, self.folder.parent) as aside:
            aside.write_text(f"{trial}\n", encoding="utf-8")

    @property
    def marked(self) -> int:
        """The trial that was marked last; 0 for none."""
        return int(self._mark.read_text(encoding="utf-8")) if self._mark.exists() else 0

    @property
    def _mark(self) -> Path:
        return self.folder / "kept.txt"

    @property
    def _reference(self) -> Path:
        return self.folder / "reference.npz"

    def save(self, trial: int, best: list[Any], end: TrainingState | None) -> None:
        """Keep a trial's weights; `end` only where training may go on from there."""
        parts = {"best": best}
        if end is not None:
            parts |= {"end": end.weights, "optimizer": end.optimizer}
            parts |= {f"schedule_{name}": [numpy.asarray(value)] for name, value in end.schedule.items()}
        arrays = {f"{part}_{index}": array for part, values in parts.items() for index, array in enumerate(values)}
        with written_whole(self._path(trial), self.folder.parent) as aside:
            numpy.savez(aside, **arrays)
        self.kept.add(trial)

    def best(self, trial: int) -> list[Any]:
        """The weights of its best epoch."""
        return _arrays(self._path(trial), "best")

    def end(self, trial: int) -> TrainingState:
        """Where its training stopped."""
        with numpy.load(self._path(trial), allow_pickle=False) as file:
            named = [name.removesuffix("_0") for name in file.files if name.startswith("schedule_")]
            schedule = {name.removeprefix("schedule_"): float(file[f"{name}_0"]) for name in named}
        return TrainingState(_arrays(self._path(trial), "end"), _arrays(self._path(trial), "optimizer"), schedule)

    def prune(self, needed: Collection[int]) -> None:
        """Drop all but these."""
        for trial in self.kept - set(needed):
            self._path(trial).unlink(missing_ok=True)
        self.kept &= set(needed)

    def _path(self, trial: int) -> Path:
        return self.folder / f"trial_{trial}.npz"


def _arrays(path: Path, part: str) -> list[Any]:
    with numpy.load(path, allow_pickle=False) as file:
        names = [name for name in file.files if name.startswith(f"{part}_")]
        return [file[f"{part}_{index}"] for index in range(len(names))]
