"""Weights from a model to its quantized form, or to one of other widths."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy

from qsearch.errors import ModelError
from qsearch.graph import operations as ops
from qsearch.graph.channels import ChannelMap, Vector, channel_maps
from qsearch.graph.from_keras import read_model
from qsearch.graph.model_graph import ModelGraph, Node, Shape
from qsearch.graph.resize import with_folds
from qsearch.graph.walk import layers_by_path, variable_name
from qsearch.plan import Fold, LayerPlan, QuantizationPlan, beside

Arrays = Mapping[str, Any]


@dataclass(frozen=True)
class Origin:
    """Where a weight of a copy comes from.

    Attributes:
        variable: the original's.
        owner: the layer that has it: the one of that path, one inside it, or the batch normalization that was folded.
    """

    variable: Any
    owner: Any


def transfer_weights(source: keras.Model, target: keras.Model) -> tuple[str, ...]:
    """Copy weights between layers of one path, also where the target has other numbers of filters.

    Narrower layers keep their most useful channels (the greatest sum of |kernel|), wider ones repeat some of them
    so that the function stays the same, and layers behind follow; see `graph.channels`. A layer of the target that
    took in a batch normalization gets that layer's weights too.

    Returns:
        Paths of the target's layers with weights of which some kept their own, in order.
    """
    return transfer_chosen(source, target, lambda origin: True)


def transfer_chosen(source: keras.Model, target: keras.Model, chosen: Callable[[Origin], bool]) -> tuple[str, ...]:
    """`transfer_weights` of some of the weights alone."""
    sources = layers_by_path(source)
    follow = _Following(source, target)
    kept: list[str] = []
    for path, layer in layers_by_path(target).items():
        if not layer.weights:
            continue
        origins = _origins(path, layer, sources)
        if len(origins) != len(layer.weights):
            kept.append(path)
            continue
        wanted = [
            (weight, origin)
            for weight, origin in zip(layer.weights, origins, strict=True)
            if origin is None or chosen(origin)
        ]
        if all(origin is None for _, origin in wanted):
            continue  # the count of a folded layer's calls alone
        values = [follow.value(path, weight, origin) for weight, origin in wanted]
        for (weight, _), value in zip(wanted, values, strict=True):
            if value is not None:
                weight.assign(value)
        if any(value is None for value in values):
            kept.append(path)
        _settle(layer)
    return tuple(kept)


def _settle(layer: Any) -> None:
    """Let layers that compute with something made of their weights make it again, as a Normalization must."""
    for part in layer._flatten_layers():
        settle = getattr(part, "finalize_state", None)
        if callable(settle) and part.weights:
            settle()


class _Following:
    """Values for the weights of a target, channels followed where widths have changed."""

    def __init__(self, source: keras.Model, target: keras.Model) -> None:
        self.models = source, target

    @cached_property
    def _before(self) -> ModelGraph:
        """The source's graph, folded as the target is."""
        source, target = self.models
        return with_folds(read_model(source), _folds(source, target))

    @cached_property
    def _nodes(self) -> dict[str, Node]:
        nodes: dict[str, Node] = {}
        for node in self._before.nodes:
            nodes.setdefault(node.layer, node)
        return nodes

    @cached_property
    def _maps(self) -> Mapping[str, ChannelMap] | None:
        """None where no width has changed, or the target lacks layers of the source."""
        source, target = self.models
        try:
            before, after = self._before, read_model(target)
        except ModelError:  # sizes that are not known before it runs: no width was changed there
            return None
        shapes, others = _shapes(before), _shapes(after)
        others = {name: shape for name, shape in others.items() if name in shapes}
        if shapes.keys() != others.keys() or shapes == others:
            return None
        layers = layers_by_path(source)
        useful = {node.layer: usefulness(layers[node.layer], node) for node in before.nodes if node.layer in layers}
        return channel_maps(before, after, {name: vector for name, vector in useful.items() if vector is not None})

    def value(self, path: str, weight: Any, origin: Origin | None) -> Any:
        """What a weight becomes; None where no rule says."""
        if origin is None:
            return numpy.asarray(_NOT_CALLED, "int64")
        value = numpy.asarray(origin.variable)
        maps = self._maps
        if maps is not None and path in self._nodes and not _unchanged(self._nodes[path], maps):
            node = self._nodes[path]
            value = mapped(node, variable_name(origin.variable), value, maps[node.inputs[0]], maps[node.name])
        return value if value is not None and value.shape == tuple(weight.shape) else None


def _folds(source: keras.Model, target: keras.Model) -> QuantizationPlan:
    """The normalizations that layers of the target have taken in, and those of the source have not."""
    sources = layers_by_path(source)
    plans = {}
    for path, layer in layers_by_path(target).items():
        norm = getattr(layer, "folded_norm", None)
        if norm is not None and path in sources and type(sources[path]) is not type(layer):
            plans[path] = LayerPlan(fold=Fold(norm))
    return QuantizationPlan(plans)


