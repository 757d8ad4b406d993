"""The stage before the search in mode one_shot: weights that all plans share are trained, and rank plans."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import keras

from qsearch.config import Config
from qsearch.config.search_modes import SHARED_PLANS
from qsearch.errors import ConfigError, OutputError, SearchError
from qsearch.plan import QuantizationPlan
from qsearch.quantize.apply import apply_plan
from qsearch.quantize.nested import NestedWeights
from qsearch.quantize.transfer import transfer_weights
from qsearch.runner.exportable import objections
from qsearch.runner.prepared import Prepared, recipe_of_shared
from qsearch.runs.directory import RANKING, RunDirectory
from qsearch.search.candidates import Candidate, Candidates
from qsearch.search.draws import Draws
from qsearch.search.one_shot import ENOUGH, SharedRanking
from qsearch.search.proposals import Proposal
from qsearch.search.ranking import Ranked, evolve, from_dict, promising
from qsearch.search.seeds import SHARED_SEED, spread
from qsearch.search.time_limits import NO_LIMIT, Deadlines, OutOfTimeError, TimeLimit
from qsearch.search.trials import Observer
from qsearch.training.batches import Feeds
from qsearch.training.checkpoints import Checkpoints
from qsearch.training.epochs import DivergedError
from qsearch.training.fit import Recipe, evaluate
from qsearch.training.shared_weights import SharedWeights, SharedWeightsTraining
from qsearch.training.statistics import Batch, Calibrator, calibration_batches
from qsearch.training.trainer import Parent

_SAMPLES = 2048
"""Of the training set, that a plan's batch statistics are taken of."""


