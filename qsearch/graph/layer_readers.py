"""What each Keras layer does: layer class -> `Operation`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy
from keras import layers

from qsearch.functions import Function
from qsearch.graph import operations as ops
from qsearch.graph.activations import affine, function_of, recognised
from qsearch.graph.call import Call
from qsearch.graph.einsum import dense_units
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

Reader = Callable[[Any, Call], ops.Operation]


def layer_operation(layer: Any, call: Call) -> ops.Operation:
    """What a layer does in a call; a subclass is read as the nearest of its bases that is listed."""
    for kind in type(layer).__mro__:
        if kind in _READERS:
            return _READERS[kind](layer, call)
    return ops.Unknown(type(layer).__name__)


def _wrapped(layer: Any, call: Call) -> ops.Operation:
    return layer_operation(layer.layer, call)


def _sums(layer: Any) -> dict[str, Any]:
    """What is added to a layer's sums of products and applied to them."""
    return {"use_bias": layer.use_bias, "activation": _function(layer)}


def _folded(layer: Any) -> bool:
    return isinstance(layer, QConv2DBatchnorm | QDepthwiseConv2DBatchnorm | QDenseBatchnorm)


def _function(layer: Any) -> Function:
    return function_of(layer.activation)


def _dense(layer: Any, call: Call) -> ops.Operation:
    return ops.Dense(units=layer.units, **_sums(layer), folded=_folded(layer))


def _convolution(layer: Any, call: Call) -> ops.Operation:
    size = tuple(layer.kernel_size)
    return ops.Convolution(
        filters=layer.filters, kernel_size=size, **_sums(layer), groups=layer.groups, folded=_folded(layer)
    )


def _depthwise(layer: Any, call: Call) -> ops.Operation:
    size = tuple(layer.kernel_size)
    return ops.DepthwiseConvolution(
        kernel_size=size, **_sums(layer), depth_multiplier=layer.depth_multiplier, folded=_folded(layer)
    )


def _transposed(layer: Any, call: Call) -> ops.Operation:
    return ops.TransposedConvolution(filters=layer.filters, kernel_size=tuple(layer.kernel_size), **_sums(layer))


def _separable(layer: Any, call: Call) -> ops.Operation:
    return ops.SeparableConvolution(filters=layer.filters, kernel_size=tuple(layer.kernel_size), **_sums(layer))


def _depthwise_transposed(layer: Any, call: Call) -> ops.Operation:
    return ops.DepthwiseTransposed(
        kernel_size=tuple(layer.kernel_size),
        group_size=layer.group_size,
        activation=function_of(layer.depthwise_activation),
    )


def _separable_transposed(layer: Any, call: Call) -> ops.Operation:
    first, last = function_of(layer.depthwise_activation), function_of(layer.pointwise_activation)
    return ops.SeparableTransposed(
        filters=layer.filters,
        kernel_size=tuple(layer.kernel_size),
        use_bias=layer.use_bias,
        activation=last,
        depthwise_activation=first,
    )


def _scale_shift(layer: Any, call: Call) -> ops.Operation:
    return ops.ScaleShift(**_sums(layer))


def _einsum(layer: Any, call: Call) -> ops.Operation:
    units = dense_units(layer)
    if units is not None:
        return ops.Dense(units=units, use_bias=layer.bias_axes is not None, activation=_function(layer))
    given, output = layer.equation.replace(" ", "").split("->")
    kernel = given.split(",")[1]
    terms = math.prod(side for axis, side in zip(kernel, layer.kernel.shape, strict=True) if axis not in output)
    return ops.EinsumDense(terms=terms, use_bias=layer.bias_axes is not None, activation=_function(layer))


def _recurrent(cell: ops.Cell) -> Reader:
    def read(layer: Any, call: Call) -> ops.Operation:
        gates = function_of(getattr(layer, "recurrent_activation", None))
        return ops.Recurrent(cell=cell, units=layer.units, **_sums(layer), recurrent_activation=gates)

    return read


_CELLS: Mapping[type[Any], ops.Cell] = {
    layers.SimpleRNNCell: ops.Cell.SIMPLE,
    layers.LSTMCell: ops.Cell.LSTM,
    layers.GRUCell: ops.Cell.GRU,
}


def _loop(layer: Any, call: Call) -> ops.Operation:
    """RNN around a cell."""
    for kind, cell in _CELLS.items():
        if isinstance(layer.cell, kind):
            return _recurrent(cell)(layer.cell, call)
    return ops.Unknown(f"RNN of {type(layer.cell).__name__}")


