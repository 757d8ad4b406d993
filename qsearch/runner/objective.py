"""What a run trains for: loss, metrics and labels, made to fit the model and the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import keras
import numpy

from qsearch.config import LoadedConfig
from qsearch.config.chosen import Chosen
from qsearch.config.names import LOSSES
from qsearch.datasets import Dataset, load_dataset, load_own
from qsearch.datasets.dataset import Arrays, shapes
from qsearch.errors import ConfigError, DatasetError, did_you_mean
from qsearch.goal.target import Target
from qsearch.graph.walk import head_names
from qsearch.runner.experiment import Experiment
from qsearch.runner.probabilities import disagreement
from qsearch.search.augmented import augmentation
from qsearch.search.made import Output, made_loss, made_metric
from qsearch.search.metrics import Objective
from qsearch.search.schedules import RateSchedule
from qsearch.search.training import Recipe, compile_model, evaluate

_SPARSE = "sparse_categorical"
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
                raise loaded.error(path, f"{model.name} has no head {name!r}, its heads are: {', '.join(heads)}{near}")
    metrics = _scored(reference.metrics, run.score_metric)
    if len(heads) > 1 and run.head_name is None and {metric.name for metric in metrics} != {"loss"}:
        found = ", ".join(heads)
        raise ConfigError(f"run.head_name: is missing; {model.name} has several heads, name one of: {found}")
    if len(heads) > 1 and reference.class_weight is not None:
        raise loaded.error(("reference", "class_weight"), "is for models with one head")
    weights = reference.class_weight if isinstance(reference.class_weight, Mapping) else None
    head = run.head_name if len(heads) > 1 else None
    place = 0 if head is None else heads.index(head)
    loss = reference.loss if isinstance(reference.loss, Chosen) else reference.loss.get(heads[place], Chosen("loss"))
    output = Output(loss, tuple(model.outputs[place].shape[1:]))
    objective = Objective(
        reference.loss, metrics, output, head, reference.direction, reference.loss_weights, weights, place
    )
    _check_made(loaded, objective)
    return objective


def _scored(metrics: tuple[Chosen, ...], score: Chosen | None) -> tuple[Chosen, ...]:
    """The metrics with the one that counts first; a name alone means the one of that name, whatever its options."""
    if score is None:
        return metrics
    named = [metric for metric in metrics if metric.name == score.name and not score.options]
    first = named[0] if named else score
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


def data_of(experiment: Experiment, objective: Objective) -> Dataset:
    """The data set, its labels as the loss takes them.

    Raises:
        DatasetError: it cannot be had, or does not fit the model.
    """
    config, model = experiment.loaded.config.dataset, experiment.model
    losses = {head: loss.name for head, loss in objective.losses(head_names(model)).items()}
    if config.name is not None:
        sparse = any(loss.startswith(_SPARSE) for loss in losses.values())
        labels: Literal["sparse", "one_hot"] = "sparse" if sparse else "one_hot"
        data = load_dataset(config.name, config.train_samples, config.test_samples, config.validation, labels)
    else:
        hot = frozenset(head for head, loss in losses.items() if loss.startswith("categorical"))
        names = hot | {""} if len(losses) == 1 and hot else hot
        data = load_own(config.npz, config.factory, config.train_samples, config.test_samples, config.validation, names)
    _check_fit(experiment, data, losses)
    return data


def _check_fit(experiment: Experiment, data: Dataset, losses: Mapping[str, str]) -> None:
    """The model must take the data's samples, and give what its labels are compared with."""
    model = experiment.model
    inputs = {tensor.name: tuple(tensor.shape[1:]) for tensor in model.inputs}
    outputs = {name: tuple(tensor.shape[1:]) for name, tensor in zip(head_names(model), model.outputs, strict=True)}
    known = {name for name, loss in losses.items() if loss in LOSSES}
    sparse = {name for name in known if losses[name].startswith(_SPARSE)}
    problems = [
        *_mismatches("samples", data.train.x, inputs, set(inputs)),
        *_mismatches("labels", data.train.y, {n: () if n in sparse else s for n, s in outputs.items()}, known),
    ]
    if problems:
        raise DatasetError(f"{data.name} does not fit {model.name}: {'; '.join(problems)}")


def _mismatches(what: str, arrays: Arrays, wanted: Mapping[str, tuple[int, ...]], checked: set[str]) -> list[str]:
    found = shapes(arrays)
    if list(found) == [""] and len(wanted) == 1:
        found = {next(iter(wanted)): found[""]}
    if found.keys() != wanted.keys():
        named = ", ".join(name or "one without a name" for name in found)
        return [f"{what} are {named}, expected {', '.join(wanted)}"]
    return [
        f"{what} {name} have shape {found[name]}, expected {shape}"
        for name, shape in wanted.items()
        if name in checked and found[name] != shape and not (shape == () and found[name] == (1,))
    ]


def recipe_of(experiment: Experiment, objective: Objective, data: Dataset) -> Recipe:
    """How the reference is trained; the target is read from what the compiled model really reports.

    Raises:
        ConfigError: a metric that is not reported, or whose direction is not known.
        DatasetError: loss or metrics cannot be computed on the data.
    """
    loaded = experiment.loaded
    reference = loaded.config.reference
    if reference.class_weight == "balanced":
        objective = replace(objective, class_weight=_balanced(data))
    schedule = RateSchedule(reference.learning_rate_schedule, reference.optimizer.learning_rate, reference.epochs)
    try:
        augment = augmentation(loaded.config.dataset.augmentations)
    except ConfigError as error:
        raise loaded.error(("dataset", "augment"), str(error)) from None
    recipe = Recipe(
        reference.optimizer,
        objective,
        Target("", limit=None),
        reference.epochs,
        reference.batch_size,
        schedule=schedule,
        augment=augment,
    )
    wrong: dict[str, str] = {}
    try:
        losses = objective.losses(head_names(experiment.model))
        wrong = disagreement(experiment.model, experiment.graph, losses, data.selection.first(_SAMPLES).x)
        compile_model(experiment.model, recipe)
        # functions of all predictions may need all of them
        few = data.selection if objective.whole_set is not None else data.selection.first(8)
        reported = {} if wrong else evaluate(experiment.model, few, recipe)
    except ConfigError as error:
        raise loaded.error(("reference", "metrics"), str(error)) from None
    except Exception as error:  # Keras, or a loss or metric of the user's own, on data that it does not fit
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise DatasetError(f"{data.name}: loss and metrics of {experiment.model.name} fail on it: {reason}") from None
    for head, text in wrong.items():
        raise loaded.error(("reference", "loss", *([head] if isinstance(objective.loss, Mapping) else [])), text)
    if augment is not None:
        batch = data.train.first(reference.batch_size)
        augment(batch.x, batch.y, numpy.random.default_rng(0))
    try:
        return replace(recipe, target=objective.target(reported))
    except ConfigError as error:
        raise loaded.error(("reference", "metrics"), str(error)) from None


def _balanced(data: Dataset) -> dict[int, float]:
    """Weights in inverse proportion to how often a class is seen: samples / (classes · count)."""
    labels = data.train.y
    if isinstance(labels, Mapping):
        labels = next(iter(labels.values()))
    numbers = labels.argmax(axis=1) if labels.ndim > 1 and labels.shape[1] > 1 else labels.reshape(-1)
    counts = numpy.bincount(numbers.astype(int))
    return {
        place: len(numbers) / (len(counts) * count) if count else 0.0 for place, count in enumerate(counts.tolist())
    }
