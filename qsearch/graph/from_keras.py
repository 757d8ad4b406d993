"""Keras model -> `ModelGraph` and `QuantizationPlan`. The only module of this room that sees Keras objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import layers

from qsearch.errors import ModelError
from qsearch.graph.model_graph import (
    Activation,
    AveragePooling,
    BatchNormalization,
    Convolution,
    DataMover,
    Dense,
    DepthwiseConvolution,
    Dropout,
    Input,
    Merge,
    MergeKind,
    ModelGraph,
    Move,
    Node,
    Operation,
    Shape,
    Unknown,
)
from qsearch.graph.walk import layers_by_path
from qsearch.layers import QActivation
from qsearch.plan import LayerPlan, QuantizationPlan


def read_model(model: keras.Model) -> ModelGraph:
    """The graph of a functional or Sequential model, quantized or not.

    A layer that is called several times gives one node per call, the later ones named `name:1`, `name:2`, ...

    Raises:
        ModelError: the model is not built, has a shape that is not known before it runs, or is
            nested in a way that has no layer-by-layer graph.
    """
    functional = _functional(model)
    calls: Counter[str] = Counter()
    produced: dict[int, str] = {}
    nodes: list[Node] = []
    for operation_node in _calls_in_order(functional):
        layer = operation_node.operation
        if isinstance(layer, keras.Model):
            raise ModelError(
                f"{model.name}: layer {layer.name!r} is a model of its own; this version reads flat models"
            )
        if getattr(layer, "data_format", None) == "channels_first":
            raise ModelError(f"layer {layer.name!r}: has channels first; build the model with channels_last")
        name = layer.name if calls[layer.name] == 0 else f"{layer.name}:{calls[layer.name]}"
        calls[layer.name] += 1
        inputs = tuple(produced[id(tensor)] for tensor in operation_node.input_tensors)
        nodes.append(
            Node(
                name=name,
                layer=layer.name,
                class_name=type(layer).__name__,
                operation=_operation(layer),
                inputs=inputs,
                input_shapes=tuple(_shape(tensor, layer.name) for tensor in operation_node.input_tensors),
                output_shape=_shape(operation_node.outputs[0], layer.name),
                weights={_weight_name(weight): tuple(weight.shape) for weight in getattr(layer, "weights", ())},
            )
        )
        for tensor in operation_node.outputs:
            produced[id(tensor)] = name
    outputs = tuple(dict.fromkeys(produced[id(tensor)] for tensor in functional.outputs))
    return ModelGraph(model.name, tuple(nodes), outputs)


def read_plan(model: keras.Model) -> QuantizationPlan:
    """The quantizers of a model's Q layers; empty for a float model. Layers of nested models as "outer/inner"."""
    plans = {path: getattr(layer, "plan", None) for path, layer in layers_by_path(model).items()}
    return QuantizationPlan({name: plan for name, plan in plans.items() if isinstance(plan, LayerPlan)})


def _functional(model: keras.Model) -> Any:
    if isinstance(model, keras.Sequential):
        if not model.built:
            raise ModelError(f"{model.name}: has no input shape; add keras.Input(...) first, or call model.build(...)")
        # A Sequential model holds its layers' graph in a functional model of its own.
        return keras.models.Model(model.inputs, model.outputs, name=model.name)
    if not hasattr(model, "_nodes_by_depth"):
        raise ModelError(f"{model.name}: is a subclassed model, whose layers are not known; use the functional API")
    return model


def _calls_in_order(functional: Any) -> list[Any]:
    """The calls of layers: the inputs in the model's order, then producers before consumers."""
    order = {id(operation): place for place, operation in enumerate(functional.operations)}
    nodes: list[Any] = []
    for depth in sorted(functional._nodes_by_depth, reverse=True):
        nodes += sorted(functional._nodes_by_depth[depth], key=lambda node: order.get(id(node.operation), -1))
    # Formats of inputs are given in the order of model.inputs, which is not always that of the layers.
    inputs = {id(tensor): place for place, tensor in enumerate(functional.inputs)}
    return sorted(nodes, key=lambda node: inputs.get(id(node.outputs[0]), len(inputs)))


