"""Training candidates one after the other in one Keras model, whose steps are traced once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from qsearch.datasets import Dataset
from qsearch.graph.walk import head_names
from qsearch.search.space import Values
from qsearch.search.time_limits import Deadlines
from qsearch.search.trials import Trained
from qsearch.training.batches import Feeds
from qsearch.training.epochs import EpochEnded
from qsearch.training.execution import Execution
from qsearch.training.fit import Recipe, TrainingState, optimizer_of, train
from qsearch.training.objective import Objective
from qsearch.training.progress import ProgressFile
from qsearch.training.resizable import Slots, assign_all, resizable_optimizer
from qsearch.training.shared_model import NotShareableError, SharedModel


@dataclass
class _Stepping:
    """An optimizer, and the step of training that was traced with it."""

    optimizer: keras.optimizers.Optimizer
    slots: Slots
    train_function: Any = None


class SharedTraining:
    """Trains in a shared model what an ordinary model would train to, bit for bit.

    A step is traced once for each optimizer or schedule that candidates ask for; a constant rate is no other one.
    """

    def __init__(self, shared: SharedModel, recipe: Recipe, steps: int | None) -> None:
        """
        Args:
            recipe: of a candidate, to find out now what cannot be shared.
            steps: of one of its epochs.

        Raises:
            NotShareableError: an optimizer with variables of shapes of its own.
        """
        self.shared = shared
        self.objective: Objective | None = None
        self.optimizers: dict[str, _Stepping] = {}
        self.chosen: str | None = None
        self._compile(recipe, steps)

    def train(
        self,
        model: keras.Model,
        values: Values,
        data: Dataset,
        recipe: Recipe,
        seed: int,
        epoch_ended: EpochEnded,
        state: TrainingState | None = None,
        stop: Callable[[list[float]], str | None] | None = None,
        feeds: Feeds | None = None,
        deadlines: Deadlines | None = None,
        progress: ProgressFile | None = None,
    ) -> tuple[Trained, TrainingState]:
        """`fit.train`, and `model` gets the weights.

        Args:
            model: the ordinary model of the candidate, with the weights to start from.
            values: what the candidate chooses.
        """
        shared = self.shared
        shared.load(model, values)
        self._compile(recipe, data.train.steps(recipe.batch_size))
        trained, end = train(
            shared.model, data, recipe, seed, epoch_ended, state, stop, True, feeds, deadlines, progress
        )
        assign_all(model.weights, shared.weights())
        return trained, end

    @property
    def slots(self) -> Slots:
        """Of the optimizer that trains now."""
        assert self.chosen is not None
        return self.optimizers[self.chosen].slots

    def take(self, recipe: Recipe, steps: int | None) -> None:
        """Train by a recipe from now on, with an optimizer at its start."""
        self._compile(recipe, steps)

    def _compile(self, recipe: Recipe, steps: int | None) -> None:
        """Compile where it is the first time, and take the optimizer of the recipe, back at its start."""
        model, rate = self.shared.model, recipe.optimizer.learning_rate
        fixed = steps is None or isinstance(recipe.schedule.rate(rate, steps), float)
        options = recipe.optimizer.model_copy(update={"learning_rate": 1.0}) if fixed else recipe.optimizer
        schedule = None if fixed else (recipe.schedule, steps)
        wanted = repr((options, schedule, sorted(recipe.rates.items())))
        if self.chosen is not None:  # whose step is traced by now
            self.optimizers[self.chosen].train_function = model.train_function
        if recipe.objective is not self.objective:
            self.objective, self.optimizers, self.chosen = recipe.objective, {}, None
        if wanted not in self.optimizers:
            optimizer, slots = self._optimizer(recipe, steps)
            if not self.optimizers:
                compiled = recipe.objective.compiled(head_names(model))
                model.compile(optimizer=optimizer, jit_compile=Execution.SHARED_JIT_COMPILE, **compiled)
            self.optimizers[wanted] = _Stepping(optimizer, slots)
        stepping = self.optimizers[wanted]
        if wanted != self.chosen:
            model.optimizer, model.train_function, self.chosen = stepping.optimizer, stepping.train_function, wanted
        stepping.slots.reset()
        if fixed:
            model.optimizer.learning_rate = rate

    def _optimizer(self, recipe: Recipe, steps: int | None) -> tuple[keras.optimizers.Optimizer, Slots]:
        model = self.shared.model
        optimizer = resizable_optimizer(optimizer_of(model, recipe, steps))
        self.shared.hold()
        optimizer.build(model.trainable_variables)
        self.shared.release()
        try:
            return optimizer, Slots(optimizer, self.shared.shapes)
        except ValueError as error:
            raise NotShareableError(str(error)) from None
