"""Training candidates one after the other in one Keras model, whose steps are traced once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from qsearch.datasets import Dataset
from qsearch.graph.walk import head_names
from qsearch.search.space import Values
from qsearch.search.trials import Trained
from qsearch.training.batches import Feeds
from qsearch.training.fit import EpochEnded, Recipe, TrainingState, optimizer_of, train
from qsearch.training.resizable import Slots, assign_all, resizable_optimizer
from qsearch.training.shared_model import NotShareableError, SharedModel


class SharedTraining:
    """Trains in a shared model what an ordinary model would train to, bit for bit.

    It is compiled anew where a candidate needs another optimizer, schedule or objective than the one before.
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
        self.compiled: Any = None
        self.slots: Slots | None = None
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
    ) -> tuple[Trained, TrainingState]:
        """`fit.train`, and `model` gets the weights.

        Args:
            model: the ordinary model of the candidate, with the weights to start from.
            values: what the candidate chooses.
        """
        shared = self.shared
        shared.load(model, values)
        self._compile(recipe, data.train.steps(recipe.batch_size))
        trained, end = train(shared.model, data, recipe, seed, epoch_ended, state, stop, compiled=True, feeds=feeds)
        assign_all(model.weights, shared.weights())
        return trained, end

    def _compile(self, recipe: Recipe, steps: int | None) -> None:
        """Compile, or take the optimizer back to its start."""
        model, rate = self.shared.model, recipe.optimizer.learning_rate
        fixed = steps is None or isinstance(recipe.schedule.rate(rate, steps), float)
        options = recipe.optimizer.model_copy(update={"learning_rate": 1.0}) if fixed else recipe.optimizer
        schedule = None if fixed else (recipe.schedule, steps)
        wanted = (options, schedule, tuple(sorted(recipe.rates.items())), id(recipe.objective))
        if wanted != self.compiled:
            optimizer = resizable_optimizer(optimizer_of(model, recipe, steps))
            self.shared.hold()
            optimizer.build(model.trainable_variables)
            self.shared.release()
            try:
                self.slots = Slots(optimizer, self.shared.shapes)
            except ValueError as error:
                raise NotShareableError(str(error)) from None
            compiled = recipe.objective.compiled(head_names(model))
            model.compile(optimizer=optimizer, jit_compile=False, **compiled)
            self.compiled = wanted
        assert self.slots is not None
        self.slots.reset()
        if fixed:
            model.optimizer.learning_rate = rate
