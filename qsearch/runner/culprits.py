"""Which loss or metric of a configuration is it that fails on a data set?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy
import tensorflow

from qsearch.config import LoadedConfig
from qsearch.config.chosen import Chosen
from qsearch.datasets import Dataset
from qsearch.errors import told
from qsearch.graph.walk import head_names
from qsearch.training.augmented import one_batch
from qsearch.training.losses import made_loss, made_metric
from qsearch.training.objective import Objective

_SAMPLES = 8

Place = tuple[str | int, ...]


def culprit(loaded: LoadedConfig, objective: Objective, model: keras.Model, data: Dataset) -> tuple[Place, str] | None:
    """The place in the configuration of what fails by itself, and why; None where all work on a few samples.

    Errors of a whole `evaluate` do not say which of them it was.
    """
    try:
        x, y = one_batch(data.selection.first(_SAMPLES).evaluation(_SAMPLES))
        outputs, labels = _each(model.predict_on_batch(x)), _each(y)
    except Exception:
        return None
    if len(outputs) != len(labels):
        return None
    for place, name, number, call in _calls(loaded, objective, model):
        given = [keras.ops.convert_to_tensor(numpy.asarray(array[number])) for array in (labels, outputs)]
        try:
            tensorflow.function(call, autograph=False)(*given)
        except (Exception, SystemExit) as error:  # Keras', or the user's own code
            shapes = " and outputs ".join(str(tuple(array.shape)) for array in given)
            return place, f"{name} fails on labels {shapes}: {told(error)}"
    return None


def _calls(
    loaded: LoadedConfig, objective: Objective, model: keras.Model
) -> Iterator[tuple[Place, str, int, Callable[[Any, Any], Any]]]:
    """Place, name, number of the head, and what is called with its labels and outputs."""
    heads = head_names(model)
    for head, loss in objective.losses(heads).items():
        place: Place = ("reference", "loss", *([head] if isinstance(objective.loss, Mapping) else []))
        yield place, str(loss), heads.index(head), _loss(loss)
    known = loaded.config.reference.metrics
    for metric, name in zip(objective.metrics, objective.names, strict=True):
        if metric.whole_set or metric.name == "loss":
            continue
        made = made_metric(metric, objective.output, name)
        if isinstance(made, str):
            continue  # Keras finds out which it is, and it has no options
        if not isinstance(made, keras.metrics.Metric):
            made = keras.metrics.MeanMetricWrapper(made)  # as `compile` does
        where = ("reference", "metrics", known.index(metric)) if metric in known else ("run", "score_metric")
        yield where, str(metric), objective.place, made.update_state


def _loss(loss: Chosen) -> Callable[[Any, Any], Any]:
    made = made_loss(loss)
    found = keras.losses.get(made) if isinstance(made, str) else made
    # as `compile` does, so that labels have the shape and the type that training gives them
    return found if isinstance(found, keras.losses.Loss) else _LossOfFunction(found)


class _LossOfFunction(keras.losses.Loss):  # type: ignore[misc]
    """Keras has one too, which it does not offer."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        super().__init__(name="loss")
        self.function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        if len(y_true.shape) == len(y_pred.shape) - 1 and y_pred.shape[-1] == 1:
            y_true = keras.ops.expand_dims(y_true, -1)
        return self.function(y_true, y_pred)


def _each(arrays: Any) -> list[Any]:
    """What is given for each head, in order."""
    if isinstance(arrays, Mapping):
        return list(arrays.values())
    return list(arrays) if isinstance(arrays, list | tuple) else [arrays]
