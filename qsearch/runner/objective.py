"""What a run trains for: loss, metrics and labels, made to fit the model and the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import keras
import numpy

from qsearch.config import LoadedConfig
from qsearch.config.names import LOSSES
from qsearch.datasets import Dataset, load_dataset, load_own
from qsearch.datasets.dataset import Arrays, shapes
from qsearch.errors import ConfigError, DatasetError, did_you_mean
from qsearch.goal.target import Target
from qsearch.graph.walk import head_names
from qsearch.runner.experiment import Experiment
from qsearch.search.metrics import Objective
from qsearch.search.training import Recipe, compile_model, evaluate

_SPARSE = "sparse_categorical"


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


def data_of(experiment: Experiment, objective: Objective) -> Dataset:
    """The data set, its labels as the loss takes them.

    Raises:
        DatasetError: it cannot be had, or does not fit the model.
    """
    config, model = experiment.loaded.config.dataset, experiment.model
    losses = objective.loss if isinstance(objective.loss, Mapping) else dict.fromkeys(head_names(model), objective.loss)
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
