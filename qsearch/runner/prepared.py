"""What every process of a run makes of the configuration: model, data, recipe, schedule; and trainers of trials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import keras

from qsearch.blocks.schedule import Schedule, Stage
from qsearch.config import LoadedConfig
from qsearch.config.goals import EnergyGoalConfig
from qsearch.config.schedules import ScheduleConfig
from qsearch.datasets import Dataset
from qsearch.errors import ModelError
from qsearch.goal.tolerance import tolerance_problem
from qsearch.graph.walk import layers_by_path
from qsearch.quantize.apply import apply_plan
from qsearch.quantize.nested import NestedWeights
from qsearch.runner.data import data_of
from qsearch.runner.experiment import Experiment, read_experiment, schedule_of
from qsearch.runner.inputs import objective_of, recipe_of
from qsearch.search.space import SearchSpace
from qsearch.sensitivity.expectation import NoExpectationError
from qsearch.training.batches import Feeds
from qsearch.training.fit import Recipe
from qsearch.training.mixed_training import Mixture
from qsearch.training.schedules import RateSchedule
from qsearch.training.shared_model import NotShareableError, SharedModel
from qsearch.training.shared_training import SharedTraining
from qsearch.training.trainer import CandidateTrainer


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A configuration applied to its model and its data.

    Attributes:
        recipe: of the reference.
        shared: the one model for all plans, in a mode that trains weights which they share; else None.
        mixture: the model of all options mixed and its price, in a mode that learns them, where it is trained.
    """

    experiment: Experiment
    data: Dataset
    recipe: Recipe
    schedule: Schedule
    shared: SharedTraining | None = None
    mixture: Mixture | None = None


def prepared(experiment: Experiment, leads: bool = True) -> Prepared:
    """All that is needed to train.

    Args:
        leads: whether stages before the search may be trained here; workers train trials alone.

    Raises:
        ConfigError, DatasetError: data, losses or blocks that do not fit the model, a tolerance that does not fit the
            metric, or weights that cannot be shared where the mode wants that.
    """
    objective = objective_of(experiment.loaded, experiment.model)
    data = data_of(experiment, objective)
    recipe = recipe_of(experiment, objective, data)
    problem = tolerance_problem(experiment.loaded.config.run, recipe.target)
    if problem is not None:
        raise experiment.loaded.error(("run", "tolerance", problem[0]), problem[1])
    ready = Prepared(experiment=experiment, data=data, recipe=recipe, schedule=schedule_of(experiment))
    mode = experiment.loaded.config.run.search_mode
    if not mode.shares:
        return ready
    ready = replace(ready, shared=shared_training(ready))
    return replace(ready, mixture=mixture_of(ready)) if mode.learns and leads else ready


def read_prepared(loaded: LoadedConfig) -> Prepared:
    """The same, from the configuration on, for trials alone."""
    return prepared(read_experiment(loaded), leads=False)


def trainer_of(
    ready: Prepared, stage: Stage, start: keras.Model | None, feeds: Feeds, epoch_ended: Callable[..., None]
) -> CandidateTrainer:
    """Trains the candidates of a stage, each in a model of its own.

    Args:
        start: whose weights they start from; None for fresh ones.
        epoch_ended: as an observer's.
    """
    experiment = ready.experiment
    run, layers = experiment.loaded.config.run, tuple(layers_by_path(experiment.model))
    return CandidateTrainer(
        config=experiment.loaded.config,
        data=ready.data,
        reference=experiment.model,
        start=start,
        reference_cost=experiment.reference.total,
        recipe=ready.recipe,
        epoch_ended=epoch_ended,
        feeds=feeds,
        rates=None if stage.block is None else lambda factor: stage.rates(run.block_learning_rates, layers, factor),
    )


