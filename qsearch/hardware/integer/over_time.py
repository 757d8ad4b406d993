"""Layers over time: which are computed step by step, and what one step of them is."""

from __future__ import annotations

from dataclasses import replace

import keras

from qsearch.graph import operations as ops
from qsearch.graph.model_graph import Node
from qsearch.graph.walk import inner_model, time_axes

_BY_ELEMENT = (
    ops.Input,
    ops.Idle,
    ops.Activation,
    ops.Dense,
    ops.BatchNormalization,
    ops.Merge,
    ops.Affine,
    ops.Embedding,
)
"""What does the same with any axes in front of the channels."""


def times_by_path(model: keras.Model, prefix: str = "", times: int = 0) -> dict[str, int]:
    """How many axes of time each layer is applied along, by its path."""
    found: dict[str, int] = {}
    for layer in model.layers:
        inner, own = inner_model(layer), times + time_axes(layer)
        if inner is None:
            found.setdefault(f"{prefix}{layer.name}", own)
        else:
            found |= times_by_path(inner, f"{prefix}{layer.name}/", own)
    return found


def works_on_positions(operation: ops.Operation) -> bool:
    """Whether a layer sees axes of time as its own positions, so that it must be given one step at a time."""
    if isinstance(operation, ops.DataMover):
        return operation.move not in (ops.Move.FLATTEN, ops.Move.RESHAPE)
    return not isinstance(operation, _BY_ELEMENT)


def of_one_step(node: Node, at: int) -> Node:
    """The call of one time step."""
    return replace(
        node,
        name=f"{node.name}:{at}",
        input_shapes=tuple(shape[1:] for shape in node.input_shapes),
        output_shape=node.output_shape[1:],
    )