@dataclass(kw_only=True)
class SharedStage:
    """Trains shared weights, ranks plans by them, and gives each trial its part.

    The weights and the ranking are on disk once they are made, so that a later process only reads them; a training that
    was cut off goes on from its last saved epoch.

    Attributes:
        plans: how many were ranked.
        taken: how many of them become trials.
        TRAINED, EPOCHS: what is trained, and the key that says how long, for messages.
    """

    TRAINED: ClassVar[str] = "the shared weights were"
    EPOCHS: ClassVar[str] = "run.shared_epochs"

    ready: Prepared
    directory: RunDirectory
    checkpoints: Checkpoints
    feeds: Feeds
    observer: Observer
    limit: TimeLimit = NO_LIMIT
    plans: int = 0
    taken: int = 0
    _weights: SharedWeights | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.config: Config = self.ready.experiment.loaded.config
        self.reference: keras.Model = self.ready.experiment.model
        self.space = self.ready.schedule.space
        self.target = self.ready.recipe.target
        self.seed = spread(self.config.run.seed, SHARED_SEED)
        self.epochs = self.config.run.epochs_shared

    def ranking(self, candidates: Candidates, trials: int) -> SharedRanking:
        """The plans that the shared weights rank, the most promising first.

        Args:
            trials: of the search.

        Raises:
            SearchError: no time is left for it, or it diverges.
        """
        self.taken = self.config.run.shared_trials or max(ENOUGH, trials // 2)
        try:
            plans = self._read(candidates) or self._made(candidates)
        except OutOfTimeError as error:
            raise SearchError(
                f"run.time_limit: {self.limit} was over while {self.TRAINED} trained, {error.place}, so that nothing "
                f"was searched; allow more time, or lower {self.EPOCHS}"
            ) from None
        self.plans = len(plans)
        return SharedRanking(plans=plans, taken=self.taken, worth=self.target.worth, say=self.observer.stage)

    def parent(self, proposal: Proposal) -> Parent | None:
        """What a trial starts from: its part of the shared weights, with batch statistics of its own."""
        weights = self._weights_of(proposal.plan)
        if weights is None:
            return None
        model = apply_plan(self.reference, proposal.plan)
        model.set_weights(weights)
        Calibrator(model, traced=False, with_loss=False)(self._samples)
        return Parent(proposal.plan, model.get_weights(), None)

    def _weights_of(self, plan: QuantizationPlan) -> Sequence[Any] | None:
        """What a plan has of the shared weights; None where they are not there."""
        self._weights = self._weights or self._stored()
        return None if self._weights is None else self._weights.of(plan)

    @cached_property
    def _samples(self) -> list[Batch]:
        return calibration_batches(self.ready.data.train, _SAMPLES, self.seed)

    def _widest(self) -> keras.Model:
        """With the trained reference's weights."""
        model = apply_plan(self.reference, self.space.plan(self.space.at_widths(max)))
        transfer_weights(self.reference, model)
        return model

    def _begun(self) -> SharedWeights:
        """The weights before training: the reference's, the most useful channels of each layer first."""
        nested = NestedWeights(widest := self._widest())
        own = {
            layer.name: layer.filters
            for layer in self.space.layers
            if layer.filters is not None and layer.filters_dimension is not None
        }
        return SharedWeights(nested, nested.ordered(widest.get_weights(), own))

    def _stored(self) -> SharedWeights | None:
        arrays = self.checkpoints.shared()
        return None if arrays is None else SharedWeights(NestedWeights(self._widest()), arrays)

    def _made(self, candidates: Candidates) -> list[Ranked]:
        recipe = recipe_of_shared(self.ready)
        draws = Draws(candidates, self.seed)
        shared = self.ready.shared
        assert shared is not None, "a mode that shares weights has prepared them"
        shared.take(recipe, self.ready.data.train.steps(recipe.batch_size))
        weights = self._stored()
        training = SharedWeightsTraining(shared, weights or self._begun())
        if weights is None:
            self._train(training, recipe, draws)
        self._weights = training.weights
        count = self.config.run.shared_plans or SHARED_PLANS
        self.observer.stage(f"ranking of plans by the shared weights, {count} at most")
        measure = self._measure(training.model, training.load, recipe)
        ranked = evolve(draws, measure, self.target, count, self._usable)
        plans = promising(ranked, self.target)
        self._write(plans)
        return plans

    def _train(self, training: SharedWeightsTraining, recipe: Recipe, draws: Draws) -> None:
        self.observer.stage(f"shared weights: {recipe.epochs} epochs, a plan a step")
        steps = self.ready.data.train.steps(recipe.batch_size)
        identity = {"space": repr(self.space.dimensions), "recipe": recipe.identity, "seed": self.seed, "steps": steps}
        with diverging(recipe):
            training.train(
                draws.of_step,
                self.ready.data,
                recipe,
                self.seed,
                self.observer.epoch_ended,
                self.feeds,
                Deadlines(self.limit),
                self.checkpoints.training("shared", identity),
            )
        self.checkpoints.save_shared(training.weights.arrays)
        self.checkpoints.forget_training("shared")

    @cached_property
    def _usable(self) -> Callable[[Candidate], bool]:
        """Whether a plan may be a trial, as far as exports have a say."""
        objection = objections(self.config, self.reference, self.space)
        return lambda one: objection is None or objection(one.plan) is None

    def _measure(
        self, model: keras.Model, load: Callable[[Candidate], object], recipe: Recipe
    ) -> Callable[[Candidate], float]:
        """The metric of a plan on the selection set, with statistics of its own.

        Args:
            load: has a plan in the model, with its weights.
        """
        calibrate, samples = Calibrator(model, with_loss=False), self._samples
        selection, name = self.ready.data.selection, self.target.name.removeprefix("val_")
        deadlines = Deadlines(self.limit)

        def measure(candidate: Candidate) -> float:
            deadlines.check(lambda: "in the ranking of plans")
            load(candidate)
            calibrate(samples)
            return evaluate(model, selection, recipe)[name]

        return measure

    def _write(self, plans: list[Ranked]) -> None:
        shown = {
            "epochs": self.epochs,
            "metric": self.target.name,
            "unit": self.ready.experiment.costs.unit,
            "plans": [one.to_dict() for one in plans],
        }
        self.directory.write_json(RANKING, shown)

    def _read(self, candidates: Candidates) -> list[Ranked] | None:
        """The ranking of an earlier process; None where there is none, or the weights are not there."""
        path = self.directory.path / RANKING
        if not path.exists() or self.checkpoints.shared() is None:
            return None
        try:
            lines = json.loads(path.read_text(encoding="utf-8"))["plans"]
            found = [from_dict(candidates, line) for line in lines]
        except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
            raise OutputError(f"{path}: is damaged ({error}); delete it, and plans are ranked anew") from None
        self.observer.stage(f"shared weights: trained before, {len(found)} plans ranked")
        return [one for one in found if one is not None]


@contextmanager
def diverging(recipe: Recipe) -> Iterator[None]:
    """Tell what helps where weights diverge."""
    try:
        yield
    except DivergedError as error:
        rate = recipe.optimizer.learning_rate
        raise DivergedError(
            f"{error}; lower reference.optimizer.learning_rate ({rate:g}), or give it clipnorm: 1.0", error.of_loss
        ) from None
