"""Which Keras layers have a quantized form: the class, and where its quantizers go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import keras

from qsearch import layers
from qsearch.graph.einsum import dense_units
from qsearch.graph.walk import core_of
from qsearch.plan import Role

_ACTIVATION = {"activation": Role.ACTIVATION, "activation_quantizer": Role.ACTIVATION}
_BIAS = {"bias_quantizer": Role.BIAS}
_NORM_PARTS = {
    "gamma_quantizer": Role.GAMMA,
    "beta_quantizer": Role.BETA,
    "mean_quantizer": Role.MEAN,
    "variance_quantizer": Role.VARIANCE,
    "inverse_quantizer": Role.INVERSE,
}
_FUNCTIONS = {"activation": Role.ACTIVATION, "recurrent_activation": Role.RECURRENT_ACTIVATION}


@dataclass(frozen=True)
class LayerKind:
    """A kind of layer that can be quantized.

    Attributes:
        quantized: the Q class.
        keys: what a user's entry may say, and the role that it fills.
        needed: without one of these the layer stays as it is; empty where an empty entry means something.
        arguments: the Q class' argument of each role.
        width: the argument that holds the number of output channels.
        folded: the Q class that takes in a batch normalization.
        functions: the arguments that hold an activation, and its role.
    """

    quantized: type[Any]
    keys: Mapping[str, Role]
    needed: tuple[Role, ...] = (Role.KERNEL,)
    arguments: Mapping[Role, str] = field(default_factory=dict)
    width: str | None = None
    folded: type[Any] | None = None
    functions: Mapping[str, Role] = field(default_factory=lambda: _FUNCTIONS)


def _kernel(quantized: type[Any], width: str, folded: type[Any] | None = None) -> LayerKind:
    return LayerKind(
        quantized,
        {"kernel_quantizer": Role.KERNEL, **_BIAS, **_ACTIVATION},
        arguments={Role.KERNEL: "kernel_quantizer", Role.BIAS: "bias_quantizer"},
        width=width,
        folded=folded,
    )


_DENSE = _kernel(layers.QDense, "units", layers.QDenseBatchnorm)
_CONV1D = _kernel(layers.QConv1D, "filters")
_CONV2D = _kernel(layers.QConv2D, "filters", layers.QConv2DBatchnorm)
_TRANSPOSED = _kernel(layers.QConv2DTranspose, "filters")
_DEPTHWISE = LayerKind(
    layers.QDepthwiseConv2D,
    {"depthwise_quantizer": Role.KERNEL, "kernel_quantizer": Role.KERNEL, **_BIAS, **_ACTIVATION},
    arguments={Role.KERNEL: "depthwise_quantizer", Role.BIAS: "bias_quantizer"},
    folded=layers.QDepthwiseConv2DBatchnorm,
)


def _separable(quantized: type[Any]) -> LayerKind:
    return LayerKind(
        quantized,
        {
            "depthwise_quantizer": Role.KERNEL,
            "kernel_quantizer": Role.KERNEL,
            "pointwise_quantizer": Role.POINTWISE,
            **_BIAS,
            **_ACTIVATION,
        },
        needed=(Role.KERNEL, Role.POINTWISE),
        arguments={
            Role.KERNEL: "depthwise_quantizer",
            Role.POINTWISE: "pointwise_quantizer",
            Role.BIAS: "bias_quantizer",
        },
        width="filters",
    )


def _recurrent(quantized: type[Any]) -> LayerKind:
    return LayerKind(
        quantized,
        {
            "kernel_quantizer": Role.KERNEL,
            "recurrent_quantizer": Role.RECURRENT,
            "state_quantizer": Role.STATE,
            "recurrent_activation": Role.RECURRENT_ACTIVATION,
            "recurrent_activation_quantizer": Role.RECURRENT_ACTIVATION,
            **_BIAS,
            **_ACTIVATION,
        },
        arguments={
            Role.KERNEL: "kernel_quantizer",
            Role.RECURRENT: "recurrent_quantizer",
            Role.BIAS: "bias_quantizer",
            Role.STATE: "state_quantizer",
        },
        width="units",
    )


def _average(quantized: type[Any]) -> LayerKind:
    keys = {"average_quantizer": Role.AVERAGE, **_ACTIVATION}
    return LayerKind(quantized, keys, (Role.AVERAGE,), {Role.AVERAGE: "average_quantizer"})


def _only_quantized(quantized: type[Any], arguments: Mapping[Role, str], functions: Mapping[str, Role]) -> LayerKind:
    """Of a layer that Keras does not have. Its width stays."""
    keys = {**{name: role for role, name in arguments.items()}, "kernel_quantizer": Role.KERNEL, **functions}
    needed = tuple(role for role in arguments if role is not Role.BIAS)
    return LayerKind(quantized, keys, needed, arguments, functions=functions)


_DEPTHWISE_TRANSPOSED = _only_quantized(
    layers.QDepthwiseConv2DTranspose,
    {Role.KERNEL: "depthwise_kernel_quantizer"},
    {"depthwise_activation": Role.ACTIVATION},
)
_SEPARABLE_TRANSPOSED = _only_quantized(
    layers.QSeparableConv2DTranspose,
    {
        Role.KERNEL: "depthwise_kernel_quantizer",
        Role.POINTWISE: "pointwise_kernel_quantizer",
        Role.BIAS: "bias_quantizer",
    },
    {"depthwise_activation": Role.DEPTHWISE_ACTIVATION, "pointwise_activation": Role.ACTIVATION},
)
_SCALE_SHIFT = _only_quantized(
    layers.QScaleShift,
    {Role.KERNEL: "weight_quantizer", Role.BIAS: "bias_quantizer"},
    {"activation": Role.ACTIVATION},
)
_SEPARABLE_1D, _SEPARABLE_2D = _separable(layers.QSeparableConv1D), _separable(layers.QSeparableConv2D)
_SIMPLE_RNN, _LSTM, _GRU = (_recurrent(kind) for kind in (layers.QSimpleRNN, layers.QLSTM, layers.QGRU))
_BIDIRECTIONAL = _recurrent(layers.QBidirectional)
_POOLING, _GLOBAL_POOLING = _average(layers.QAveragePooling2D), _average(layers.QGlobalAveragePooling2D)
_NORM = LayerKind(layers.QBatchNormalization, _NORM_PARTS, (), {role: name for name, role in _NORM_PARTS.items()})
_FUNCTION = LayerKind(layers.QActivation, {}, (Role.ACTIVATION,))

KINDS: Mapping[type[Any], LayerKind] = MappingProxyType(
    {
        keras.layers.Dense: _DENSE,
        keras.layers.Conv1D: _CONV1D,
        keras.layers.Conv2D: _CONV2D,
        keras.layers.Conv2DTranspose: _TRANSPOSED,
        keras.layers.DepthwiseConv2D: _DEPTHWISE,
        keras.layers.SeparableConv1D: _SEPARABLE_1D,
        keras.layers.SeparableConv2D: _SEPARABLE_2D,
        keras.layers.SimpleRNN: _SIMPLE_RNN,
        keras.layers.LSTM: _LSTM,
        keras.layers.GRU: _GRU,
        keras.layers.Bidirectional: _BIDIRECTIONAL,
        keras.layers.AveragePooling2D: _POOLING,
        keras.layers.GlobalAveragePooling2D: _GLOBAL_POOLING,
        keras.layers.BatchNormalization: _NORM,
        keras.layers.Activation: _FUNCTION,
        keras.layers.ReLU: _FUNCTION,
        keras.layers.LeakyReLU: _FUNCTION,
        keras.layers.Lambda: _FUNCTION,
        layers.QDense: _DENSE,
        layers.QConv1D: _CONV1D,
        layers.QConv2D: _CONV2D,
        layers.QConv2DTranspose: _TRANSPOSED,
        layers.QDepthwiseConv2D: _DEPTHWISE,
        layers.QSeparableConv1D: _SEPARABLE_1D,
        layers.QSeparableConv2D: _SEPARABLE_2D,
        layers.QDepthwiseConv2DTranspose: _DEPTHWISE_TRANSPOSED,
        layers.QSeparableConv2DTranspose: _SEPARABLE_TRANSPOSED,
        layers.QScaleShift: _SCALE_SHIFT,
        layers.QSimpleRNN: _SIMPLE_RNN,
        layers.QLSTM: _LSTM,
        layers.QGRU: _GRU,
        layers.QBidirectional: _BIDIRECTIONAL,
        layers.QAveragePooling2D: _POOLING,
        layers.QGlobalAveragePooling2D: _GLOBAL_POOLING,
        layers.QBatchNormalization: _NORM,
        layers.QActivation: _FUNCTION,
        layers.QAdaptiveActivation: _FUNCTION,
        layers.QConv2DBatchnorm: _kernel(layers.QConv2DBatchnorm, "filters"),
        layers.QDenseBatchnorm: _kernel(layers.QDenseBatchnorm, "units"),
        layers.QDepthwiseConv2DBatchnorm: replace(_DEPTHWISE, quantized=layers.QDepthwiseConv2DBatchnorm, folded=None),
    }
)
"""By the exact class: a subclass may compute something else."""


def kind_of(layer: Any) -> LayerKind | None:
    """How the layer can be quantized, or None; a TimeDistributed as the layer inside it."""
    core = core_of(layer)
    kind = _DENSE if dense_units(core) is not None else KINDS.get(type(core))
    return kind if kind is None or core is layer else replace(kind, folded=None)


def function_of(layer: Any) -> str:
    """The name of the activation function that a layer applies, as dictionaries of quantizers call it.

    ReLU with a slope is `leakyrelu`, as LeakyReLU is.
    """
    layer = core_of(layer)
    if isinstance(layer, keras.layers.LeakyReLU):
        return "leakyrelu"
    if isinstance(layer, keras.layers.ReLU):
        return "leakyrelu" if layer.negative_slope else "relu"
    if isinstance(layer, keras.layers.Bidirectional):
        layer = layer.forward_layer
    if isinstance(layer, layers.QAdaptiveActivation):
        return str(layer.kind)
    return getattr(getattr(layer, "activation", None), "__name__", "")
