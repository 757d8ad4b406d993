"""Small quantized networks with random weights, and inputs for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy

import qsearch

layers = keras.layers
BITS = "quantized_bits(4,0,1,alpha=1.0)"
KERNEL = {"kernel_quantizer": BITS, "bias_quantizer": "quantized_bits(8,3,1)"}
DEPTHWISE = {"depthwise_quantizer": BITS, "bias_quantizer": "quantized_bits(8,3,1)"}
QUANTIZERS: dict[str, Any] = {
    "QDense": KERNEL,
    "QConv1D": KERNEL,
    "QConv2D": KERNEL,
    "QDepthwiseConv2D": DEPTHWISE,
    "QSeparableConv2D": {**DEPTHWISE, "depthwise_quantizer": "ternary", "pointwise_quantizer": BITS},
    "QActivation": {"relu": "quantized_relu(4,2)", "tanh": "quantized_tanh(5)", "sigmoid": "quantized_sigmoid(5)"},
    "QBatchNormalization": {},
}


def made(model: keras.Model, entries: dict[str, Any] | None = None, seed: int = 0) -> keras.Model:
    """The model with quantizers, and with random weights and statistics."""
    quantized = qsearch.quantize_model(model, {**QUANTIZERS, **(entries or {})})
    random = numpy.random.default_rng(seed)
    for variable in quantized.weights:
        name = variable.path.rpartition("/")[2]
        value = random.normal(size=variable.shape) * 0.3
        if name in ("moving_variance", "gamma"):
            value = numpy.abs(value) + 0.5
        if variable.dtype == "float32":
            variable.assign(value)
    return quantized


def samples(model: keras.Model, count: int = 100, seed: int = 1) -> numpy.ndarray:
    """Inputs that are on no grid."""
    random = numpy.random.default_rng(seed)
    return (random.normal(size=(count, *model.input_shape[1:])) * 0.5).astype("float32")


def dense() -> keras.Model:
    x = inputs = keras.Input((16,))
    for units in (32, 16):
        x = layers.Activation("relu")(layers.BatchNormalization()(layers.Dense(units)(x)))
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(x))


def one_dimensional() -> keras.Model:
    x = inputs = keras.Input((32, 3))
    x = layers.Activation("relu")(layers.Conv1D(8, 5, padding="causal", dilation_rate=2)(x))
    x = layers.Conv1D(4, 3, strides=2, padding="same")(layers.MaxPooling1D(2)(x))
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(layers.Activation("tanh")(x))))


def images() -> keras.Model:
    x = inputs = keras.Input((15, 15, 3))
    x = layers.Activation("relu")(layers.Conv2D(8, 3, strides=2, padding="same")(x))
    x = layers.Activation("relu")(layers.AveragePooling2D(2)(x))
    x = layers.Activation("sigmoid")(layers.SeparableConv2D(6, 3, padding="same")(x))
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def residual() -> keras.Model:
    inputs = keras.Input((9, 9, 3))
    first = layers.Activation("relu", name="a0")(layers.Conv2D(4, 3, padding="same", name="c0")(inputs))
    second = layers.BatchNormalization(name="bn1")(layers.Conv2D(4, 3, padding="same", name="c1")(first))
    added = layers.Activation("relu", name="a1")(layers.Add(name="add")([first, second]))
    both = layers.Concatenate(name="both")([added, layers.Dropout(0.5)(first)])
    x = layers.Activation("relu", name="a2")(layers.DepthwiseConv2D(3, padding="same", name="dw")(both))
    x = layers.Activation("relu", name="a3")(layers.GlobalAveragePooling2D(name="mean")(x))
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="o")(x))


def groups() -> keras.Model:
    x = inputs = keras.Input((8, 8, 4))
    x = layers.Conv2D(8, 3, groups=2, dilation_rate=2, padding="same")(layers.ZeroPadding2D(((1, 0), (2, 1)))(x))
    x = layers.UpSampling2D(2)(layers.MaxPooling2D(3, strides=2, padding="same")(layers.ReLU(max_value=1.0)(x)))
    return keras.Model(inputs, layers.Dense(3)(layers.Reshape((-1,))(layers.Activation("relu")(x))))


def several() -> keras.Model:
    """Two inputs and two outputs."""
    one, other = keras.Input((6,), name="one"), keras.Input((6,), name="other")
    left, right = layers.Activation("relu")(layers.Dense(4)(one)), layers.Activation("relu")(layers.Dense(4)(other))
    difference = layers.Activation("relu")(layers.Subtract()([left, right]))
    product = layers.Activation("relu")(layers.Multiply()([left, right]))
    return keras.Model([one, other], [layers.Dense(2, name="a")(difference), layers.Dense(3, name="b")(product)])


def small(kernel: int = 3) -> keras.Model:
    x = inputs = keras.Input((8, 8, 1))
    x = layers.Activation("relu", name="act")(layers.Conv2D(4, kernel, name="conv")(x))
    return keras.Model(inputs, layers.Dense(3, name="dense")(layers.Flatten()(x)))


NETWORKS: dict[str, Callable[[], keras.Model]] = {
    made.__name__: made for made in (dense, one_dimensional, images, residual, groups, several)
}
