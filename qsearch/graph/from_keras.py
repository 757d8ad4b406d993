"""Keras model -> `ModelGraph` and `QuantizationPlan`. The only module of this room that sees Keras objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import keras
from keras import layers

from qsearch.errors import ModelError
from qsearch.graph.model_graph import (
    Activation,
    AveragePooling,
    BatchNormalization,
    Cell,
    Convolution,
    DataMover,
    Dense,
    DepthwiseConvolution,
    Dropout,
    Embedding,
    Input,
    Merge,
    MergeKind,
    ModelGraph,
    Move,
    Node,
    Operation,
    Recurrent,
    SeparableConvolution,
    Shape,
    TransposedConvolution,
    Unknown,
)
from qsearch.graph.walk import layers_by_path
from qsearch.layers import (
    QGRU,
    QLSTM,
    QActivation,
    QAdaptiveActivation,
    QConv2DBatchnorm,
    QDenseBatchnorm,
    QDepthwiseConv2DBatchnorm,
    QSimpleRNN,
)
from qsearch.plan import LayerPlan, QuantizationPlan


def read_model(model: keras.Model) -> ModelGraph:
    """The graph of a functional or Sequential model, quantized or not.

    Nested models are entered: their layers are named "outer/inner". A layer that is called several times gives
    one node per call, the later ones named `name:1`, `name:2`, ...

    Raises:
        ModelError: the model is not built, has a size that is not known before it runs or is zero, or is a
            subclassed model, which has no layer-by-layer graph.
    """
    functional = _functional(model)
    reader = _Reader({id(layer): path for path, layer in layers_by_path(model).items()})
    reader.read(functional)
    outputs = tuple(dict.fromkeys(reader.produced[id(tensor)] for tensor in functional.outputs))
    return ModelGraph(model.name, tuple(reader.nodes), outputs)


def _plan(layer: Any) -> Any:
    return getattr(layer.layer if isinstance(layer, layers.TimeDistributed) else layer, "plan", None)


class _Reader:
    """Calls of layers to nodes, producers first."""

    def __init__(self, paths: Mapping[int, str]) -> None:
        self.paths = paths
        self.calls: Counter[str] = Counter()
        self.produced: dict[int, str] = {}
        self.nodes: list[Node] = []
        self.kept: list[Any] = []
        """Models made on the way: as long as they live, no other tensor has their tensors' identity."""

    def read(self, functional: Any) -> None:
        for call in _calls_in_order(functional):
            if id(call.outputs[0]) in self.produced and not call.input_tensors:
                continue  # an input of a nested model: the tensor that it was called with
            if isinstance(call.operation, keras.Model):
                self._nested(call)
            else:
                self._layer(call)

    def _nested(self, call: Any) -> None:
        inner = _functional(call.operation)
        self.kept.append(inner)
        for own, given in zip(inner.inputs, call.input_tensors, strict=True):
            self.produced[id(own)] = self.produced[id(given)]
        self.read(inner)
        for own, given in zip(inner.outputs, call.outputs, strict=True):
            self.produced[id(given)] = self.produced[id(own)]
        for own in inner.inputs:
            del self.produced[id(own)]  # a second call brings its own

    def _layer(self, call: Any) -> None:
        layer = call.operation
        path = self.paths.get(id(layer), layer.name)  # operations such as x + y are no layers
        if getattr(layer, "data_format", None) == "channels_first":
            raise ModelError(f"layer {path!r}: has channels first; build the model with channels_last")
        name = path if self.calls[path] == 0 else f"{path}:{self.calls[path]}"
        self.calls[path] += 1
        shapes = tuple(_shape(tensor, path) for tensor in call.input_tensors)
        node = Node(
            name=name,
            layer=path,
            class_name=type(layer).__name__,
            operation=_operation(layer, shapes),
            inputs=tuple(self.produced[id(tensor)] for tensor in call.input_tensors),
            input_shapes=shapes,
            output_shape=_shape(call.outputs[0], path),
            weights={_weight_name(weight): tuple(weight.shape) for weight in getattr(layer, "weights", ())},
        )
        self.nodes.append(node)
        for tensor in call.outputs:
            self.produced[id(tensor)] = name


def read_plan(model: keras.Model) -> QuantizationPlan:
    """The quantizers of a model's Q layers; empty for a float model. Layers of nested models as "outer/inner"."""
    plans = {path: _plan(layer) for path, layer in layers_by_path(model).items()}
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
    if 0 in shape:
        raise ModelError(f"layer {layer!r}: has shape {tuple(tensor.shape)}, with a size of zero; check its strides")
    return tuple(int(side) for side in shape)


def _weight_name(weight: Any) -> str:
    return str(weight.path).rpartition("/")[2]


def _activation(layer: Any) -> str:
    function = layer.activation
    return getattr(function, "__name__", type(function).__name__)


def _folded(layer: Any) -> bool:
    return isinstance(layer, QConv2DBatchnorm | QDepthwiseConv2DBatchnorm | QDenseBatchnorm)


def _dense(layer: Any) -> Operation:
    return Dense(layer.units, layer.use_bias, _activation(layer), _folded(layer))


def _convolution(layer: Any) -> Operation:
    size = tuple(layer.kernel_size)
    return Convolution(layer.filters, size, layer.use_bias, _activation(layer), layer.groups, _folded(layer))


def _depthwise(layer: Any) -> Operation:
    size = tuple(layer.kernel_size)
    return DepthwiseConvolution(size, layer.use_bias, _activation(layer), layer.depth_multiplier, _folded(layer))


def _transposed(layer: Any) -> Operation:
    return TransposedConvolution(layer.filters, tuple(layer.kernel_size), layer.use_bias, _activation(layer))


