"""What every process of a run makes of the configuration: model, data, recipe, schedule; and trainers of trials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import keras

from qsearch.blocks.schedule import Schedule, Stage
from qsearch.config import LoadedConfig
from qsearch.datasets import Dataset
from qsearch.goal.tolerance import tolerance_problem
from qsearch.graph.walk import layers_by_path
from qsearch.runner.data import data_of
from qsearch.runner.experiment import Experiment, read_experiment, schedule_of
from qsearch.runner.inputs import objective_of, recipe_of
from qsearch.search.space import SearchSpace
from qsearch.training.batches import Feeds
from qsearch.training.fit import Recipe
from qsearch.training.shared_model import NotShareableError, SharedModel
from qsearch.training.shared_training import SharedTraining
from qsearch.training.trainer import CandidateTrainer


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A configuration applied to its model and its data.

    Attributes:
        recipe: of the reference.
    """

    experiment: Experiment
    data: Dataset
    recipe: Recipe
    schedule: Schedule


def prepared(experiment: Experiment) -> Prepared:
    """All that is needed to train.

    Raises:
        ConfigError, DatasetError: data, losses or blocks that do not fit the model, a tolerance that does not fit the
            metric.
    """
    objective = objective_of(experiment.loaded, experiment.model)
    data = data_of(experiment, objective)
    recipe = recipe_of(experiment, objective, data)
    problem = tolerance_problem(experiment.loaded.config.run, recipe.target)
    if problem is not None:
        raise experiment.loaded.error(("run", "tolerance", problem[0]), problem[1])
    return Prepared(experiment=experiment, data=data, recipe=recipe, schedule=schedule_of(experiment))


def read_prepared(loaded: LoadedConfig) -> Prepared:
    """The same, from the configuration on."""
    return prepared(read_experiment(loaded))


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
