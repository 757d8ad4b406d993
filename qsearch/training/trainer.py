"""Building and training the model of a candidate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import keras
import numpy

from qsearch.config import Config
from qsearch.datasets import Dataset
from qsearch.goal.price import Price
from qsearch.plan import QuantizationPlan
from qsearch.quantize.apply import apply_plan
from qsearch.quantize.transfer import transfer_weights
from qsearch.search.engine import Stop, Task
from qsearch.search.proposals import Proposal
from qsearch.search.seeds import SEARCH_SEED, TRIAL_SEED, spread
from qsearch.search.space import LEARNING_RATE, LEARNING_RATE_STEPS, number
from qsearch.search.time_limits import NO_LIMIT, Deadlines, TimeLimit
from qsearch.search.trials import Trained
from qsearch.training.batches import Feeds
from qsearch.training.checkpoints import Checkpoints
from qsearch.training.fit import Recipe, TrainingState, early_stopping_patience, evaluate, train
from qsearch.training.progress import ProgressFile
from qsearch.training.schedules import RateSchedule
from qsearch.training.seeds import seed_all
from qsearch.training.sensitivities import calibrated
from qsearch.training.shared_training import SharedTraining
from qsearch.training.statistics import SAMPLES, calibration_batches


@dataclass(frozen=True)
class TrainedWeights:
    """What training leaves of a candidate's model: the weights of its best epoch, and where training stopped.

    Where it stopped is None where nothing goes on from there.
    """

    best: list[Any]
    end: TrainingState | None


@dataclass(frozen=True)
class Parent:
    """The trial that a candidate's weights come from: its plan, the weights of its best epoch, and where it stopped.

    Where it stopped is only there for a trial that goes on with the very training.
    """

    plan: QuantizationPlan
    best: list[Any]
    end: TrainingState | None


@dataclass(frozen=True, kw_only=True)
class CandidateTrainer:
    """Trains candidates of one search.

    Attributes:
        reference: whose layers candidates have.
        start: the trained model whose weights they start from: the reference, or the best model so far. None for
            fresh weights.
        reference_cost: in the goal's unit.
        recipe: that of the reference.
        rates: by layer, the factor of its learning rate, given what the search makes of the rate; None: it is the
            learning rate of all layers.
        feeds: the pipelines of the data.
        shared: one model that all of them are trained in; None: each is trained in its own.
        limit: of the whole run.
        checkpoints: where it is saved how far a training is; None: nowhere, and each begins anew.
    """

    config: Config
    data: Dataset
    reference: keras.Model
    start: keras.Model | None
    reference_cost: float
    recipe: Recipe
    epoch_ended: Callable[..., None]
    rates: Callable[[float], Mapping[str, float]] | None = None
    feeds: Feeds = field(default_factory=Feeds)
    shared: SharedTraining | None = None
    limit: TimeLimit = NO_LIMIT
    checkpoints: Checkpoints | None = None

    def train(self, task: Task, parent: Parent | None = None) -> tuple[Trained, TrainedWeights]:
        """Train what is proposed, as often as `executions_per_trial` says.

        Args:
            parent: of the proposal; None where it has none, or its weights are not there.

        Returns:
            The means of the metrics over the executions, and the weights of the best one.

        Raises:
            OutOfTimeError, TrialTimeoutError: it takes longer than it may, all executions together.
        """
        if not self.config.run.search_mode.trains:
            return self._calibrated(task)
        deadlines = Deadlines(self.limit, TimeLimit(self.config.run.trial_timeout))
        recipe = self._recipe(task.proposal, task.price)
        runs = [
            self._once(task.number, task.proposal, recipe, task.stop, parent, execution, deadlines)
            for execution in range(self.config.run.executions_per_trial)
        ]
        target = self.recipe.target
        best = max(runs, key=lambda run: target.worth(run[0].metrics[target.name]))
        if len(runs) == 1:
            return best
        means = {name: math.fsum(trained.metrics[name] for trained, _ in runs) / len(runs) for name in best[0].metrics}
        return replace(best[0], metrics=means), best[1]

    def _calibrated(self, task: Task) -> tuple[Trained, TrainedWeights]:
        """The trained model in this plan's form, its batch statistics taken anew."""
        seed = self.config.run.seed
        keras.utils.set_random_seed(spread(seed, TRIAL_SEED, task.number))
        start = self.reference if self.start is None else self.start
        batches = calibration_batches(self.data.train, SAMPLES, spread(seed, SEARCH_SEED))
        model, _ = calibrated(start, task.proposal.plan, self.recipe, batches)
        found = evaluate(model, self.data.selection, self.recipe)
        metrics = {f"val_{name}": value for name, value in found.items()}
        return Trained(metrics=metrics, epochs=0, best_epoch=0), TrainedWeights(model.get_weights(), None)

    def _once(
        self,
        number: int,
        proposal: Proposal,
        recipe: Recipe,
        stop: Stop | None,
        parent: Parent | None,
        execution: int,
        deadlines: Deadlines,
    ) -> tuple[Trained, TrainedWeights]:
        seed = spread(self.config.run.seed, TRIAL_SEED, number, *([execution] if execution else []))
        (keras.utils.set_random_seed if self.shared is None else seed_all)(seed)
        model = apply_plan(self.reference, proposal.plan)
        state = self._start(proposal, model, parent)
        recipe = replace(recipe, first_epoch=0 if state is None else proposal.first_epoch)
        progress = self._progress(number, proposal, execution)
        if self.shared is None:
            trained, end = train(
                model,
                self.data,
                recipe,
                seed,
                partial(self.epoch_ended, trial=number),
                state,
                stop,
                feeds=self.feeds,
                deadlines=deadlines,
                progress=progress,
            )
        else:
            values = proposal.values
            told = partial(self.epoch_ended, trial=number)
            trained, end = self.shared.train(
                model, values, self.data, recipe, seed, told, state, stop, self.feeds, deadlines, progress
            )
        return trained, TrainedWeights(model.get_weights(), end)

    def _progress(self, number: int, proposal: Proposal, execution: int) -> ProgressFile | None:
        """How far this training is: an earlier process may have begun it."""
        if self.checkpoints is None:
            return None
        identity = {"plan": proposal.plan.to_dict(), "parent": proposal.parent, "shared": self.shared is not None}
        label = f"trial_{number}_{execution}" if execution else f"trial_{number}"
        return self.checkpoints.training(label, identity, keeps_end=self.config.run.executions_per_trial > 1)

    def _start(self, proposal: Proposal, model: keras.Model, parent: Parent | None) -> TrainingState | None:
        """Give a fresh model the weights it starts from; returns where its own training goes on, if it does."""
        if parent is not None and proposal.first_epoch:
            return parent.end
        source = self.start
        if source is None:
            return None
        if parent is not None:
            source = apply_plan(self.reference, parent.plan)
            source.set_weights(parent.best)
        transfer_weights(source, model)
        return None

    def _recipe(self, proposal: Proposal, price: Price) -> Recipe:
        run = self.config.run
        epochs = run.epochs if proposal.epochs is None else proposal.epochs
        longest = epochs if proposal.epochs is None else run.max_epochs or run.epochs
        return self._recipe_of(epochs, longest, self._rate_factor(proposal, price))

    @property
    def usual_recipe(self) -> Recipe:
        """How a candidate is trained that asks for nothing of its own."""
        run = self.config.run
        return self._recipe_of(run.epochs, run.max_epochs or run.epochs, 1.0)

    def _recipe_of(self, epochs: int, longest: int, factor: float) -> Recipe:
        """
        Args:
            longest: epochs that a falling learning rate falls over.
            factor: of the learning rate.
        """
        run = self.config.run
        schedule = RateSchedule(run.learning_rate_schedule, self.recipe.optimizer.learning_rate, longest)
        optimizer = self.recipe.optimizer
        if self.rates is None:
            optimizer = optimizer.model_copy(update={"learning_rate": optimizer.learning_rate * factor})
        return replace(
            self.recipe,
            optimizer=optimizer,
            epochs=epochs,
            batch_size=run.batch_size,
            # a falling rate is of use only to those who see it fall
            patience=None if schedule.config.needs_its_epochs else early_stopping_patience(longest),
            schedule=schedule,
            rates={} if self.rates is None else self.rates(factor),
        )

    def _rate_factor(self, proposal: Proposal, price: Price) -> float:
        """AutoQKeras' range: from the share of the reference's cost that is left, up to 1.1 times the base rate."""
        if LEARNING_RATE not in proposal.values:
            return 1.0
        lowest = min(1.0, price.cost / self.reference_cost)
        return float(numpy.linspace(lowest, 1.1, LEARNING_RATE_STEPS)[int(number(proposal.values[LEARNING_RATE]))])