def _bidirectional(layer: Any, call: Call) -> ops.Operation:
    inner = layer_operation(layer.forward_layer, call)
    return replace(inner, directions=2) if isinstance(inner, ops.Recurrent) else ops.Unknown(type(layer).__name__)


def _mover(move: ops.Move) -> Reader:
    return lambda layer, call: ops.DataMover(move)


def _merge(kind: ops.MergeKind) -> Reader:
    return lambda layer, call: ops.Merge(kind, call.in_order(layer.axis) if kind is ops.MergeKind.CONCATENATE else -1)


def _dot(layer: Any, call: Call) -> ops.Operation:
    axes = layer.axes if isinstance(layer.axes, int) else layer.axes[0]
    return ops.Merge(
        ops.MergeKind.DOT, terms=call.shapes[0][axes - 1 if axes > 0 else axes]
    )  # Keras counts the batch axis


def _window(layer: Any, call: Call) -> ops.Operation:
    size = layer.pool_size
    return ops.AveragePooling(tuple(size) if isinstance(size, list | tuple) else (size,))


def _adaptive_window(layer: Any, call: Call) -> ops.Operation:
    """The mean number of values in a window."""
    return ops.AveragePooling((math.ceil(math.prod(call.shapes[0]) / math.prod(call.output_shape)),))


def _activation(layer: Any, call: Call) -> ops.Operation:
    return ops.Activation(_function(layer))


def _activation_layer(layer: Any, call: Call) -> ops.Operation:
    return ops.Activation(function_of(layer))


def _lambda(layer: Any, call: Call) -> ops.Operation:
    """A function of the user's own: an activation where it is one of single values."""
    if len(call.shapes) == 1 and call.shapes[0] == call.output_shape:
        line = affine(layer, call.rank)
        if line is not None:
            scale, offset = line
            return ops.Affine(scale != 1, offset != 0) if line != (1, 0) else ops.Idle()  # rounded by `affine`
        function = recognised(layer, call.rank)
        if function is not None:
            return ops.Activation(function)
    return ops.Unknown(type(layer).__name__)


def _rescaling(layer: Any, call: Call) -> ops.Operation:
    scale, offset = numpy.asarray(layer.scale), numpy.asarray(layer.offset)
    return ops.Affine(bool((scale != 1).any()), bool((offset != 0).any()), max(scale.size, offset.size))


def _statistics(layer: Any, call: Call) -> ops.Operation:
    constants = math.prod(layer.mean.shape) if getattr(layer, "mean", None) is not None else 1
    return ops.Affine(scales=True, shifts=True, constants=max(constants, 1))


def _attention(layer: Any, call: Call) -> ops.Operation:
    """MultiHeadAttention(query, value, key=value)."""
    places = _places(call, ("query", "value", "key"))
    config = layer.get_config()
    axes = config["attention_axes"]
    keys = call.shapes[places[1]][:-1]
    attended = math.prod(keys if axes is None else [keys[axis - 1 if axis > 0 else axis] for axis in axes])
    heads, value_dim = config["num_heads"], config["value_dim"] or config["key_dim"]
    return ops.Attention(
        heads=heads,
        key_heads=heads,
        key_dim=config["key_dim"],
        value_dim=value_dim,
        places=places,
        attended=attended,
        projected=True,
    )


def _grouped_attention(layer: Any, call: Call) -> ops.Operation:
    places = _places(call, ("query", "value", "key"))
    size, attended = layer.head_dim, call.shapes[places[1]][0]
    return ops.Attention(
        heads=layer.num_query_heads,
        key_heads=layer.num_key_value_heads,
        key_dim=size,
        value_dim=size,
        places=places,
        attended=attended,
        projected=True,
    )


def _plain_attention(layer: Any, call: Call) -> ops.Operation:
    """Attention([query, value, key]) and AdditiveAttention: no dense layers."""
    query, value = call.shapes[0], call.shapes[1]
    places = (0, 2 if len(call.shapes) > 2 else 1, 1)
    return ops.Attention(
        heads=1,
        key_heads=1,
        key_dim=query[-1],
        value_dim=value[-1],
        places=places,
        attended=value[0],
        projected=False,
    )


def _places(call: Call, names: tuple[str, str, str]) -> tuple[int, int, int]:
    """Which of the call's tensors are query, key and value; a key that is left out is the value."""
    places: dict[str, int] = {}
    for place, name in enumerate(names):
        tensor = call.argument(place, name)
        if tensor is not None:
            places[name] = next(index for index, one in enumerate(call.tensors) if one is tensor)
    query, value = places["query"], places["value"]
    return (query, places.get("key", value), value)


