"""Weights from a model to its quantized form, or to one of other widths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy

from qsearch.graph.channels import ChannelMap, Vector, channel_maps
from qsearch.graph.from_keras import read_model
from qsearch.graph.model_graph import (
    BatchNormalization,
    Convolution,
    Dense,
    DepthwiseConvolution,
    Input,
    ModelGraph,
    Node,
    Recurrent,
    SeparableConvolution,
    Shape,
    TransposedConvolution,
)
from qsearch.graph.walk import layers_by_path

Arrays = Mapping[str, Any]


def transfer_weights(source: keras.Model, target: keras.Model) -> tuple[str, ...]:
    """Copy weights between layers of one path, also where the target has other numbers of filters.

    Narrower layers keep their most useful channels (the greatest sum of |kernel|), wider ones repeat some of them
    so that the function stays the same, and layers behind follow; see `graph.channels`. A layer of the target that
    took in a batch normalization gets that layer's weights too.

    Returns:
        Paths of the target's layers with weights of which some kept their own, in order.
    """
    sources = layers_by_path(source)
    before, after = read_model(source), read_model(target)
    maps = _maps(source, before, after)
    nodes: dict[str, Node] = {}
    for node in before.nodes:
        nodes.setdefault(node.layer, node)
    kept: list[str] = []
    for path, layer in layers_by_path(target).items():
        if not layer.weights:
            continue
        if maps is not None and path in nodes and not _unchanged(nodes[path], maps):
            if not _follow(layer, sources[path], nodes[path], maps):
                kept.append(path)
            continue
        values = _values(path, layer, sources)
        if [value.shape for value in values] == [tuple(weight.shape) for weight in layer.weights]:
            layer.set_weights(values)
        else:
            kept.append(path)
    return tuple(kept)


def _maps(source: keras.Model, before: ModelGraph, after: ModelGraph) -> Mapping[str, ChannelMap] | None:
    """None where no width has changed, or folding has taken layers away."""
    shapes, others = _shapes(before), _shapes(after)
    if shapes.keys() != others.keys() or shapes == others:
        return None
    layers = layers_by_path(source)
    useful = {node.layer: _usefulness(layers[node.layer], node) for node in before.nodes if node.layer in layers}
    return channel_maps(before, after, {name: vector for name, vector in useful.items() if vector is not None})


def _shapes(graph: ModelGraph) -> dict[str, Shape]:
    """Of all nodes but the inputs, whose names a copy may not have kept."""
    return {node.name: node.output_shape for node in graph.nodes if not isinstance(node.operation, Input)}


def _usefulness(layer: Any, node: Node) -> Vector | None:
    arrays, operation = _arrays(layer), node.operation
    match operation:
        case Dense() | Convolution():
            kernel, axis = arrays["kernel"], -1
        case TransposedConvolution():
            kernel, axis = arrays["kernel"], -2
        case SeparableConvolution():
            kernel, axis = arrays["pointwise_kernel"], -1
        case Recurrent(directions=1, units=units):
            return _sums(arrays["kernel"].reshape(-1, units))
        case _:
            return None
    return _sums(numpy.moveaxis(kernel, axis, -1).reshape(-1, kernel.shape[axis]))


def _sums(kernel: Any) -> Vector:
    return numpy.asarray(numpy.abs(kernel).sum(axis=0), dtype="float64")


def _unchanged(node: Node, maps: Mapping[str, ChannelMap]) -> bool:
    return all(maps[name].identical for name in (node.name, *node.inputs))


def _follow(layer: Any, origin: Any, node: Node, maps: Mapping[str, ChannelMap]) -> bool:
    """Whether every weight of the layer could be taken from its original's channels."""
    arrays = _arrays(origin)
    inputs = maps[node.inputs[0]]
    complete = True
    for weight in layer.weights:
        name = _name(weight)
        value = _mapped(node, name, arrays[name], inputs, maps[node.name]) if name in arrays else None
        if value is not None and value.shape == tuple(weight.shape):
            weight.assign(value)
        else:
            complete = False
    return complete


def _mapped(node: Node, name: str, value: Any, inputs: ChannelMap, outputs: ChannelMap) -> Any:
    """A weight with its channels followed; None where no rule says how."""
    match node.operation:
        case Dense() if name == "kernel":
            return _output(_input(value, inputs, -2), outputs, -1)
        case Convolution(groups=1) if name == "kernel":
            return _output(_input(value, inputs, -2), outputs, -1)
        case TransposedConvolution() if name == "kernel":
            return _output(_input(value, inputs, -1), outputs, -2)
        case DepthwiseConvolution() if name == "kernel":
            return _output(value, inputs, -2)
        case SeparableConvolution() if name == "depthwise_kernel":
            return _output(value, inputs, -2)
        case SeparableConvolution() if name == "pointwise_kernel":
            multiplier = node.weights["depthwise_kernel"][-1]
            return _output(_input(value, inputs.multiplied(multiplier), -2), outputs, -1)
        case Recurrent(directions=1, cell=cell, units=units):
            gates = outputs.repeated(cell.gates, units)
            if name == "kernel":
                return _output(_input(value, inputs, -2), gates, -1)
            return _output(_input(value, outputs, -2) if name == "recurrent_kernel" else value, gates, -1)
        case BatchNormalization() | Dense() | DepthwiseConvolution() | SeparableConvolution() | TransposedConvolution():
            return _output(value, outputs, -1) if value.ndim else value
        case Convolution(groups=1):
            return _output(value, outputs, -1) if value.ndim else value
    return value


def _input(value: Any, channels: ChannelMap, axis: int) -> Any:
    shape = [1] * value.ndim
    shape[axis] = -1
    return numpy.take(value, channels.source, axis) * channels.share.reshape(shape).astype(value.dtype)


def _output(value: Any, channels: ChannelMap, axis: int) -> Any:
    return numpy.take(value, channels.source, axis)


def _arrays(layer: Any) -> dict[str, Any]:
    return {_name(weight): numpy.asarray(weight) for weight in layer.weights}


def _name(weight: Any) -> str:
    return str(weight.path).rpartition("/")[2]


def _values(path: str, layer: Any, sources: Mapping[str, Any]) -> list[Any]:
    origin = sources.get(path)
    if origin is None:
        return []
    values: list[Any] = origin.get_weights()
    norm = getattr(layer, "folded_norm", None)
    if norm is None or type(origin) is type(layer):
        return values
    place = path.rpartition("/")[0]
    batch_norm = sources.get(f"{place}/{norm}" if place else norm)
    if batch_norm is None:
        return []
    parts = batch_norm.get_weights()
    # gamma and beta, as far as they are there, then the count of calls, then the statistics
    return [*values, *parts[:-2], numpy.asarray(-1, "int64"), *parts[-2:]]
