"""What a run trains for: loss and metrics, made to fit the model and the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy

from qsearch.config import LoadedConfig
from qsearch.config.chosen import Chosen
from qsearch.datasets import Dataset, Source
from qsearch.energy.counts import macs_of
from qsearch.errors import ConfigError, DatasetError, did_you_mean, shown, told
from qsearch.goal.target import Target
from qsearch.graph.walk import head_names
from qsearch.runner.culprits import culprit
from qsearch.runner.data import class_weights, layout_of
from qsearch.runner.experiment import Experiment
from qsearch.runner.probabilities import disagreement
from qsearch.training.augmentation import augmentation
from qsearch.training.augmented import one_batch
from qsearch.training.execution import Execution, unfit_for_xla
from qsearch.training.fit import Recipe, compile_model, evaluate
from qsearch.training.losses import Output, made_loss, made_metric
from qsearch.training.objective import Objective
from qsearch.training.schedules import RateSchedule

_SAMPLES = 64
"""Enough to tell probabilities from other numbers."""


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
                raise loaded.error(
                    path, f"{model.name} has no head {shown(name)}, its heads are: {', '.join(heads)}{near}"
                )
    metrics = _scored(reference.metrics, run.score_metric)
    if len(heads) > 1 and run.head_name is None and {metric.name for metric in metrics} != {"loss"}:
        found = ", ".join(heads)
        raise ConfigError(f"run.head_name: is missing; {model.name} has several heads, name one of: {found}")
    if len(heads) > 1 and reference.class_weight is not None:
        raise loaded.error(("reference", "class_weight"), "is for models with one head; leave it out")
    weights = reference.class_weight if isinstance(reference.class_weight, Mapping) else None
    head = run.head_name if len(heads) > 1 else None
    place = 0 if head is None else heads.index(head)
    loss = reference.loss if isinstance(reference.loss, Chosen) else reference.loss.get(heads[place], Chosen("loss"))
    output = Output(loss, tuple(model.outputs[place].shape[1:]))
    objective = Objective(
        loss=reference.loss,
        metrics=metrics,
        output=output,
        head=head,
        direction=reference.direction,
        loss_weights=reference.loss_weights,
        class_weight=weights,
        place=place,
    )
    _check_made(loaded, objective)
    return objective


def _scored(metrics: tuple[Chosen, ...], score: Chosen | None) -> tuple[Chosen, ...]:
    """The metrics with the one that counts first; a name alone means the one of that name, whatever its options."""
    if score is None:
        return metrics
    named = [metric for metric in metrics if metric.same_as(replace(score, options=metric.options))]
    alike = [metric for metric in named if metric.same_as(score)]
    first = alike[0] if alike else named[0] if named and not score.options else score
    return (first, *(metric for metric in metrics if metric != first))


def _check_made(loaded: LoadedConfig, objective: Objective) -> None:
    """Losses and metrics can be made; what cannot is told with its place."""
    losses = objective.loss
    for head, loss in {"": losses}.items() if isinstance(losses, Chosen) else losses.items():
        try:
            made_loss(loss)
        except ConfigError as error:
            raise loaded.error(("reference", "loss", *([head] if head else [])), str(error)) from None
    known = loaded.config.reference.metrics
    for metric in objective.metrics:
        try:
            if metric.name != "loss":
                made_metric(metric, objective.output, metric.name)
        except ConfigError as error:
            where = ("reference", "metrics", known.index(metric)) if metric in known else ("run", "score_metric")
            raise loaded.error(where, str(error)) from None


def recipe_of(experiment: Experiment, objective: Objective, data: Dataset) -> Recipe:
    """How the reference is trained; the target is read from what the compiled model really reports.

    Raises:
        ConfigError: a metric that is not reported, or whose direction is not known; one, or a loss, that fails.
        DatasetError: loss or metrics cannot be computed on the data.
    """
    loaded = experiment.loaded
    reference = loaded.config.reference
    objective = replace(objective, class_weight=class_weights(experiment, objective, data))
    schedule = RateSchedule(reference.learning_rate_schedule, reference.optimizer.learning_rate, reference.epochs)
    try:
        augment = augmentation(loaded.config.dataset.augmentations, layout_of(experiment.model, objective))
    except ConfigError as error:
        raise loaded.error(("dataset", "augment"), str(error)) from None
    recipe = Recipe(
        optimizer=reference.optimizer,
        objective=objective,
        target=Target("", limit=None),
        epochs=reference.epochs,
        batch_size=reference.batch_size,
        schedule=schedule,
        augment=augment,
        macs=macs_of(experiment.graph),
    )
    wrong: dict[str, str] = {}
    try:
        losses = objective.losses(head_names(experiment.model))
        wrong = disagreement(experiment.model, experiment.graph, losses, _some(data.selection))
        compile_model(experiment.model, recipe)
        if objective.whole_set is not None:
            # of the test set too, before hours of training
            for source, what in ((data.test, "the test set"), (data.selection, "the set to select on")):
                objective.whole_set.check(source, f"{what} of {data.name}")
        # functions of all predictions may need all of them
        few = data.selection if objective.whole_set is not None else data.selection.first(8)
        reported = {} if wrong else evaluate(experiment.model, few, recipe)
    except ConfigError as error:
        raise loaded.error(("reference", "metrics"), str(error)) from None
    except DatasetError:
        raise
    except Exception as error:  # Keras, or a loss or metric of the user's own, on data that it does not fit
        found = culprit(loaded, objective, experiment.model, data)
        if found is not None:
            raise loaded.error(*found) from None
        raise DatasetError(
            f"{data.name}: loss and metrics of {experiment.model.name} fail on it: {told(error)}"
        ) from None
    for head, text in wrong.items():
        raise loaded.error(("reference", "loss", *([head] if isinstance(objective.loss, Mapping) else [])), text)
    if augment is not None:
        with data.train.reading():
            batch = one_batch(data.train.first(reference.batch_size).training(reference.batch_size))
        augment(*batch, numpy.random.default_rng(0))  # what does not fit is told before hours of training
    try:
        target = objective.target(reported)
    except ConfigError as error:
        raise loaded.error(("reference", "metrics"), str(error)) from None
    return replace(recipe, target=target, execution=_execution(loaded, experiment.model))


def _execution(loaded: LoadedConfig, model: keras.Model) -> Execution:
    execution = Execution.of(loaded.config.run)
    unfit = unfit_for_xla(model)
    if execution.jit_compile is True and unfit is not None:
        raise loaded.error(
            ("run", "jit_compile"), f"found true, but XLA cannot compile {unfit}; allowed here: auto, false"
        )
    return execution


def _some(source: Source) -> Any:
    """A few samples, as `predict` takes them."""
    return source.first(_SAMPLES).evaluation(_SAMPLES)["x"]
