"""What each Keras layer does: layer class -> `Operation`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy
from keras import layers

from qsearch.functions import Function
from qsearch.graph.activations import affine, function_of, recognised
from qsearch.graph.call import Call
from qsearch.graph.einsum import dense_units
from qsearch.graph.model_graph import (
    Activation,
    Affine,
    Attention,
    AveragePooling,
    BatchNormalization,
    Cell,
    Convolution,
    DataMover,
    Dense,
    DepthwiseConvolution,
    DepthwiseTransposed,
    EinsumDense,
    Embedding,
    Idle,
    Input,
    Merge,
    MergeKind,
    Move,
    Normalization,
    Operation,
    Recurrent,
    ScaleShift,
    SeparableConvolution,
    SeparableTransposed,
    TransposedConvolution,
    Unknown,
)
from qsearch.layers import (
    QGRU,
    QLSTM,
    QActivation,
    QAdaptiveActivation,
    QConv2DBatchnorm,
    QDenseBatchnorm,
    QDepthwiseConv2DBatchnorm,
    QDepthwiseConv2DTranspose,
    QScaleShift,
    QSeparableConv2DTranspose,
    QSimpleRNN,
)

Reader = Callable[[Any, Call], Operation]


def layer_operation(layer: Any, call: Call) -> Operation:
    """What a layer does in a call; a subclass is read as the nearest of its bases that is listed."""
    for kind in type(layer).__mro__:
        if kind in _READERS:
            return _READERS[kind](layer, call)
    return Unknown(type(layer).__name__)


def _wrapped(layer: Any, call: Call) -> Operation:
    return layer_operation(layer.layer, call)


def _folded(layer: Any) -> bool:
    return isinstance(layer, QConv2DBatchnorm | QDepthwiseConv2DBatchnorm | QDenseBatchnorm)


def _function(layer: Any) -> Function:
    return function_of(layer.activation)


def _dense(layer: Any, call: Call) -> Operation:
    return Dense(layer.units, layer.use_bias, _function(layer), _folded(layer))


def _convolution(layer: Any, call: Call) -> Operation:
    size = tuple(layer.kernel_size)
    return Convolution(layer.filters, size, layer.use_bias, _function(layer), layer.groups, _folded(layer))


def _depthwise(layer: Any, call: Call) -> Operation:
    size = tuple(layer.kernel_size)
    return DepthwiseConvolution(size, layer.use_bias, _function(layer), layer.depth_multiplier, _folded(layer))


def _transposed(layer: Any, call: Call) -> Operation:
    return TransposedConvolution(layer.filters, tuple(layer.kernel_size), layer.use_bias, _function(layer))


def _separable(layer: Any, call: Call) -> Operation:
    return SeparableConvolution(layer.filters, tuple(layer.kernel_size), layer.use_bias, _function(layer))


def _depthwise_transposed(layer: Any, call: Call) -> Operation:
    return DepthwiseTransposed(tuple(layer.kernel_size), layer.group_size, function_of(layer.depthwise_activation))


def _separable_transposed(layer: Any, call: Call) -> Operation:
    first, last = function_of(layer.depthwise_activation), function_of(layer.pointwise_activation)
    return SeparableTransposed(layer.filters, tuple(layer.kernel_size), layer.use_bias, last, first)


def _scale_shift(layer: Any, call: Call) -> Operation:
    return ScaleShift(layer.use_bias, _function(layer))


def _einsum(layer: Any, call: Call) -> Operation:
    units = dense_units(layer)
    if units is not None:
        return Dense(units, layer.bias_axes is not None, _function(layer))
    given, output = layer.equation.replace(" ", "").split("->")
    kernel = given.split(",")[1]
    terms = math.prod(side for axis, side in zip(kernel, layer.kernel.shape, strict=True) if axis not in output)
    return EinsumDense(terms, layer.bias_axes is not None, _function(layer))


def _recurrent(cell: Cell) -> Reader:
    def read(layer: Any, call: Call) -> Operation:
        gates = function_of(getattr(layer, "recurrent_activation", None))
        return Recurrent(cell, layer.units, layer.use_bias, _function(layer), gates)

    return read


_CELLS: Mapping[type[Any], Cell] = {
    layers.SimpleRNNCell: Cell.SIMPLE,
    layers.LSTMCell: Cell.LSTM,
    layers.GRUCell: Cell.GRU,
}


def _loop(layer: Any, call: Call) -> Operation:
    """RNN around a cell."""
    for kind, cell in _CELLS.items():
        if isinstance(layer.cell, kind):
            return _recurrent(cell)(layer.cell, call)
    return Unknown(f"RNN of {type(layer.cell).__name__}")


def _bidirectional(layer: Any, call: Call) -> Operation:
    inner = layer_operation(layer.forward_layer, call)
    return replace(inner, directions=2) if isinstance(inner, Recurrent) else Unknown(type(layer).__name__)


def _mover(move: Move) -> Reader:
    return lambda layer, call: DataMover(move)


def _merge(kind: MergeKind) -> Reader:
    return lambda layer, call: Merge(kind, call.in_order(layer.axis) if kind is MergeKind.CONCATENATE else -1)


def _dot(layer: Any, call: Call) -> Operation:
    axes = layer.axes if isinstance(layer.axes, int) else layer.axes[0]
    return Merge(MergeKind.DOT, terms=call.shapes[0][axes - 1 if axes > 0 else axes])  # Keras counts the batch axis


def _window(layer: Any, call: Call) -> Operation:
    size = layer.pool_size
    return AveragePooling(tuple(size) if isinstance(size, list | tuple) else (size,))


def _adaptive_window(layer: Any, call: Call) -> Operation:
    """The mean number of values in a window."""
    return AveragePooling((math.ceil(math.prod(call.shapes[0]) / math.prod(call.output_shape)),))


def _activation(layer: Any, call: Call) -> Operation:
    return Activation(_function(layer))


def _activation_layer(layer: Any, call: Call) -> Operation:
    return Activation(function_of(layer))


def _lambda(layer: Any, call: Call) -> Operation:
    """A function of the user's own: an activation where it is one of single values."""
    if len(call.shapes) == 1 and call.shapes[0] == call.output_shape:
        line = affine(layer, call.rank)
        if line is not None:
            scale, offset = line
            return Affine(scale != 1, offset != 0) if line != (1, 0) else Idle()  # rounded by `affine`
        function = recognised(layer, call.rank)
        if function is not None:
            return Activation(function)
    return Unknown(type(layer).__name__)


