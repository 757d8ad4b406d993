"""A plan's filters applied to a graph: shapes after widths have changed, without building a model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from qsearch.errors import ModelError
from qsearch.graph import operations as ops
from qsearch.graph.channels import keeps_last_axis
from qsearch.graph.model_graph import ModelGraph, Node, Shape
from qsearch.plan import QuantizationPlan, beside


def with_folds(graph: ModelGraph, plan: QuantizationPlan) -> ModelGraph:
    """The graph in which a plan's folded batch normalizations are part of the layers that take them in.

    Raises:
        ModelError: a plan that folds a layer that is not directly behind.
    """
    folds = {name: plan.layers[name].fold for name in plan}
    if not any(folds.values()):
        return graph
    renamed: dict[str, str] = {}
    nodes: list[Node] = []
    layers = {node.name: node.layer for node in graph.nodes}
    norms = {beside(name, fold.norm): name for name, fold in folds.items() if fold is not None}
    for node in graph.nodes:
        before = norms.get(node.layer)
        if before is not None:
            if not isinstance(node.operation, ops.BatchNormalization) or layers[node.inputs[0]] != before:
                raise ModelError(f"plan: {node.layer} cannot be folded into {before}: it is not directly behind it")
            renamed[node.name] = node.inputs[0]  # of several calls the one that it is behind
            continue
        operation = node.operation
        if folds.get(node.layer) is not None and isinstance(operation, ops.Foldable):
            operation = replace(operation, folded=True)
        inputs = tuple(renamed.get(name, name) for name in node.inputs)
        nodes.append(replace(node, operation=operation, inputs=inputs))
    return ModelGraph(graph.name, tuple(nodes), tuple(renamed.get(name, name) for name in graph.outputs))


def with_filters(graph: ModelGraph, plan: QuantizationPlan) -> ModelGraph:
    """The graph with the plan's filters and units, all shapes and weight shapes following.

    Raises:
        ModelError: layers whose widths no longer fit together, named with the way out.
    """
    if all(plan.layers[name].filters is None for name in plan):
        return graph
    before = {node.name: node.output_shape for node in graph.nodes}
    shapes: dict[str, Shape] = {}
    weights: dict[str, Mapping[str, Shape]] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        layer = plan.get(node.layer)
        filters = None if layer is None else layer.filters
        given = zip(node.inputs, node.input_shapes, strict=True)
        resized = resize(node, tuple(as_read(own, before[name], shapes[name]) for name, own in given), filters)
        if weights.setdefault(node.layer, resized.weights) != resized.weights:
            raise _error(node, "is called several times, and with different widths")
        shapes[node.name] = resized.output_shape
        nodes.append(resized)
    return ModelGraph(graph.name, tuple(nodes), graph.outputs)


def as_read(own: Shape, before: Shape, after: Shape) -> Shape:
    """The shape of a node's input when the first output of the node that it comes from has changed its shape.

    The input may be another output: the state of a recurrent layer has the channels of its sequence.
    """
    if own == before:
        return after
    return (*own[:-1], after[-1]) if own and before and own[-1] == before[-1] else own


def resize(node: Node, inputs: tuple[Shape, ...], filters: int | None) -> Node:
    """A node with inputs of other shapes, and with so many filters (None: its own).

    Raises:
        ModelError: what it would do with them is not known or not possible.
    """
    operation = _operation(node.operation, filters)
    if operation == node.operation and inputs == node.input_shapes:
        return node
    weights = dict(node.weights)
    channels = inputs[0][-1] if inputs else 0
    match operation:
        case ops.Dense(units=units):
            output: Shape = (*inputs[0][:-1], units)
            weights["kernel"] = (channels, units)
        case ops.Convolution(filters=filters, groups=groups):
            if channels % groups or filters % groups:
                raise _error(
                    node, f"{channels} input channels and {filters} filters are not multiples of its {groups} groups"
                )
            output = (*node.output_shape[:-1], filters)
            weights["kernel"] = (*operation.kernel_size, channels // groups, filters)
        case ops.TransposedConvolution(filters=filters):
            output = (*node.output_shape[:-1], filters)
            weights["kernel"] = (*operation.kernel_size, filters, channels)
        case ops.SeparableConvolution(filters=filters):
            output = (*node.output_shape[:-1], filters)
            multiplier = node.weights["depthwise_kernel"][-1]
            weights["depthwise_kernel"] = (*operation.kernel_size, channels, multiplier)
            weights["pointwise_kernel"] = (*(1,) * len(operation.kernel_size), channels * multiplier, filters)
        case ops.Recurrent(units=units, cell=cell):
            if any(state[-1] != units for state in inputs[1:]):
                raise _error(node, f"has {units} units, and is given a state of another width")
            output = (*node.output_shape[:-1], node.output_shape[-1] // node.operation.units * units)  # type: ignore[union-attr]
            weights["kernel"] = (channels, cell.gates * units)
            weights["recurrent_kernel"] = (units, cell.gates * units)
            if "bias" in weights:
                weights["bias"] = (*weights["bias"][:-1], cell.gates * units)
        case ops.DepthwiseConvolution(depth_multiplier=multiplier):
            output = (*node.output_shape[:-1], channels * multiplier)
            weights["kernel"] = (*operation.kernel_size, channels, multiplier)
        case ops.BatchNormalization(by_channel=by_channel):
            output = inputs[0]
            weights = dict.fromkeys(weights, (channels,)) if by_channel else weights
        case ops.Activation() if not any(node.weights.values()):
            output = inputs[0]
        case ops.Idle() | ops.Input() | ops.Affine(constants=1) | ops.ScaleShift():
            output = inputs[0]
        case ops.Normalization(groups=groups) if _by_channel(node) and (groups is None or channels % groups == 0):
            output = inputs[0]
            weights = dict.fromkeys(weights, (channels,))
        case ops.Merge():
            output = _merged(node, operation, inputs)
        case ops.AveragePooling(keeps_channels=True):
            output = (*node.output_shape[:-1], channels)
        case ops.DataMover(move=ops.Move.FLATTEN | ops.Move.RESHAPE) if len(node.output_shape) == 1:
            output = (math.prod(inputs[0]),)
        case ops.DataMover(move=ops.Move.RESHAPE) if not keeps_last_axis(node):
            raise _error(node, f"cannot reshape {inputs[0]} as it did {node.input_shapes[0]}")
        case ops.DataMover(keeps_channels=True):
            output = (*node.output_shape[:-1], channels)
        case _:
            kind = node.class_name
            raise _error(
                node, f"what a {kind} layer does with {inputs[0]} in place of {node.input_shapes[0]} is not known"
            )
    if not isinstance(operation, ops.BatchNormalization | ops.Recurrent):
        # biases, and what a folded batch normalization has for each channel
        weights |= {name: (output[-1],) for name, shape in weights.items() if len(shape) == 1}
    return replace(node, operation=operation, input_shapes=inputs, output_shape=output, weights=weights)


def _by_channel(node: Node) -> bool:
    return all(shape == (node.input_shapes[0][-1],) for shape in node.weights.values())


@lru_cache(maxsize=4096)
def _operation(operation: ops.Operation, filters: int | None) -> ops.Operation:
    return operation.with_width(filters) if isinstance(operation, ops.Weighted) else operation


def _merged(node: Node, merge: ops.Merge, inputs: tuple[Shape, ...]) -> Shape:
    if merge.kind is ops.MergeKind.CONCATENATE:
        axis = merge.axis - 1 if merge.axis > 0 else merge.axis  # Keras counts the batch axis
        joined = list(inputs[0])
        joined[axis] = sum(shape[axis] for shape in inputs)
        if any([*shape[:axis], joined[axis], *shape[axis:][1:]] != joined for shape in inputs):
            raise _error(node, f"{merge.kind.value} needs equal widths, but got {_shown(node, inputs)}")
        return tuple(joined)
    if merge.kind in (ops.MergeKind.DOT, ops.MergeKind.STACK) or len(set(map(len, inputs))) > 1:
        raise _error(node, "inputs of this kind cannot change their width")
    sides = []
    for sizes in zip(*inputs, strict=True):
        wide = set(sizes) - {1}
        if len(wide) > 1:
            raise _error(node, f"{merge.kind.value} needs equal widths, but got {_shown(node, inputs)}")
        sides.append(wide.pop() if wide else 1)
    return tuple(sides)


def _shown(node: Node, inputs: tuple[Shape, ...]) -> str:
    return " and ".join(f"{name} {shape}" for name, shape in zip(node.inputs, inputs, strict=True))


def _error(node: Node, problem: str) -> ModelError:
    return ModelError(f"layer {node.layer!r}: {problem}; name the layers before it in tune_filters_exceptions")
