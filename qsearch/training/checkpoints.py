"""Weights that a later step may still need: of trials, of the reference, and of what is being trained."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy

from qsearch.files import written_whole
from qsearch.training.fit import TrainingState
from qsearch.training.progress import Pace, ProgressFile


@dataclass
class Checkpoints:
    """One file a trial: the weights of its best epoch, and where its training stopped.

    Attributes:
        pace: how often it is saved how far a training is.
    """

    folder: Path
    kept: set[int] = field(default_factory=set)
    pace: Pace = field(default_factory=Pace)

    def __post_init__(self) -> None:
        """Those of an earlier process are found."""
        self.kept |= {int(path.stem.removeprefix("trial_")) for path in self.folder.glob("trial_*.npz")}

    def save_reference(self, weights: list[Any], curve: Sequence[float]) -> None:
        """Keep the weights of the trained reference, and its metric after each epoch."""
        arrays = {f"best_{index}": array for index, array in enumerate(weights)}
        with written_whole(self._reference, self.folder.parent) as aside:
            numpy.savez(aside, **arrays, curve_0=numpy.asarray(curve, dtype=float))

    def reference(self) -> list[Any] | None:
        """The weights of the trained reference, or None."""
        return _arrays(self._reference, "best") if self._reference.exists() else None

    def reference_curve(self) -> tuple[float, ...]:
        """Its metric after each epoch; none where it was not trained, or by a version that did not keep it."""
        kept = _arrays(self._reference, "curve") if self._reference.exists() else []
        return tuple(float(value) for value in kept[0]) if kept else ()

    def save_shared(self, weights: list[Any]) -> None:
        """Keep the weights that all plans share: those of the widest."""
        with written_whole(self._shared, self.folder.parent) as aside:
            numpy.savez(aside, **{f"best_{index}": array for index, array in enumerate(weights)})

    def shared(self) -> list[Any] | None:
        """The weights that all plans share, or None."""
        return _arrays(self._shared, "best") if self._shared.exists() else None

    def training(self, label: str, identity: Mapping[str, Any], keeps_end: bool = False) -> ProgressFile:
        """How far a training is: "reference", "final", "trial_7", or "trial_7_1" for its second execution.

        Args:
            identity: what is trained.
            keeps_end: whether one that has ended is still of use.
        """
        return ProgressFile(self.folder / f"training_{label}.npz", identity, self.pace, keeps_end)

    def forget_training(self, label: str = "*") -> None:
        """Drop how far a training was, as its result is on disk; of all of them without a label."""
        for name in (label, f"{label}_*"):
            for path in self.folder.glob(f"training_{name}.npz"):
                path.unlink(missing_ok=True)

    def mark(self, trial: int) -> None:
        """Note that all is on disk that is wanted of the trials up to this one."""
        if trial <= self.marked:
            return
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
    def _shared(self) -> Path:
        return self.folder / "shared.npz"

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
