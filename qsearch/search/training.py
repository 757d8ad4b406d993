"""Training one model: the reference, a trial, or the winner at the end. Everything of Keras' fit is here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from qsearch.config.schema import OptimizerConfig
from qsearch.datasets import Dataset, Split
from qsearch.errors import QsearchError
from qsearch.search.trials import Trained

EpochEnded = Callable[[int, int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Recipe:
    """How a model is compiled and trained.

    Attributes:
        metrics: Keras names; the first is the target metric, higher is better.
        patience: epochs without a lower `val_loss` after which training stops; None trains them all.
        from_start: the weights before training count as epoch 0, so that training never makes the model worse.
    """

    optimizer: OptimizerConfig
    loss: str
    metrics: tuple[str, ...]
    epochs: int
    batch_size: int
    patience: int | None = None
    from_start: bool = False


class DivergedError(QsearchError):
    """Training gave no epoch with a finite target metric and loss."""


def early_stopping_patience(epochs: int) -> int:
    """AutoQKeras' patience: min(20, epochs // 5)."""
    return min(20, epochs // 5)


def train(model: keras.Model, data: Dataset, recipe: Recipe, seed: int, epoch_ended: EpochEnded) -> Trained:
    """Compile and train `model`, and leave it with the weights of its best epoch on the selection set.

    The best epoch has the highest target metric; of equal ones, the lowest loss.

    Raises:
        DivergedError: no epoch had a finite metric.
    """
    compile_model(model, recipe)
    keras.utils.set_random_seed(seed)
    keeper = _BestEpoch(f"val_{recipe.metrics[0]}", recipe.epochs, epoch_ended)
    if recipe.from_start:
        keeper.set_model(model)
        keeper.consider(0, {f"val_{name}": value for name, value in evaluate(model, data.selection, recipe).items()})
    callbacks: list[Any] = [keras.callbacks.TerminateOnNaN(), keeper]
    if recipe.patience is not None:
        callbacks.append(keras.callbacks.EarlyStopping("val_loss", patience=recipe.patience))
    model.fit(
        data.train.x,
        data.train.y,
        validation_data=(data.selection.x, data.selection.y),
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        callbacks=callbacks,
        verbose=0,
    )
    return keeper.restore()


def compile_model(model: keras.Model, recipe: Recipe) -> None:
    """Compile with the recipe's optimizer, loss and metrics."""
    optimizer = keras.optimizers.get({"class_name": recipe.optimizer.name, "config": recipe.optimizer.options()})
    model.compile(optimizer=optimizer, loss=recipe.loss, metrics=list(recipe.metrics))


def evaluate(model: keras.Model, split: Split, recipe: Recipe) -> dict[str, float]:
    """Loss and metrics of a compiled model on a split."""
    batch_size = max(recipe.batch_size, 256)
    found = model.evaluate(split.x, split.y, batch_size=batch_size, verbose=0, return_dict=True)
    return {name: float(value) for name, value in found.items()}


class _BestEpoch(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the weights of the best epoch in memory and tells the observer of each."""

    def __init__(self, target: str, epochs: int, epoch_ended: EpochEnded) -> None:
        super().__init__()
        self.target = target
        self.epochs = epochs
        self.epoch_ended = epoch_ended
        self.best: tuple[float, float] | None = None
        self.kept: tuple[int, dict[str, float], list[Any]] | None = None
        self.seen = 0

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        self.seen = epoch + 1
        self.consider(self.seen, metrics)
        self.epoch_ended(self.seen, self.epochs, metrics)

    def consider(self, epoch: int, metrics: dict[str, float]) -> None:
        rank = (metrics.get(self.target, math.nan), -metrics.get("val_loss", math.nan))
        if all(math.isfinite(value) for value in rank) and (self.best is None or rank > self.best):
            self.best = rank
            self.kept = (epoch, metrics, self.model.get_weights())

    def restore(self) -> Trained:
        if self.kept is None:
            raise DivergedError(
                f"training diverged: {self.target} or val_loss was not finite in any of {self.seen} epochs"
            )
        epoch, metrics, weights = self.kept
        self.model.set_weights(weights)
        return Trained(metrics, self.seen, epoch)