def _rescaling(layer: Any, call: Call) -> Operation:
    scale, offset = numpy.asarray(layer.scale), numpy.asarray(layer.offset)
    return Affine(bool((scale != 1).any()), bool((offset != 0).any()), max(scale.size, offset.size))


def _statistics(layer: Any, call: Call) -> Operation:
    constants = math.prod(layer.mean.shape) if getattr(layer, "mean", None) is not None else 1
    return Affine(scales=True, shifts=True, constants=max(constants, 1))


def _attention(layer: Any, call: Call) -> Operation:
    """MultiHeadAttention(query, value, key=value)."""
    places = _places(call, ("query", "value", "key"))
    config = layer.get_config()
    axes = config["attention_axes"]
    keys = call.shapes[places[1]][:-1]
    attended = math.prod(keys if axes is None else [keys[axis - 1 if axis > 0 else axis] for axis in axes])
    heads, value_dim = config["num_heads"], config["value_dim"] or config["key_dim"]
    return Attention(heads, heads, config["key_dim"], value_dim, places, attended, projected=True)


def _grouped_attention(layer: Any, call: Call) -> Operation:
    places = _places(call, ("query", "value", "key"))
    size, attended = layer.head_dim, call.shapes[places[1]][0]
    return Attention(layer.num_query_heads, layer.num_key_value_heads, size, size, places, attended, projected=True)


def _plain_attention(layer: Any, call: Call) -> Operation:
    """Attention([query, value, key]) and AdditiveAttention: no dense layers."""
    query, value = call.shapes[0], call.shapes[1]
    places = (0, 2 if len(call.shapes) > 2 else 1, 1)
    return Attention(1, 1, query[-1], value[-1], places, value[0], projected=False)


def _places(call: Call, names: tuple[str, str, str]) -> tuple[int, int, int]:
    """Which of the call's tensors are query, key and value; a key that is left out is the value."""
    found: dict[str, int] = {}
    for place, name in enumerate(names):
        tensor = call.argument(place, name)
        if tensor is not None:
            found[name] = next(index for index, one in enumerate(call.tensors) if one is tensor)
    query, value = found["query"], found["value"]
    return (query, found.get("key", value), value)


def _batch_norm(layer: Any, call: Call) -> Operation:
    return BatchNormalization(layer.scale, layer.center, call.on_channels(layer.axis))


def _permuted(layer: Any, call: Call) -> Operation:
    return DataMover(Move.REORDER, layer.dims[call.output_channel_axis - 1] == call.channel_axis)


def _normalization(layer: Any, call: Call) -> Operation:
    return Normalization(True, bool(layer.scale), bool(layer.center), getattr(layer, "groups", None))