def shared(
    trainer: CandidateTrainer,
    loaded: LoadedConfig,
    space: SearchSpace,
    trials: int,
    made: SharedTraining | None = None,
) -> CandidateTrainer:
    """The trainer, with one model for all trials where that is wanted and worth its tracing.

    Args:
        trials: how many it is going to train.
        made: that model, where it is there already.

    Raises:
        NotShareableError: it is wanted, and cannot be.
        ConfigError: it cannot be, and the configuration insists on it.
    """
    recipe = trainer.usual_recipe
    if not loaded.config.run.search_mode.trains or not recipe.execution.shares(trials):
        return trainer
    try:
        if (reason := recipe.execution.why_rebuilt()) is not None:
            raise NotShareableError(reason)
        if made is not None:
            return replace(trainer, shared=made)
        model = SharedModel(trainer.reference, space)
        return replace(trainer, shared=SharedTraining(model, recipe, trainer.data.train.steps(recipe.batch_size)))
    except NotShareableError as error:
        if loaded.config.run.trials != "shared":
            raise
        raise loaded.error(("run", "trials"), f"found 'shared', and {error}; allowed here: auto, rebuilt") from None


def shared_training(ready: Prepared) -> SharedTraining:
    """The one model for all plans, compiled for the shared weights.

    Raises:
        ConfigError: something of the model cannot be shared; it is named, with the way out.
    """
    loaded, experiment, space = ready.experiment.loaded, ready.experiment, ready.schedule.space
    recipe = recipe_of_shared(ready)
    try:
        _check_nested(experiment.model, space)
        model = SharedModel(experiment.model, space)
        return SharedTraining(model, recipe, ready.data.train.steps(recipe.batch_size))
    except (NotShareableError, ModelError) as error:
        raise loaded.error(
            ("run", "mode"),
            f"found {loaded.config.run.mode!r}, whose weights are shared by all plans, and {error}; take that "
            "layer out of limit (or its width out of tune_filters), or take mode: pareto",
        ) from None


def mixture_of(ready: Prepared) -> Mixture:
    """The model of all options mixed, and the energy as a function of their probabilities.

    Raises:
        ConfigError: something cannot be mixed, or has no differentiable price; it is named, with the way out.
    """
    loaded, experiment, space = ready.experiment.loaded, ready.experiment, ready.schedule.space
    goal = loaded.config.goal
    if not isinstance(goal, EnergyGoalConfig):
        raise loaded.error(
            ("goal", "type"),
            f"found {goal.type!r} with mode {loaded.config.run.mode}, which learns at the price of energy; allowed: "
            "energy; or take mode: pareto",
        )
    try:
        return Mixture.of(experiment.model, space, experiment.costs.pricer)
    except (NotShareableError, NoExpectationError, ModelError) as error:
        raise loaded.error(
            ("run", "mode"),
            f"found {loaded.config.run.mode!r}, in whose model all options are mixed, and {error}; take what cannot be "
            "out of limit (or its width out of tune_filters), or take mode: one_shot or pareto",
        ) from None


def _check_nested(reference: keras.Model, space: SearchSpace) -> None:
    """See that the narrowest plan's weights are a part of the widest one's."""
    plan = space.plan(space.at_widths(min))
    nested = NestedWeights(apply_plan(reference, space.plan(space.at_widths(max))))
    narrow = apply_plan(reference, plan)
    for weight, part, shape in zip(narrow.weights, nested.parts(plan), nested.shapes, strict=True):
        if tuple(weight.shape) != (shape if part is None else part.shape):
            raise NotShareableError(f"how {weight.path} follows another width is not known")


def recipe_of_shared(ready: Prepared) -> Recipe:
    """How shared weights are trained: as trials are, for epochs of their own."""
    run = ready.experiment.loaded.config.run
    trainer = trainer_of(ready, ready.schedule.stages[0], None, Feeds(), lambda *_, **__: None)
    epochs = run.epochs_shared
    rate = ready.recipe.optimizer.learning_rate
    given = run.learning_rate_schedule
    if run.search_mode.learns:  # plans are taken all along, so that it is never time to settle
        return replace(trainer.usual_recipe, epochs=epochs, patience=None, schedule=RateSchedule(given, rate, epochs))
    # a rate that stays high leaves weights that move from step to step, each plan's in its own direction
    falling = ScheduleConfig(name="cosine") if given.name == "constant" else given
    schedule = RateSchedule(falling, rate, epochs)
    return replace(trainer.usual_recipe, epochs=epochs, patience=None, schedule=schedule)
