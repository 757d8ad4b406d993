"""Training one model: the reference, a trial, or the winner at the end. Everything of Keras' fit is here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy

from qsearch.config.schema import OptimizerConfig
from qsearch.datasets import Dataset, Source
from qsearch.errors import QsearchError
from qsearch.goal.target import Target
from qsearch.search.metrics import Objective
from qsearch.search.rates import variable_factors, with_factors
from qsearch.search.trials import Trained

EpochEnded = Callable[[int, int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Recipe:
    """How a model is compiled and trained.

    Attributes:
        target: the metric that decides which epoch is the best.
        epochs: number of the last epoch.
        patience: epochs without a lower `val_loss` after which training stops; None trains them all.
        from_start: the weights before training count as epoch 0, so that training never makes the model worse.
        cosine: let the learning rate fall to 0 over this many epochs (Loshchilov and Hutter 2017, arXiv:1608.03983);
            None keeps it constant.
        first_epoch: epochs that were trained before.
        rates: by layer, the factor of its learning rate; 1 for those that are not named.
    """

    optimizer: OptimizerConfig
    objective: Objective
    target: Target
    epochs: int
    batch_size: int
    patience: int | None = None
    from_start: bool = False
    cosine: int | None = None
    first_epoch: int = 0
    rates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingState:
    """Where training stopped, to go on from there: all weights, and the optimizer's variables."""

    weights: list[Any]
    optimizer: list[Any]


class DivergedError(QsearchError):
    """Training gave no epoch with a finite target metric and loss."""


def early_stopping_patience(epochs: int) -> int:
    """AutoQKeras' patience: min(20, epochs // 5)."""
    return min(20, epochs // 5)


def train(
    model: keras.Model,
    data: Dataset,
    recipe: Recipe,
    seed: int,
    epoch_ended: EpochEnded,
    state: TrainingState | None = None,
    stop: Callable[[list[float]], str | None] | None = None,
) -> tuple[Trained, TrainingState]:
    """Compile and train `model`, and leave it with the weights of its best epoch on the selection set.

    The best epoch has the best target metric; of equal ones, the lowest loss.

    Args:
        state: go on from here; else from the model's own weights and a fresh optimizer.
        stop: given the target metric after every epoch, why to stop, or None.

    Returns:
        What training came to, and where it stopped.

    Raises:
        DivergedError: no epoch had a finite metric.
    """
    compile_model(model, recipe, data.train.steps(recipe.batch_size))
    keras.utils.set_random_seed(seed)
    if state is not None:
        model.optimizer.build(model.trainable_variables)
        model.set_weights(state.weights)
        for variable, value in zip(model.optimizer.variables, state.optimizer, strict=True):
            variable.assign(value)
    keeper = _BestEpoch(recipe.target, recipe.epochs, epoch_ended, stop)
    if recipe.from_start:
        keeper.set_model(model)
        keeper.consider(0, {f"val_{name}": value for name, value in evaluate(model, data.selection, recipe).items()})
    callbacks: list[Any] = [keras.callbacks.TerminateOnNaN(), keeper]
    if recipe.patience is not None:
        callbacks.append(keras.callbacks.EarlyStopping("val_loss", patience=recipe.patience, mode="min"))
    with data.train.reading(), data.selection.reading():
        model.fit(
            **data.train.training(recipe.batch_size),
            validation_data=data.selection.validation(recipe.batch_size),
            initial_epoch=recipe.first_epoch,
            epochs=recipe.epochs,
            class_weight=recipe.objective.class_weight,
            callbacks=callbacks,
            verbose=0,
        )
    end = TrainingState(model.get_weights(), [numpy.asarray(value) for value in model.optimizer.variables])
    if recipe.rates:
        compile_model(model, replace(recipe, rates={}))  # with an optimizer that can be saved
    return keeper.restore(), end


def compile_model(model: keras.Model, recipe: Recipe, steps: int | None = None) -> None:
    """Compile with the recipe's optimizer, loss and metrics; steps: of an epoch, for a falling rate."""
    options = recipe.optimizer.options()
    if recipe.cosine is not None and steps is not None:
        rate = options["learning_rate"]
        options["learning_rate"] = keras.optimizers.schedules.CosineDecay(rate, recipe.cosine * steps)
    optimizer = keras.optimizers.get({"class_name": recipe.optimizer.name, "config": options})
    if recipe.rates:
        optimizer = with_factors(optimizer, variable_factors(model, recipe.rates))
    model.compile(optimizer=optimizer, **recipe.objective.compiled())


def evaluate(model: keras.Model, source: Source, recipe: Recipe) -> dict[str, float]:
    """Loss and metrics of a compiled model on a set of samples."""
    with source.reading():
        found = model.evaluate(**source.evaluation(max(recipe.batch_size, 256)), verbose=0, return_dict=True)
    return {name: float(value) for name, value in found.items()}


class _BestEpoch(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the weights of the best epoch in memory and tells the observer of each."""

    def __init__(
        self,
        target: Target,
        epochs: int,
        epoch_ended: EpochEnded,
        stop: Callable[[list[float]], str | None] | None,
    ) -> None:
        super().__init__()
        self.target = target
        self.epochs = epochs
        self.epoch_ended = epoch_ended
        self.stop = stop
        self.stopped: str | None = None
        self.seen = 0
        self.curve: list[float] = []
        self.best: tuple[float, float] | None = None
        self.kept: tuple[int, dict[str, float], Any] | None = None

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        self.seen = epoch + 1
        self.curve.append(metrics.get(self.target.name, math.nan))
        self.consider(self.seen, metrics)
        self.epoch_ended(self.seen, self.epochs, metrics)
        if self.stop is not None and self.seen < self.epochs:
            self.stopped = self.stop([value for value in self.curve if math.isfinite(value)])
            self.model.stop_training = self.model.stop_training or self.stopped is not None

    def consider(self, epoch: int, metrics: dict[str, float]) -> None:
        rank = (self.target.worth(metrics.get(self.target.name, math.nan)), -metrics.get("val_loss", math.nan))
        if all(math.isfinite(value) for value in rank) and (self.best is None or rank > self.best):
            self.best = rank
            self.kept = (epoch, metrics, self.model.get_weights())

    def restore(self) -> Trained:
        if self.kept is None:
            raise DivergedError(
                f"training diverged: {self.target.name} or val_loss was not finite in any of {self.seen} epochs"
            )
        epoch, metrics, weights = self.kept
        self.model.set_weights(weights)
        return Trained(metrics, self.seen, epoch, tuple(self.curve), self.stopped)