def _shapes(graph: ModelGraph) -> dict[str, Shape]:
    """Of all nodes but the inputs, whose names a copy may not have kept."""
    return {node.name: node.output_shape for node in graph.nodes if not isinstance(node.operation, ops.Input)}


def usefulness(layer: Any, node: Node) -> Vector | None:
    """How much each output channel of a layer matters: the sum of |weights| that make it; None where it has none."""
    arrays, operation = _arrays(layer), node.operation
    match operation:
        case ops.Dense() | ops.Convolution():
            kernel, axis = arrays["kernel"], -1
        case ops.TransposedConvolution():
            kernel, axis = arrays["kernel"], -2
        case ops.SeparableConvolution():
            kernel, axis = arrays["pointwise_kernel"], -1
        case ops.Recurrent(directions=1, units=units):
            return _sums(arrays["kernel"].reshape(-1, units))
        case _:
            return None
    return _sums(numpy.moveaxis(kernel, axis, -1).reshape(-1, kernel.shape[axis]))


def _sums(kernel: Any) -> Vector:
    return numpy.asarray(numpy.abs(kernel).sum(axis=0), dtype="float64")


def _unchanged(node: Node, maps: Mapping[str, ChannelMap]) -> bool:
    return all(maps[name].identical for name in (node.name, *node.inputs))


def mapped(node: Node, name: str, value: Any, inputs: ChannelMap, outputs: ChannelMap) -> Any:
    """A weight of a node with its channels followed; None where no rule says how."""
    match node.operation:
        case ops.Dense() | ops.Convolution(groups=1) if name == "kernel":
            return _output(_input(value, inputs, -2), outputs, -1)
        case ops.TransposedConvolution() if name == "kernel":
            return _output(_input(value, inputs, -1), outputs, -2)
        case ops.DepthwiseConvolution() if name == "kernel":
            return _output(value, inputs, -2)
        case ops.SeparableConvolution() if name == "depthwise_kernel":
            return _output(value, inputs, -2)
        case ops.SeparableConvolution() if name == "pointwise_kernel":
            multiplier = node.weights["depthwise_kernel"][-1]
            return _output(_input(value, inputs.multiplied(multiplier), -2), outputs, -1)
        case ops.Recurrent(directions=1, cell=cell, units=units):
            gates = outputs.repeated(cell.gates, units)
            if name == "kernel":
                return _output(_input(value, inputs, -2), gates, -1)
            return _output(_input(value, outputs, -2) if name == "recurrent_kernel" else value, gates, -1)
        case (
            ops.BatchNormalization()
            | ops.Dense()
            | ops.DepthwiseConvolution()
            | ops.SeparableConvolution()
            | ops.TransposedConvolution()
        ):
            return _output(value, outputs, -1) if value.ndim else value
        case ops.Convolution(groups=1):
            return _output(value, outputs, -1) if value.ndim else value
    return value


def _input(value: Any, channels: ChannelMap, axis: int) -> Any:
    shape = [1] * value.ndim
    shape[axis] = -1
    return numpy.take(value, channels.source, axis) * channels.share.reshape(shape).astype(value.dtype)


def _output(value: Any, channels: ChannelMap, axis: int) -> Any:
    return numpy.take(value, channels.source, axis)


def _arrays(layer: Any) -> dict[str, Any]:
    return {variable_name(weight): numpy.asarray(weight) for weight in layer.weights}


_NOT_CALLED = -1
"""What a folded layer's count of calls begins with."""


def _origins(path: str, layer: Any, sources: Mapping[str, Any]) -> list[Origin | None]:
    """Where each of the layer's weights comes from; None for the count of a folded layer's calls."""
    source = sources.get(path)
    if source is None:
        return []
    origins = _of(source)
    norm = getattr(layer, "folded_norm", None)
    if norm is None or type(source) is type(layer):
        return [*origins]
    batch_norm = sources.get(beside(path, norm))
    if batch_norm is None:
        return []
    parts = _of(batch_norm)
    # gamma and beta, as far as they are there, then the count of calls, then the statistics
    return [*origins, *parts[:-2], None, *parts[-2:]]


def _of(layer: Any) -> list[Origin]:
    owners = {id(weight): part for part in layer._flatten_layers() for weight in own_weights(part)}
    return [Origin(weight, owners.get(id(weight), layer)) for weight in layer.weights]


def own_weights(layer: Any) -> list[Any]:
    """A layer's weights without those of layers inside it."""
    return [*layer._trainable_variables, *layer._non_trainable_variables]
