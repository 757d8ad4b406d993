"""Trainings that are no trial: what several plans share is trained for so many epochs, without a best epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import keras
import numpy

from qsearch.datasets import Dataset
from qsearch.datasets.memory import shared
from qsearch.datasets.trouble import feeding, surfaced
from qsearch.search.time_limits import Deadlines
from qsearch.training.augmented import augmented
from qsearch.training.batches import Feeds, take_steps
from qsearch.training.deadlines import Clock
from qsearch.training.epochs import EndsWithoutLoss, EpochEnded
from qsearch.training.first_trace import make_variables
from qsearch.training.fit import Recipe, failures_told, single_steps_for
from qsearch.training.progress import Progress, ProgressFile


def fit_epochs(
    model: keras.Model,
    data: Dataset,
    recipe: Recipe,
    seed: int,
    first: int,
    callbacks: Sequence[Any],
    feeds: Feeds,
    deadlines: Deadlines,
    single: bool = False,
) -> None:
    """Train a compiled model up to the recipe's last epoch.

    Args:
        first: epochs that were trained before.
        callbacks: told of batches and epochs before the deadlines are looked at.
        single: whether each step is a call.

    Raises:
        OutOfTimeError: a deadline has passed.
    """
    batches = feeds.training(data.train, recipe.batch_size) if recipe.augment is None else None
    call = 1
    if batches is not None and not single and single_steps_for(data.train, recipe) is None:
        call = recipe.execution.steps_of_call(batches.steps, recipe.batch_size, recipe.macs)
    take_steps(model, call)
    if first >= recipe.epochs:
        return
    every: list[Any] = [EndsWithoutLoss(), *callbacks, Clock(deadlines)]
    if batches is not None:
        fed = batches.arguments(seed, first, call)
        every.insert(0, batches)
    else:
        fed = data.train.training(recipe.batch_size)
    if recipe.augment is not None:
        fed = augmented(fed, recipe.augment, seed, first)
    changing = nullcontext() if recipe.augment is None else surfaced(recipe.augment.trouble)
    with failures_told(model), feeding(data.name), data.train.reading(), changing:
        make_variables(model, data.train, training=False)
        model.fit(
            **shared(fed),
            initial_epoch=first,
            epochs=recipe.epochs,
            class_weight=recipe.objective.class_weight,
            callbacks=every,
            verbose=0,
        )


class EpochEnds(keras.callbacks.Callback):  # type: ignore[misc]
    """Tells of an epoch, and saves how far the training is, where it is time for that."""

    def __init__(
        self,
        progress: Callable[[int, bool], Progress],
        epochs: int,
        ended: EpochEnded,
        file: ProgressFile | None,
    ) -> None:
        """
        Args:
            progress: of an epoch, and of whether it is the last one: how far the training is.
        """
        super().__init__()
        self.progress, self.epochs, self.ended, self.file = progress, epochs, ended, file
        self.since = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        if self.file is not None:
            self._save(self.file, epoch + 1)
        self.ended(epoch + 1, self.epochs, {name: float(value) for name, value in (logs or {}).items()})

    def _save(self, file: ProgressFile, epoch: int) -> None:
        now = self.progress(epoch, epoch == self.epochs)
        size = sum(numpy.asarray(array).nbytes for array in (*now.variables, *now.optimizer, *now.best))
        started = time.monotonic()
        if now.ended or file.pace.due(started - self.since, size):
            file.write(now)
            self.since = time.monotonic()
            file.pace.took = self.since - started
