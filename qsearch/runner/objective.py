"""What a run trains for: loss and metrics, made to fit the model and the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import keras

from qsearch.config import LoadedConfig
from qsearch.datasets import Dataset
from qsearch.errors import ConfigError, DatasetError, did_you_mean
from qsearch.goal.target import Target
from qsearch.graph.walk import head_names
from qsearch.runner.data import class_weights
from qsearch.runner.experiment import Experiment
from qsearch.search.metrics import Objective
from qsearch.search.training import Recipe, compile_model, evaluate


def objective_of(loaded: LoadedConfig, model: keras.Model) -> Objective:
    """Loss and metrics of a configuration.

    Raises:
        ConfigError: heads that the model does not have, or a choice among its heads that is missing.
    """
    config, heads = loaded.config, head_names(model)
    reference, run = config.reference, config.run
    for path, names in (
        (("run", "head_name"), () if run.head_name is None else (run.head_name,)),
        (("reference", "loss"), reference.loss if isinstance(reference.loss, Mapping) else ()),
        (("reference", "loss_weights"), reference.loss_weights or ()),
    ):
        for name in names:
            if name not in heads:
                near = did_you_mean(name, heads)
                raise loaded.error(path, f"{model.name} has no head {name!r}, its heads are: {', '.join(heads)}{near}")
    metrics = reference.metrics
    if run.score_metric is not None:
        metrics = (run.score_metric, *(name for name in metrics if name != run.score_metric))
    if len(heads) > 1 and run.head_name is None and set(metrics) != {"loss"}:
        found = ", ".join(heads)
        raise ConfigError(f"run.head_name: is missing; {model.name} has several heads, name one of: {found}")
    if len(heads) > 1 and reference.class_weight is not None:
        raise loaded.error(("reference", "class_weight"), "is for models with one head")
    weights = reference.class_weight if isinstance(reference.class_weight, Mapping) else None
    head = run.head_name if len(heads) > 1 else None
    return Objective(reference.loss, metrics, head, reference.direction, reference.loss_weights, weights)


def recipe_of(experiment: Experiment, objective: Objective, data: Dataset) -> Recipe:
    """How the reference is trained; the target is read from what the compiled model really reports.

    Raises:
        ConfigError: a metric that is not reported, or whose direction is not known.
        DatasetError: loss or metrics cannot be computed on the data.
    """
    loaded = experiment.loaded
    reference = loaded.config.reference
    objective = replace(objective, class_weight=class_weights(experiment, objective, data))
    cosine = reference.epochs if reference.learning_rate_schedule == "cosine" else None
    recipe = Recipe(
        reference.optimizer, objective, Target("", limit=None), reference.epochs, reference.batch_size, cosine=cosine
    )
    try:
        compile_model(experiment.model, recipe)
        reported = evaluate(experiment.model, data.selection.first(8), recipe)
    except ConfigError:
        raise
    except Exception as error:  # Keras, or a loss or metric of the user's own, on data that it does not fit
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise DatasetError(f"{data.name}: loss and metrics of {experiment.model.name} fail on it: {reason}") from None
    try:
        return replace(recipe, target=objective.target(reported))
    except ConfigError as error:
        raise loaded.error(("reference", "metrics"), str(error)) from None