def _shape(tensor: Any, layer: str) -> Shape:
    shape = tuple(tensor.shape)[1:]
    if any(side is None for side in shape):
        raise ModelError(
            f"layer {layer!r}: has shape {tuple(tensor.shape)}, but every size except the batch must be known; "
            "give the model's input a fixed shape"
        )
    return tuple(int(side) for side in shape)


def _weight_name(weight: Any) -> str:
    return str(weight.path).rpartition("/")[2]


def _activation(layer: Any) -> str:
    function = layer.activation
    return getattr(function, "__name__", type(function).__name__)


def _convolution(layer: Any) -> Operation:
    return Convolution(layer.filters, tuple(layer.kernel_size), layer.use_bias, _activation(layer), layer.groups)


def _depthwise(layer: Any) -> Operation:
    return DepthwiseConvolution(tuple(layer.kernel_size), layer.use_bias, _activation(layer), layer.depth_multiplier)


def _mover(move: Move) -> Callable[[Any], Operation]:
    return lambda layer: DataMover(move)


def _elementwise(layer: Any) -> Operation:
    return Unknown(type(layer).__name__, keeps_channels=True)


def _merge(kind: MergeKind) -> Callable[[Any], Operation]:
    return lambda layer: Merge(kind, layer.axis if kind is MergeKind.CONCATENATE else -1)


_READERS: Mapping[type[Any], Callable[[Any], Operation]] = {
    layers.InputLayer: lambda layer: Input(),
    layers.Dropout: lambda layer: Dropout(),
    layers.SpatialDropout2D: lambda layer: Dropout(),
    layers.GaussianNoise: lambda layer: Dropout(),
    layers.GaussianDropout: lambda layer: Dropout(),
    layers.Dense: lambda layer: Dense(layer.units, layer.use_bias, _activation(layer)),
    layers.DepthwiseConv2D: _depthwise,
    layers.Conv1D: _convolution,
    layers.Conv2D: _convolution,
    layers.BatchNormalization: lambda layer: BatchNormalization(layer.scale, layer.center),
    QActivation: lambda layer: Activation("quantized"),
    layers.Activation: lambda layer: Activation(_activation(layer)),
    layers.Add: _merge(MergeKind.ADD),
    layers.Subtract: _merge(MergeKind.SUBTRACT),
    layers.Multiply: _merge(MergeKind.MULTIPLY),
    layers.Average: _merge(MergeKind.AVERAGE),
    layers.Maximum: _merge(MergeKind.MAXIMUM),
    layers.Minimum: _merge(MergeKind.MINIMUM),
    layers.Concatenate: _merge(MergeKind.CONCATENATE),
    layers.AveragePooling2D: lambda layer: AveragePooling(tuple(layer.pool_size)),
    layers.GlobalAveragePooling2D: lambda layer: AveragePooling(None),
    layers.MaxPooling1D: _mover(Move.MAX_POOLING_1D),
    layers.MaxPooling2D: _mover(Move.MAX_POOLING),
    layers.GlobalMaxPooling2D: _mover(Move.GLOBAL_MAX_POOLING),
    layers.Flatten: _mover(Move.FLATTEN),
    layers.Reshape: _mover(Move.RESHAPE),
    layers.UpSampling2D: _mover(Move.UP_SAMPLING),
    layers.ReLU: _elementwise,
    layers.LeakyReLU: _elementwise,
    layers.ELU: _elementwise,
    layers.Softmax: _elementwise,
    layers.ZeroPadding2D: _elementwise,
    layers.Cropping2D: _elementwise,
}
"""By Keras class; a subclass is read as the nearest of its bases that is listed."""


def _operation(layer: Any) -> Operation:
    for kind in type(layer).__mro__:
        if kind in _READERS:
            return _READERS[kind](layer)
    return Unknown(type(layer).__name__)
