"""Losses of probabilities on outputs that are none, and losses of logits on outputs that are probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy

from qsearch.config.chosen import Chosen
from qsearch.functions import RELU, SIGMOID, SOFTMAX, Function
from qsearch.graph import operations as ops
from qsearch.graph.model_graph import ModelGraph
from qsearch.graph.walk import head_names, layers_by_path

_BINARY = ("binary_crossentropy", "binary_focal_crossentropy")
_CLASSES = ("categorical_crossentropy", "sparse_categorical_crossentropy", "categorical_focal_crossentropy")
_TOLERANCE = 0.01
"""Of a probability, and of the sum of all; narrow floats and quantizers are not exact."""


def disagreement(model: keras.Model, graph: ModelGraph, losses: Mapping[str, Chosen], x: Any) -> dict[str, str]:
    """What is wrong with the losses of heads, by head.

    It is found from what the outputs are for some samples, and from the last function of each.

    Args:
        x: some samples.
    """
    if not any(loss.name in (*_BINARY, *_CLASSES) for loss in losses.values()):
        return {}
    heads = head_names(model)
    outputs = model.predict(x, verbose=0)
    if isinstance(outputs, Mapping):
        outputs = [outputs[head] for head in heads]
    elif not isinstance(outputs, list | tuple):
        outputs = [outputs]
    problems: dict[str, str] = {}
    for head, node, values in zip(heads, graph.outputs, outputs, strict=True):
        loss = losses.get(head)
        if loss is None or loss.custom or loss.name not in (*_BINARY, *_CLASSES):
            continue
        wrong = _wrong(head, loss, numpy.asarray(values, dtype="float64"), last_function(model, graph, node))
        if wrong is not None:
            problems[head] = wrong
    return problems


def _wrong(head: str, loss: Chosen, values: Any, last: Function | None) -> str | None:
    if not numpy.isfinite(values).all() or values.size == 0:
        return None  # training says so
    if values.shape[-1:] == (1,) and last is not None and last.name == SOFTMAX:
        return f"output {head!r} ends in a softmax of one unit, which is always 1; end the model in a sigmoid"
    classes = loss.name in _CLASSES
    least, most = float(values.min()), float(values.max())
    inside = least >= -_TOLERANCE and most <= 1 + _TOLERANCE
    fix = "softmax" if classes else "sigmoid"
    if not loss.options.get("from_logits"):
        if inside and not _unbounded(last):
            return None
        why = f"its values are from {least:.3g} to {most:.3g}" if not inside else f"it ends in {last}"
        options = "".join(f", {name}: {value}" for name, value in loss.options.items() if name != "from_logits")
        return (
            f"{loss.name} takes probabilities, and output {head!r} is none: {why}; write "
            f"{{name: {loss.name}, from_logits: true{options}}}, or end the model in a {fix}"
        )
    whole = bool((abs(values.sum(axis=-1) - 1) < _TOLERANCE).all())
    sigmoid = last is not None and last.name == SIGMOID
    told = inside and whole and values.shape[-1] > 1 if classes else sigmoid
    if not told or _unbounded(last):
        return None
    return (
        f"{loss.name} with from_logits: true takes logits, and output {head!r} has probabilities"
        f"{f', it ends in {last}' if last is not None and last.name in (SIGMOID, SOFTMAX) else ''}; "
        f"leave out from_logits, or end the model without its {fix}"
    )


def _unbounded(last: Function | None) -> bool:
    """Whether a function gives any number, so that no training keeps it a probability."""
    return last is not None and (last.is_linear or (last.name == RELU and (last.upper is None or last.upper > 1)))


def last_function(model: keras.Model, graph: ModelGraph, name: str) -> Function | None:
    """The function that an output ends in; None where that is not certain."""
    nodes = {node.name: node for node in graph.nodes}
    while name in nodes:
        node = nodes[name]
        match node.operation:
            case ops.DataMover() | ops.Idle() if len(node.inputs) == 1:
                name = node.inputs[0]
            case ops.Activation():
                return node.operation.function
            case ops.Weighted(ends_in_activation=True):
                function = node.operation.activation
                # a layer that is held in bounds, or not trained, may well mix probabilities
                layer = layers_by_path(model).get(node.layer)
                free = layer is not None and layer.trainable and getattr(layer, "kernel_constraint", None) is None
                return function if free or not function.is_linear else None
            case _:
                return None
    return None
