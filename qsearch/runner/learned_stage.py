"""The stage before the search in mode learned: a model of all options mixed is trained, and plans are taken from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from qsearch.plan import QuantizationPlan
from qsearch.quantize.apply import apply_plan
from qsearch.quantize.nested import taken
from qsearch.runner.prepared import recipe_of_shared
from qsearch.runner.shared_stage import SharedStage, diverging
from qsearch.search.candidates import Candidate, Candidates, Unpriced
from qsearch.search.draws import Draws, allowed
from qsearch.search.ranking import Ranked, promising
from qsearch.search.space import Choice
from qsearch.search.time_limits import Deadlines
from qsearch.sensitivity.problem import HUNDREDTHS
from qsearch.training.fit import Recipe
from qsearch.training.mixed_training import MixedTraining, Taken

_POINTS = 2
"""Of the path of the energy, for each plan that becomes a trial."""


@dataclass(kw_only=True)
class LearnedStage(SharedStage):
    """Trains the mixed model, measures the plans that are taken from it, and gives each trial its weights.

    Each plan has the part of the mixed model's weights that there was when it was taken.
    """

    TRAINED: ClassVar[str] = "the mixed model was"
    EPOCHS: ClassVar[str] = "run.learned_epochs"

    _own: Mapping[QuantizationPlan, Sequence[Any]] | None = field(default=None, init=False)

    def _weights_of(self, plan: QuantizationPlan) -> Sequence[Any] | None:
        return (self._own or {}).get(plan)

    def _read(self, candidates: Candidates) -> list[Ranked] | None:
        plans, arrays = super()._read(candidates), self.checkpoints.shared()
        if plans is None or arrays is None:
            return None
        count = len(arrays) // max(1, len(plans))
        self._own = {one.candidate.plan: arrays[place * count : (place + 1) * count] for place, one in enumerate(plans)}
        return plans

    def _made(self, candidates: Candidates) -> list[Ranked]:
        recipe = recipe_of_shared(self.ready)
        found = self._found(recipe, candidates)
        self._own = {candidate.plan: one.weights for candidate, one in found}
        shared = self.ready.shared
        assert shared is not None, "a mode that shares weights has prepared them"
        shared.take(recipe, self.ready.data.train.steps(recipe.batch_size))

        def load(candidate: Candidate) -> None:
            model = apply_plan(self.reference, candidate.plan)
            model.set_weights(self._weights_of(candidate.plan))
            shared.shared.load(model, candidate.values)

        self.observer.stage(f"mixed model: {len(found)} plans taken, each is measured")
        measure = self._measure(shared.shared.model, load, recipe)
        plans = promising([Ranked(candidate, measure(candidate)) for candidate, _ in found], self.target)
        self.checkpoints.save_shared([array for one in plans for array in self._own[one.candidate.plan]])
        self._write(plans)
        self.checkpoints.forget_training("shared")
        return plans

    def _found(self, recipe: Recipe, candidates: Candidates) -> list[tuple[Candidate, Taken]]:
        """The plans inside the budget that the mixed model came to; the cheapest of all where it came to none."""
        training = self._trained(recipe)
        found = [(self._candidate(candidates, one.values), one) for one in training.taken]
        inside = [(one, its) for one, its in found if allowed(one) and self._usable(one)]
        if inside:
            return inside
        cheapest = Draws(candidates, self.seed).cheapest
        return [(cheapest, training.of(cheapest.values))]

    def _trained(self, recipe: Recipe) -> MixedTraining:
        mixture, begun = self.ready.mixture, self._begun()
        assert mixture is not None, "a mode that learns has prepared it"
        mixture.mixed.model.set_weights(begun.arrays)

        def part(values: Mapping[str, Choice], arrays: Sequence[Any]) -> list[Any]:
            parts = begun.nested.parts(self.space.plan(values))
            return [taken(array, part) for array, part in zip(arrays, parts, strict=True)]

        steps = self.ready.data.train.steps(recipe.batch_size)
        training = MixedTraining(mixture, recipe, steps, self._points, part, self._budget)
        asked = f"{self._budget / HUNDREDTHS:,.0f} pJ" if self._budget is not None else "the cheapest plan"
        self.observer.stage(f"mixed model: {recipe.epochs} epochs, from dear plans to {asked}")
        identity = {
            "space": repr(self.space.dimensions),
            "recipe": recipe.identity,
            "seed": self.seed,
            "steps": steps,
            "path": [*training.path.times, *training.path.costs],
            "points": self._points,
        }
        with diverging(recipe):
            training.train(
                self.ready.data,
                self.seed,
                self.observer.epoch_ended,
                self.feeds,
                Deadlines(self.limit),
                self.checkpoints.training("shared", identity, keeps_end=True),
            )
        return training

    @property
    def _points(self) -> int:
        return _POINTS * self.taken

    @property
    def _budget(self) -> float | None:
        """In hundredths of a pJ; the goal is energy."""
        budget = self.config.run.budget
        given = [one for one in (budget.energy, budget.cost) if one is not None]
        return min(given) * HUNDREDTHS if given else None

    def _candidate(self, candidates: Candidates, values: Mapping[str, Choice]) -> Candidate | Unpriced:
        """With the middle of what a plan does not depend on, such as the learning rate."""
        every = {one.name: one.options[len(one.options) // 2] for one in self.space.dimensions}
        return candidates.of({**every, **values})
