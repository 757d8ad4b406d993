"""Weights that all plans of a space share, and their training: a step of one plan after the other.

The weights are those of the widest model; a plan has the first channels of each layer (`quantize.nested`). A step
takes the part of the plan that it trains into the one model for all plans (`shared_model`), and puts it back, with
what the optimizer keeps of it: so a step is what it would be in the plan's own model (Guo et al. 2020,
arXiv:1904.00420; Yu and Huang 2019, arXiv:1903.05134).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy

from qsearch.datasets import Dataset
from qsearch.plan import QuantizationPlan
from qsearch.quantize.nested import NestedWeights, Part, put, taken
from qsearch.search.candidates import Candidate
from qsearch.search.time_limits import Deadlines
from qsearch.training.batches import Feeds
from qsearch.training.epochs import DivergedError, EpochEnded
from qsearch.training.fit import Recipe
from qsearch.training.progress import Progress, ProgressFile, draws_of, restore_draws
from qsearch.training.resizable import assign_all
from qsearch.training.seeds import seed_all, seed_quantizers
from qsearch.training.shared_training import SharedTraining
from qsearch.training.stepwise import EpochEnds, fit_epochs


class SharedWeights:
    """Weights of the widest model, of which each plan has a part.

    Attributes:
        arrays: in the order of the model's weights.
    """

    def __init__(self, nested: NestedWeights, arrays: Sequence[Any]) -> None:
        self.nested = nested
        self.arrays = [numpy.array(array) for array in arrays]

    def of(self, plan: QuantizationPlan) -> list[Any]:
        """Those of a plan, as its own model has them."""
        return [taken(array, part) for array, part in zip(self.arrays, self.nested.parts(plan), strict=True)]


class SharedWeightsTraining:
    """Trains shared weights in a shared model.

    Args:
        training: compiled for the recipe that weights are trained with.
    """

    def __init__(self, training: SharedTraining, weights: SharedWeights) -> None:
        self.training, self.weights = training, weights
        shared_model = training.shared
        self.model = shared_model.model
        places = {id(variable): index for index, variable in enumerate(self.model.weights)}
        self._seeds = [one for one in shared_model.variables if id(one) not in places]
        self._owned: list[tuple[Any, int]] = []
        self._global: list[Any] = []
        for variable, owner, _ in training.slots.parts:
            if owner is None:
                self._global.append(variable)
            else:
                self._owned.append((variable, places[id(owner)]))
        fresh = {id(variable): value for variable, owner, value in training.slots.parts if owner is not None}
        self._kept = [
            numpy.full(self.weights.arrays[index].shape, fresh[id(variable)]) for variable, index in self._owned
        ]

    def load(self, candidate: Candidate) -> list[Part]:
        """Have a plan in the model, with its part of the weights; what part that is."""
        parts = self.weights.nested.parts(candidate.plan)
        self.training.shared.choose(candidate.values)
        for variable, array, part in zip(self.model.weights, self.weights.arrays, parts, strict=True):
            variable.assign(taken(array, part))
        return parts

    def train(
        self,
        plans: Callable[[int], Candidate],
        data: Dataset,
        recipe: Recipe,
        seed: int,
        epoch_ended: EpochEnded,
        feeds: Feeds,
        deadlines: Deadlines,
        progress: ProgressFile | None = None,
    ) -> None:
        """Train for the recipe's epochs.

        Args:
            plans: what each step trains, by its number from 0; the same for a number however often it is asked.
            progress: where it is saved how far it is, and where it goes on from if it was begun before.

        Raises:
            OutOfTimeError: a deadline has passed.
            DivergedError: weights are not finite any more.
        """
        model = self.model
        seed_all(seed)
        seed_quantizers(model, seed)
        begun = None if progress is None else progress.read()
        if begun is not None:
            self._restore(begun)
        first = 0 if begun is None else begun.epoch
        if first >= recipe.epochs:
            return
        step = first * (data.train.steps(recipe.batch_size) or 0)
        callbacks = [_EachStep(self, plans, step), EpochEnds(self.progress, recipe.epochs, epoch_ended, progress)]
        fit_epochs(model, data, recipe, seed, first, callbacks, feeds, deadlines, single=True)
        if not all(numpy.isfinite(array).all() for array in self.weights.arrays):
            raise DivergedError("the training of shared weights diverged: they are not finite any more", True)

    def begin(self, candidate: Candidate) -> list[Part]:
        """Have a plan and what the optimizer keeps of it in the model, for a step."""
        parts = self.load(candidate)
        for (variable, index), kept in zip(self._owned, self._kept, strict=True):
            variable.assign(taken(kept, parts[index]))
        return parts

    def end(self, parts: Sequence[Part]) -> None:
        """Put back what a step has changed."""
        for variable, array, part in zip(self.model.weights, self.weights.arrays, parts, strict=True):
            put(array, part, variable.numpy())
        for (variable, index), kept in zip(self._owned, self._kept, strict=True):
            put(kept, parts[index], variable.numpy())

    def progress(self, epoch: int, ended: bool) -> Progress:
        """How far it is."""
        return Progress(
            epoch=epoch,
            ended=ended,
            variables=[*self.weights.arrays, *(numpy.asarray(one) for one in self._seeds)],
            optimizer=[*self._kept, *(numpy.asarray(one) for one in self._global)],
            best=[],
            facts=draws_of(self.model),
        )

    def _restore(self, begun: Progress) -> None:
        count = len(self.weights.arrays)
        self.weights.arrays = [numpy.array(array) for array in begun.variables[:count]]
        assign_all(self._seeds, begun.variables[count:])
        self._kept = [numpy.array(array) for array in begun.optimizer[: len(self._owned)]]
        assign_all(self._global, begun.optimizer[len(self._owned) :])
        restore_draws(self.model, begun.facts)


class _EachStep(keras.callbacks.Callback):  # type: ignore[misc]
    """Another plan in every step."""

    def __init__(self, training: SharedWeightsTraining, plans: Callable[[int], Candidate], first: int) -> None:
        super().__init__()
        self.training, self.plans, self.step = training, plans, first
        self.parts: list[Part] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.parts = self.training.begin(self.plans(self.step))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.training.end(self.parts)
        self.step += 1
