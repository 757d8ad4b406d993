"""A training that is under way, in a file: after a kill it goes on from its last finished epoch, to the same bits.

What is kept is all that changes from epoch to epoch: the variables of the model, with the seeds of its layers and the
places of quantizers that draw; those of the optimizer, with its rate and its averages; what the callbacks count; and
the best epoch so far. The batches follow from the seed and the number of the epoch. Where anything else changes
(`repeatable`), nothing is kept, and the training begins anew.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy

from qsearch.errors import OutputError
from qsearch.files import written_whole
from qsearch.training.averages import Averages
from qsearch.training.repeatable import steps_repeat
from qsearch.training.resizable import assign_all
from qsearch.training.seeds import streams_of

_BYTES_PER_SECOND = 1e8
"""What a disk is taken to write, until it has shown it."""
_PARTS = ("variables", "optimizer", "best")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What a training came to with an epoch.

    Attributes:
        epoch: the number of the epoch that was finished last.
        ended: whether it was the last one.
        variables: of the model, those that training goes on from, which averages of weights are not.
        best: the weights of the best epoch; empty as long as there is none.
        facts: what the callbacks count, and the random numbers: what JSON can hold.
    """

    epoch: int
    ended: bool
    variables: Sequence[Any]
    optimizer: Sequence[Any]
    best: Sequence[Any]
    facts: Mapping[str, Any]

    def fits(self, model: keras.Model) -> bool:
        """Whether it is of a model like this one, whose optimizer has its variables by now."""
        pairs = [(self.variables, model.variables), (self.optimizer, model.optimizer.variables)]
        if self.best:
            pairs.append((self.best, model.weights))
        return all(_shapes(ours) == _shapes(others) for ours, others in pairs)

    def restore(self, model: keras.Model) -> None:
        """Have a model, its optimizer and the random numbers as they were."""
        assign_all(model.variables, self.variables)
        assign_all(model.optimizer.variables, self.optimizer)
        restore_draws(model, self.facts)


def draws_of(model: keras.Model) -> dict[str, Any]:
    """Where all random numbers of a training are: of quantizers, of Python and of numpy."""
    state: Any = numpy.random.get_state(legacy=False)
    numbers = {**state, "state": {**state["state"], "key": state["state"]["key"].tolist()}}
    draws = {place: stream.place for place, stream in streams_of(model) if stream.place is not None}
    return {"draws": draws, "python": random.getstate(), "numpy": numbers}


def restore_draws(model: keras.Model, facts: Mapping[str, Any]) -> None:
    """Let random numbers go on from where `draws_of` found them."""
    draws = facts["draws"]
    for place, stream in streams_of(model):
        if place in draws:
            stream.start(*draws[place])
    version, numbers, gauss = facts["python"]
    random.setstate((version, tuple(numbers), gauss))
    state = facts["numpy"]
    key = numpy.asarray(state["state"]["key"], numpy.uint32)
    numpy.random.set_state({**state, "state": {**state["state"], "key": key}})


def progress_of(model: keras.Model, epoch: int, ended: bool, best: Sequence[Any], facts: Mapping[str, Any]) -> Progress:
    """What is to be kept of a model that was trained up to an epoch."""
    return Progress(
        epoch=epoch,
        ended=ended,
        variables=[numpy.asarray(variable) for variable in model.variables],
        optimizer=[numpy.asarray(variable) for variable in model.optimizer.variables],
        best=best,
        facts={**facts, **draws_of(model)},
    )


@dataclass
class Pace:
    """How often progress is saved: what it costs stays a small share of the time.

    Attributes:
        least: seconds of training below which nothing is saved.
        share: of the time that saving may take.
        took: seconds of the last saving, in whatever training; None before the first.
    """

    least: float = 1.0
    share: float = 0.05
    took: float | None = None

    def due(self, seconds: float, size: int) -> bool:
        """Whether it is time, so long after the last saving or the beginning; size: bytes that would be written."""
        took = size / _BYTES_PER_SECOND if self.took is None else self.took
        return seconds >= max(self.least, took / self.share)


