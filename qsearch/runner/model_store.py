"""Which trained models are kept: the best, the next best, the front and its knee."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from qsearch.plan import QuantizationPlan
from qsearch.quantize.apply import apply_plan
from qsearch.runs.directory import RunDirectory
from qsearch.search.front import Point, front, knee
from qsearch.search.trials import Trial
from qsearch.training.checkpoints import Checkpoints
from qsearch.training.fit import Recipe, compile_model
from qsearch.training.trainer import TrainedWeights


@dataclass(kw_only=True)
class ModelStore:
    """Saves trained weights as trials end, and makes models of them.

    Attributes:
        reference: whose layers models have.
        recipe: what saved models are compiled with.
        count: how many of the best are wanted; more than one brings the knee of the front too.
        whole_front: whether the whole front is wanted.
    """

    directory: RunDirectory
    checkpoints: Checkpoints
    reference: keras.Model
    recipe: Recipe
    count: int = 1
    whole_front: bool = False
    completed: list[Trial] = field(default_factory=list)

    def keep(
        self, trial: Trial, weights: TrainedWeights, folders: Sequence[str], needed: Collection[int], going_on: bool
    ) -> None:
        """Save what may be wanted later of a trial that has just ended.

        Args:
            folders: where its model is to be saved; nowhere, if it is not the best so far.
            needed: trials that the search may still start from.
            going_on: whether training may go on where it stopped.
        """
        self.completed.append(trial)
        kept = {*self.wanted(), *self._may_be_knee(), *needed}
        if trial.number in kept:
            self.checkpoints.save(trial.number, weights.best, weights.end if going_on else None)
        self.checkpoints.prune(kept)
        if folders:
            model = self._made(trial.plan, weights.best)
            compile_model(model, self.recipe)
            self.directory.save_model(folders[0], model, trial.plan)
            for folder in folders[1:]:
                self.directory.copy_model(folders[0], folder)

    def wanted(self) -> dict[int, tuple[str, ...]]:
        """Trials whose models are to be saved at the end, and as what: "best 2", "front", "knee"."""
        if self.count == 1 and not self.whole_front:
            return {}
        roles: dict[int, list[str]] = {}
        ranked = sorted((trial for trial in self.completed if trial.accepted), key=lambda one: (-one.score, one.number))
        for rank, trial in enumerate(ranked[: self.count], 1):
            roles.setdefault(trial.number, []).append(f"best {rank}")
        points = self._points()
        for index in front(points) if self.whole_front else ():
            roles.setdefault(self.completed[index].number, []).append("front")
        middle = knee(points)
        if middle is not None:
            roles.setdefault(self.completed[middle].number, []).append("knee")
        return {number: tuple(names) for number, names in sorted(roles.items())}

    def _may_be_knee(self) -> set[int]:
        """Trials that may be the knee once others have been trained: those of the front."""
        return {self.completed[index].number for index in front(self._points())} if self.count > 1 else set()

    def _points(self) -> list[Point]:
        target = self.recipe.target
        return [Point(target.worth(trial.metric), trial.price.cost) for trial in self.completed]

    def restored(self, number: int, plan: QuantizationPlan) -> keras.Model:
        """The trained model of a trial that is wanted."""
        return self._made(plan, self.checkpoints.best(number))

    def _made(self, plan: QuantizationPlan, weights: list[Any]) -> keras.Model:
        model = apply_plan(self.reference, plan)
        model.set_weights(weights)
        return model