def _batch_norm(layer: Any, call: Call) -> ops.Operation:
    return ops.BatchNormalization(layer.scale, layer.center, call.on_channels(layer.axis))


def _permuted(layer: Any, call: Call) -> ops.Operation:
    return ops.DataMover(ops.Move.REORDER, layer.dims[call.output_channel_axis - 1] == call.channel_axis)


def _normalization(layer: Any, call: Call) -> ops.Operation:
    return ops.Normalization(True, bool(layer.scale), bool(layer.center), getattr(layer, "groups", None))


_READERS: Mapping[type[Any], Reader] = {
    layers.InputLayer: lambda layer, call: ops.Input(),
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
    layers.SimpleRNN: _recurrent(ops.Cell.SIMPLE),
    QSimpleRNN: _recurrent(ops.Cell.SIMPLE),
    layers.LSTM: _recurrent(ops.Cell.LSTM),
    QLSTM: _recurrent(ops.Cell.LSTM),
    layers.GRU: _recurrent(ops.Cell.GRU),
    QGRU: _recurrent(ops.Cell.GRU),
    layers.RNN: _loop,
    layers.Bidirectional: _bidirectional,
    layers.SpectralNormalization: _wrapped,
    layers.Embedding: lambda layer, call: ops.Embedding(),
    layers.BatchNormalization: _batch_norm,
    layers.LayerNormalization: _normalization,
    layers.GroupNormalization: _normalization,
    layers.RMSNormalization: lambda layer, call: ops.Normalization(False, True, False),
    layers.UnitNormalization: lambda layer, call: ops.Normalization(False, False, False),
    layers.Normalization: _statistics,
    layers.Rescaling: _rescaling,
    layers.MultiHeadAttention: _attention,
    layers.GroupQueryAttention: _grouped_attention,
    layers.Attention: _plain_attention,
    layers.AdditiveAttention: _plain_attention,
    QActivation: _activation,
    QAdaptiveActivation: lambda layer, call: ops.Activation(function_of(layer.quantizer)),
    layers.Activation: _activation,
    layers.ReLU: _activation_layer,
    layers.LeakyReLU: _activation_layer,
    layers.ELU: _activation_layer,
    layers.PReLU: _activation_layer,
    layers.Softmax: _activation_layer,
    layers.Lambda: _lambda,
    layers.Add: _merge(ops.MergeKind.ADD),
    layers.Subtract: _merge(ops.MergeKind.SUBTRACT),
    layers.Multiply: _merge(ops.MergeKind.MULTIPLY),
    layers.Average: _merge(ops.MergeKind.AVERAGE),
    layers.Maximum: _merge(ops.MergeKind.MAXIMUM),
    layers.Minimum: _merge(ops.MergeKind.MINIMUM),
    layers.Concatenate: _merge(ops.MergeKind.CONCATENATE),
    layers.Dot: _dot,
    layers.AveragePooling1D: _window,
    layers.AveragePooling2D: _window,
    layers.AveragePooling3D: _window,
    **dict.fromkeys(
        (layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D),
        lambda layer, call: ops.AveragePooling(None),
    ),
    **dict.fromkeys(
        (layers.AdaptiveAveragePooling1D, layers.AdaptiveAveragePooling2D, layers.AdaptiveAveragePooling3D),
        _adaptive_window,
    ),
    **dict.fromkeys(
        (layers.AdaptiveMaxPooling1D, layers.AdaptiveMaxPooling2D, layers.AdaptiveMaxPooling3D),
        _mover(ops.Move.MAX_POOLING_1D),
    ),
    layers.MaxPooling1D: _mover(ops.Move.MAX_POOLING_1D),
    layers.MaxPooling2D: _mover(ops.Move.MAX_POOLING),
    layers.MaxPooling3D: _mover(ops.Move.MAX_POOLING),
    **dict.fromkeys(
        (layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D),
        _mover(ops.Move.GLOBAL_MAX_POOLING),
    ),
    layers.Flatten: _mover(ops.Move.FLATTEN),
    layers.Reshape: _mover(ops.Move.RESHAPE),
    **dict.fromkeys((layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D), _mover(ops.Move.UP_SAMPLING)),
    layers.Permute: _permuted,
    layers.RepeatVector: _mover(ops.Move.REORDER),
    **dict.fromkeys((layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D), _mover(ops.Move.PADDING)),
    **dict.fromkeys(
        (layers.Cropping1D, layers.Cropping2D, layers.Cropping3D, layers.CenterCrop, layers.RandomCrop),
        _mover(ops.Move.CROPPING),
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
        lambda layer, call: ops.Idle(),
    ),
}
"""By Keras class."""