@dataclass(frozen=True)
class ProgressFile:
    """Where the progress of one training is.

    Attributes:
        identity: what is trained, and how: whatever differs is another training.
        keeps_end: whether a training that has ended is kept too, as others come before its result is.
    """

    path: Path
    identity: Mapping[str, Any]
    pace: Pace = field(default_factory=Pace)
    keeps_end: bool = False

    def of(self, **more: Any) -> ProgressFile:
        """The same, with more in its identity."""
        return replace(self, identity={**self.identity, **more})

    def read(self) -> Progress | None:
        """What was saved of this very training; anything else is removed."""
        if not self.path.exists():
            return None
        try:
            found = self._read()
        except Exception:  # whatever a damaged file can do
            found = None
        if found is None:
            self.remove()
        return found

    def _read(self) -> Progress | None:
        # NumPy leaves a file open that it opened itself and cannot read
        with self.path.open("rb") as raw, numpy.load(raw, allow_pickle=False) as file:
            told = json.loads(file["told"].tobytes())
            if told["identity"] != _plain(self.identity):
                return None
            counts = told["counts"]
            arrays = {part: [file[f"{part}_{index}"] for index in range(counts[part])] for part in _PARTS}
        return Progress(epoch=told["epoch"], ended=told["ended"], facts=told["facts"], **arrays)

    def write(self, progress: Progress) -> None:
        """Save it, in place of what was saved before.

        Raises:
            OutputError: it cannot be written.
        """
        parts = {part: getattr(progress, part) for part in _PARTS}
        told = {
            "identity": self.identity,
            "epoch": progress.epoch,
            "ended": progress.ended,
            "facts": progress.facts,
            "counts": {part: len(values) for part, values in parts.items()},
        }
        arrays = {f"{part}_{index}": array for part, values in parts.items() for index, array in enumerate(values)}
        with written_whole(self.path) as aside:
            numpy.savez(aside, told=numpy.frombuffer(json.dumps(told, default=str).encode(), numpy.uint8), **arrays)

    def remove(self) -> None:
        """Have none any more."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


class ProgressSaver(keras.callbacks.Callback):  # type: ignore[misc]
    """Goes on from where a training was, and saves where it is; it comes after all other callbacks."""

    def __init__(
        self,
        file: ProgressFile,
        epochs: int,
        kept: Callable[[], tuple[Sequence[Any], Mapping[str, Any]]],
        averages: Averages | None = None,
        begun: Progress | None = None,
    ) -> None:
        """
        Args:
            epochs: number of the last epoch.
            kept: the weights of the best epoch, and what the other callbacks count.
            averages: what has the averages of the weights in the model when an epoch ends.
            begun: where the training was.
        """
        super().__init__()
        self.file, self.epochs, self.kept = file, epochs, kept
        self.averages, self.begun = averages, begun
        self.possible: bool | None = None
        self.since = math.inf

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        if self.begun is not None:
            self.begun.restore(self.model)
        self.since = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        ended = self.model.stop_training or epoch + 1 >= self.epochs
        # a result that is about to be written needs no progress
        wanted = self.file.keeps_end if ended else self._due()
        if wanted and self.possible is not False:
            # on a full disk training goes on; what cannot do without a file will say so
            with suppress(OutputError):
                self._save(epoch + 1, ended)

    def _due(self) -> bool:
        seconds = time.monotonic() - self.since
        if seconds < self.file.pace.least:
            return False
        variables = (*self.model.variables, *self.model.optimizer.variables, *self.model.weights)
        size = sum(math.prod(side or 1 for side in variable.shape) * 4 for variable in variables)
        return self.file.pace.due(seconds, size)

    def _save(self, epoch: int, ended: bool) -> None:
        started = time.monotonic()
        try:
            if self.possible is None:  # which takes its time too
                self.possible = steps_repeat(self.model)
            if not self.possible:
                return
            best, facts = self.kept()
            with nullcontext() if self.averages is None else self.averages.out():
                progress = progress_of(self.model, epoch, ended, best, facts)
            arrays = (*progress.variables, *progress.optimizer, *progress.best)
            self.possible = all(
                numpy.asarray(array).dtype.kind != "V" for array in arrays
            )  # NumPy's file loses bfloat16
            if self.possible:
                self.file.write(progress)
        finally:
            self.since = time.monotonic()
            self.file.pace.took = self.since - started


def _shapes(values: Sequence[Any]) -> list[tuple[int, ...]]:
    return [numpy.asarray(value).shape for value in values]


def _plain(identity: Mapping[str, Any]) -> Any:
    """As it comes back from a file."""
    return json.loads(json.dumps(identity, default=str))
