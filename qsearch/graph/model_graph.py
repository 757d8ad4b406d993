"""A model as plain data: nodes, shapes, layer facts. No Keras object gets past this room.

Shapes leave out the batch axis. One node stands for one *call* of a layer, in
topological order; names are the layers' names. What a layer does is told by
the type of its `operation` (`operations`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from qsearch.graph.operations import Operation

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Node:
    """One call of a layer.

    Attributes:
        name: unique; the layer's name, with `:1`, `:2` appended for a layer's later calls.
        layer: the layer's name.
        class_name: the Keras class, for people: Conv2D, Dense, MaxPooling2D, ...
        classes: the layer classes that it counts as in `limit`, the nearest first: (TimeDistributed, Dense),
            (ReLU, Activation), (Conv2D,) of a QConv2D.
        operation: what it does.
        inputs: names of the nodes whose outputs it reads, in call order.
        input_shapes: their shapes, in the same order.
        output_shape: shape of its (first) output.
        weights: shapes of its variables by name (kernel, bias, gamma, ...).
        results: how many tensors it gives; `output_shape` is that of the first.
        channel_axis: of the first result in Keras, the batch axis not counted; in `output_shape` channels are last.
    """

    name: str
    layer: str
    class_name: str
    operation: Operation
    inputs: tuple[str, ...]
    input_shapes: tuple[Shape, ...]
    output_shape: Shape
    weights: Mapping[str, Shape] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    results: int = 1
    channel_axis: int = -1


@dataclass(frozen=True)
class ModelGraph:
    """Nodes in topological order, and the names of those whose output is an output of the model."""

    name: str
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