_READERS: Mapping[type[Any], Reader] = {
    layers.InputLayer: lambda layer, call: Input(),
    layers.Dense: _dense,
    layers.EinsumDense: _einsum,
    layers.Conv1D: _convolution,
    layers.Conv2D: _convolution,
    layers.Conv3D: _convolution,
    layers.DepthwiseConv1D: _depthwise,
    layers.DepthwiseConv2D: _depthwise,
    QDepthwiseConv2DTranspose: _depthwise_transposed,
    QSeparableConv2DTranspose: _separable_transposed,
    QScaleShift: _scale_shift,
    layers.Conv1DTranspose: _transposed,
    layers.Conv2DTranspose: _transposed,
    layers.Conv3DTranspose: _transposed,
    layers.SeparableConv1D: _separable,
    layers.SeparableConv2D: _separable,
    layers.SimpleRNN: _recurrent(Cell.SIMPLE),
    QSimpleRNN: _recurrent(Cell.SIMPLE),
    layers.LSTM: _recurrent(Cell.LSTM),
    QLSTM: _recurrent(Cell.LSTM),
    layers.GRU: _recurrent(Cell.GRU),
    QGRU: _recurrent(Cell.GRU),
    layers.RNN: _loop,
    layers.Bidirectional: _bidirectional,
    layers.SpectralNormalization: _wrapped,
    layers.Embedding: lambda layer, call: Embedding(),
    layers.BatchNormalization: _batch_norm,
    layers.LayerNormalization: _normalization,
    layers.GroupNormalization: _normalization,
    layers.RMSNormalization: lambda layer, call: Normalization(False, True, False),
    layers.UnitNormalization: lambda layer, call: Normalization(False, False, False),
    layers.Normalization: _statistics,
    layers.Rescaling: _rescaling,
    layers.MultiHeadAttention: _attention,
    layers.GroupQueryAttention: _grouped_attention,
    layers.Attention: _plain_attention,
    layers.AdditiveAttention: _plain_attention,
    QActivation: _activation,
    QAdaptiveActivation: lambda layer, call: Activation(function_of(layer.quantizer)),
    layers.Activation: _activation,
    layers.ReLU: _activation_layer,
    layers.LeakyReLU: _activation_layer,
    layers.ELU: _activation_layer,
    layers.PReLU: _activation_layer,
    layers.Softmax: _activation_layer,
    layers.Lambda: _lambda,
    layers.Add: _merge(MergeKind.ADD),
    layers.Subtract: _merge(MergeKind.SUBTRACT),
    layers.Multiply: _merge(MergeKind.MULTIPLY),
    layers.Average: _merge(MergeKind.AVERAGE),
    layers.Maximum: _merge(MergeKind.MAXIMUM),
    layers.Minimum: _merge(MergeKind.MINIMUM),
    layers.Concatenate: _merge(MergeKind.CONCATENATE),
    layers.Dot: _dot,
    layers.AveragePooling1D: _window,
    layers.AveragePooling2D: _window,
    layers.AveragePooling3D: _window,
    **dict.fromkeys(
        (layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D),
        lambda layer, call: AveragePooling(None),
    ),
    **dict.fromkeys(
        (layers.AdaptiveAveragePooling1D, layers.AdaptiveAveragePooling2D, layers.AdaptiveAveragePooling3D),
        _adaptive_window,
    ),
    **dict.fromkeys(
        (layers.AdaptiveMaxPooling1D, layers.AdaptiveMaxPooling2D, layers.AdaptiveMaxPooling3D),
        _mover(Move.MAX_POOLING_1D),
    ),
    layers.MaxPooling1D: _mover(Move.MAX_POOLING_1D),
    layers.MaxPooling2D: _mover(Move.MAX_POOLING),
    layers.MaxPooling3D: _mover(Move.MAX_POOLING),
    **dict.fromkeys(
        (layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D),
        _mover(Move.GLOBAL_MAX_POOLING),
    ),
    layers.Flatten: _mover(Move.FLATTEN),
    layers.Reshape: _mover(Move.RESHAPE),
    **dict.fromkeys((layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D), _mover(Move.UP_SAMPLING)),
    layers.Permute: _permuted,
    layers.RepeatVector: _mover(Move.REORDER),
    **dict.fromkeys((layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D), _mover(Move.PADDING)),
    **dict.fromkeys(
        (layers.Cropping1D, layers.Cropping2D, layers.Cropping3D, layers.CenterCrop, layers.RandomCrop),
        _mover(Move.CROPPING),
    ),
    **dict.fromkeys(
        (
            layers.Identity,
            layers.Masking,
            layers.Dropout,
            layers.SpatialDropout1D,
            layers.SpatialDropout2D,
            layers.SpatialDropout3D,
            layers.AlphaDropout,
            layers.GaussianNoise,
            layers.GaussianDropout,
            layers.ActivityRegularization,
            layers.RandomBrightness,
            layers.RandomColorDegeneration,
            layers.RandomColorJitter,
            layers.RandomContrast,
            layers.RandomElasticTransform,
            layers.RandomErasing,
            layers.RandomFlip,
            layers.RandomGaussianBlur,
            layers.RandomGrayscale,
            layers.RandomHue,
            layers.RandomInvert,
            layers.RandomPerspective,
            layers.RandomPosterization,
            layers.RandomRotation,
            layers.RandomSaturation,
            layers.RandomSharpness,
            layers.RandomShear,
            layers.RandomTranslation,
            layers.RandomZoom,
            layers.RandAugment,
            layers.AugMix,
            layers.CutMix,
            layers.MixUp,
        ),
        lambda layer, call: Idle(),
    ),
}
"""By Keras class."""