def _separable(layer: Any) -> Operation:
    return SeparableConvolution(layer.filters, tuple(layer.kernel_size), layer.use_bias, _activation(layer))


def _recurrent(cell: Cell) -> Callable[[Any], Operation]:
    return lambda layer: Recurrent(cell, layer.units, layer.use_bias, _activation(layer))


def _bidirectional(layer: Any) -> Operation:
    inner = _operation(layer.forward_layer, ())
    return replace(inner, directions=2) if isinstance(inner, Recurrent) else Unknown(type(layer).__name__)


def _mover(move: Move) -> Callable[[Any], Operation]:
    return lambda layer: DataMover(move)


def _elementwise(layer: Any) -> Operation:
    return Unknown(type(layer).__name__, keeps_channels=True)


def _merge(kind: MergeKind) -> Callable[[Any], Operation]:
    return lambda layer: Merge(kind, layer.axis if kind is MergeKind.CONCATENATE else -1)


def _window(layer: Any) -> Operation:
    size = layer.pool_size
    return AveragePooling(tuple(size) if isinstance(size, list | tuple) else (size,))


_READERS: Mapping[type[Any], Callable[[Any], Operation]] = {
    layers.InputLayer: lambda layer: Input(),
    layers.Dropout: lambda layer: Dropout(),
    layers.SpatialDropout2D: lambda layer: Dropout(),
    layers.GaussianNoise: lambda layer: Dropout(),
    layers.GaussianDropout: lambda layer: Dropout(),
    layers.ActivityRegularization: lambda layer: Dropout(),
    layers.AlphaDropout: lambda layer: Dropout(),
    layers.SpatialDropout1D: lambda layer: Dropout(),
    layers.SpatialDropout3D: lambda layer: Dropout(),
    layers.Dense: _dense,
    layers.DepthwiseConv2D: _depthwise,
    layers.Conv1DTranspose: _transposed,
    layers.Conv2DTranspose: _transposed,
    layers.SeparableConv1D: _separable,
    layers.SeparableConv2D: _separable,
    layers.SimpleRNN: _recurrent(Cell.SIMPLE),
    QSimpleRNN: _recurrent(Cell.SIMPLE),
    layers.LSTM: _recurrent(Cell.LSTM),
    QLSTM: _recurrent(Cell.LSTM),
    layers.GRU: _recurrent(Cell.GRU),
    QGRU: _recurrent(Cell.GRU),
    layers.Bidirectional: _bidirectional,
    layers.Embedding: lambda layer: Embedding(),
    layers.Conv1D: _convolution,
    layers.Conv2D: _convolution,
    layers.BatchNormalization: lambda layer: BatchNormalization(layer.scale, layer.center),
    QActivation: lambda layer: Activation("quantized"),
    QAdaptiveActivation: lambda layer: Activation("quantized"),
    layers.Activation: lambda layer: Activation(_activation(layer)),
    layers.Add: _merge(MergeKind.ADD),
    layers.Subtract: _merge(MergeKind.SUBTRACT),
    layers.Multiply: _merge(MergeKind.MULTIPLY),
    layers.Average: _merge(MergeKind.AVERAGE),
    layers.Maximum: _merge(MergeKind.MAXIMUM),
    layers.Minimum: _merge(MergeKind.MINIMUM),
    layers.Concatenate: _merge(MergeKind.CONCATENATE),
    layers.Dot: _merge(MergeKind.DOT),
    layers.AveragePooling1D: _window,
    layers.AveragePooling2D: _window,
    layers.AveragePooling3D: _window,
    layers.GlobalAveragePooling1D: lambda layer: AveragePooling(None),
    layers.GlobalAveragePooling2D: lambda layer: AveragePooling(None),
    layers.GlobalAveragePooling3D: lambda layer: AveragePooling(None),
    layers.MaxPooling1D: _mover(Move.MAX_POOLING_1D),
    layers.MaxPooling2D: _mover(Move.MAX_POOLING),
    layers.GlobalMaxPooling2D: _mover(Move.GLOBAL_MAX_POOLING),
    layers.Flatten: _mover(Move.FLATTEN),
    layers.Reshape: _mover(Move.RESHAPE),
    layers.UpSampling1D: _mover(Move.UP_SAMPLING),
    layers.UpSampling2D: _mover(Move.UP_SAMPLING),
    layers.GlobalMaxPooling1D: _mover(Move.GLOBAL_MAX_POOLING),
    layers.Permute: _mover(Move.REORDER),
    layers.RepeatVector: _mover(Move.REORDER),
    layers.ReLU: _elementwise,
    layers.LeakyReLU: _elementwise,
    layers.ELU: _elementwise,
    layers.Softmax: _elementwise,
    layers.ZeroPadding2D: _elementwise,
    layers.Cropping2D: _elementwise,
}
"""By Keras class; a subclass is read as the nearest of its bases that is listed."""


def _operation(layer: Any, shapes: tuple[Shape, ...]) -> Operation:
    if isinstance(layer, layers.TimeDistributed):
        return _operation(layer.layer, shapes)
    for kind in type(layer).__mro__:
        if kind in _READERS:
            found = _READERS[kind](layer)
            if isinstance(found, Merge) and found.kind is MergeKind.DOT:
                return replace(found, terms=_dot_terms(layer, shapes[0]))
            return found
    return Unknown(type(layer).__name__)


def _dot_terms(layer: Any, shape: Shape) -> int:
    axes = layer.axes if isinstance(layer.axes, int) else layer.axes[0]
    return shape[axes - 1 if axes > 0 else axes]  # Keras counts the batch axis
