"""The data set of a run, as its model and its loss take it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import keras

from qsearch.config.chosen import Chosen
from qsearch.config.names import LOSSES
from qsearch.datasets import Dataset, Source, load_custom, load_dataset
from qsearch.datasets.dataset import ArrayDataset, Arrays, leaves
from qsearch.datasets.layout import Head, Labels, Layout, Shape, fits
from qsearch.errors import DatasetError
from qsearch.graph.walk import head_names
from qsearch.runner.experiment import Experiment
from qsearch.training.objective import Objective

_SPARSE, _CATEGORICAL, _BINARY = "sparse_categorical", "categorical", "binary"


def data_of(experiment: Experiment, objective: Objective) -> Dataset:
    """The data set, its labels as the loss takes them.

    Raises:
        DatasetError: it cannot be had, or does not fit the model.
    """
    config, model = experiment.loaded.config.dataset, experiment.model
    layout = layout_of(model, objective)
    if config.name is not None:
        labels: Literal["sparse", "one_hot"] = (
            "sparse" if any(head.labels == "classes" for head in layout.heads) else "one_hot"
        )
        data = load_dataset(config.name, config.train_samples, config.test_samples, config.validation, labels)
        _check_fit(data, layout)
        return data
    asked = () if objective.whole_set is None else objective.whole_set.asked
    counts = (config.train_samples, config.test_samples)
    return load_custom(layout, config.npz, config.factory, *counts, config.validation, asked)


def layout_of(model: keras.Model, objective: Objective) -> Layout:
    """What a model takes, and what its losses compare its outputs with."""
    names = head_names(model)
    losses = objective.losses(names)
    # functions of the user's own compute with labels, and floats with floats
    own = any(metric.custom for metric in objective.metrics)
    kinds = [_labels(losses.get(name)) for name in names]
    heads = tuple(
        Head(
            name=name,
            shape=tuple(tensor.shape[1:]),
            labels=kind,
            ignored=_ignored(losses.get(name)),
            floats=own or kind == "own",
        )
        for name, kind, tensor in zip(names, kinds, model.outputs, strict=True)
    )
    inputs: dict[str, Shape] = {tensor.name: tuple(tensor.shape[1:]) for tensor in model.inputs}
    # a Sequential model has one output, which it may not tell before it is called
    named = not isinstance(model, keras.Sequential) and isinstance(model.output, Mapping)
    return Layout(model.name, inputs, heads, named)


def _labels(loss: Chosen | None) -> Labels:
    if loss is None or loss.custom or loss.name not in LOSSES:
        return "own"
    if loss.name.startswith(_SPARSE):
        return "classes"
    categorical, binary = loss.name.startswith(_CATEGORICAL), loss.name.startswith(_BINARY)
    return "categorical" if categorical else "binary" if binary else "values"


def _ignored(loss: Chosen | None) -> int | None:
    return None if loss is None or loss.custom else loss.ignored


def _check_fit(data: ArrayDataset, layout: Layout) -> None:
    """The model must take a built-in data set's samples, and give what its labels are compared with."""
    outputs = {head.name: () if head.labels == "classes" else head.shape for head in layout.heads}
    checked = {head.name for head in layout.heads if head.labels != "own"}
    problems = [
        *_mismatches("samples", data.train.x, layout.inputs, set(layout.inputs)),
        *_mismatches("labels", data.train.y, outputs, checked),
    ]
    if problems:
        raise DatasetError(f"{data.name} does not fit {layout.model}: {'; '.join(problems)}")


def _mismatches(what: str, array: Arrays, wanted: Mapping[str, Shape], checked: set[str]) -> list[str]:
    if len(wanted) != 1:
        return [f"{what} are one without a name, expected {', '.join(wanted)}"]
    name, shape = next(iter(wanted.items()))
    found = leaves(array)[0].shape[1:]
    return [f"{what} {name} have shape {found}, expected {shape}"] if name in checked and not fits(found, shape) else []


def balanced(source: Source) -> dict[int, float]:
    """Weights in inverse proportion to how often a class is seen: samples / (classes · count)."""
    counts = source.class_counts()
    total = int(counts.sum())
    return {index: total / (len(counts) * count) if count else 0.0 for index, count in enumerate(counts.tolist())}


def class_weights(experiment: Experiment, objective: Objective, data: Dataset) -> Mapping[int, float] | None:
    """The weights of the classes, one for each that the output has.

    Raises:
        ConfigError: the data set has weights of its own, or labels that are not one class number for each sample.
    """
    given = experiment.loaded.config.reference.class_weight
    if given is None:
        return None
    head = layout_of(experiment.model, objective).heads[0]
    where = ("reference", "class_weight")
    if data.train.weighted:
        raise experiment.loaded.error(
            where, f"{data.name} has weights for its samples; leave out class_weight, or put it into these weights"
        )
    if len(head.shape) > 1:
        raise experiment.loaded.error(
            where,
            f"is for one label for each sample; output {head.name} has shape {head.shape}: give sample weights instead",
        )
    if head.labels == "values":
        raise experiment.loaded.error(where, f"is for classes, and output {head.name} is compared with numbers")
    if head.labels == "binary" and head.units > 1:
        raise experiment.loaded.error(
            where,
            f"is for one class for each sample, and output {head.name} answers {head.units} questions at once; give "
            "sample weights, or one head for each question",
        )
    most = max(head.units, 2)
    for place in () if given == "balanced" else given:
        if head.labels != "own" and place >= most:
            raise experiment.loaded.error(
                where, f"there is no class {place}: output {head.name} has the classes 0 to {most - 1}"
            )
    if given != "balanced" and not any(given.get(place, 1.0) for place in range(most)):
        raise experiment.loaded.error(where, "every class has the weight 0, so that no sample counts")
    weights: Mapping[int, float] = balanced(data.train) if given == "balanced" else given
    # of a pipeline, Keras looks weights up in a table, which has to hold every class
    classes = max(head.units, 2, (head.ignored or 0) + 1, *(place + 1 for place in weights))
    return {place: weights.get(place, 1.0) for place in range(classes)}
