"""Small quantized networks of transposed convolutions, recurrent layers, embeddings and layers over time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy

from qsearch import layers as q

layers = keras.layers
KERNEL: dict[str, Any] = {
    "kernel_quantizer": "quantized_bits(4,0,1,alpha=1.0)",
    "bias_quantizer": "quantized_bits(6,1,1)",
}
CELL: dict[str, Any] = {
    **KERNEL,
    "recurrent_quantizer": "quantized_bits(4,0,1,alpha=1.0)",
    "state_quantizer": "quantized_bits(6,1,1)",
    "activation": "quantized_tanh(5)",
}
GATES: dict[str, Any] = {**CELL, "recurrent_activation": "quantized_sigmoid(5)"}


def weighted(model: keras.Model, seed: int = 0) -> keras.Model:
    """With random weights, in place."""
    random = numpy.random.default_rng(seed)
    for variable in model.weights:
        value = random.normal(size=variable.shape) * 0.4
        if variable.path.endswith(("moving_variance", "gamma")):
            value = numpy.abs(value) + 0.5
        if variable.dtype == "float32":
            variable.assign(value)
    return model


def transposed(shape: tuple[int, ...] = (5, 4, 3), **options: Any) -> keras.Model:
    given = {"kernel_size": 3, **KERNEL, **options}
    inputs = keras.Input(shape)
    return keras.Model(inputs, q.QConv2DTranspose(4, activation="quantized_relu(4,2)", **given)(inputs))


def unet() -> keras.Model:
    inputs = keras.Input((8, 6, 2))
    first = q.QConv2D(4, 3, padding="same", activation="quantized_relu(4,2)", **KERNEL)(inputs)
    x = layers.MaxPooling2D(2)(first)
    x = q.QConv2D(6, 3, padding="same", activation="quantized_relu(4,2)", **KERNEL)(x)
    x = q.QConv2DTranspose(3, 3, strides=2, padding="same", activation="quantized_bits(5,2,1)", **KERNEL)(x)
    x = layers.Concatenate()([first, x])
    return keras.Model(inputs, q.QConv2D(3, 1, activation="softmax", **KERNEL)(x))


def grouped_transposed() -> keras.Model:
    """A separable one and one in groups, of sizes that no stride divides."""
    inputs = keras.Input((5, 4, 4))
    x = q.QSeparableConv2DTranspose(
        6,
        (3, 2),
        strides=(2, 3),
        padding="same",
        depthwise_kernel_quantizer="quantized_bits(4,0,1)",
        pointwise_kernel_quantizer="quantized_bits(4,0,1)",
        bias_quantizer="quantized_bits(4)",
        depthwise_activation="quantized_bits(5,2,1)",
        pointwise_activation="quantized_relu(4,2)",
    )(inputs)
    kernel = "quantized_bits(4,0,1)"
    x = q.QDepthwiseConv2DTranspose(6, 3, group_size=2, strides=2, depthwise_kernel_quantizer=kernel)(x)
    return keras.Model(inputs, x)


def simple() -> keras.Model:
    inputs = keras.Input((5, 3))
    return keras.Model(inputs, q.QDense(2, **KERNEL)(q.QSimpleRNN(4, return_sequences=True, **CELL)(inputs)))


def lstm() -> keras.Model:
    inputs = keras.Input((6, 3))
    return keras.Model(inputs, q.QDense(2, **KERNEL)(q.QBidirectional(q.QLSTM(4, **GATES))(inputs)))


def averages() -> keras.Model:
    """Of both directions, and of three tensors."""
    inputs = keras.Input((3, 4))
    x = q.QBidirectional(q.QLSTM(4, return_sequences=True, **GATES), merge_mode="ave")(inputs)
    x = q.QActivation("quantized_bits(5,1,1)")(layers.Average()([x, inputs, q.QDense(4, **KERNEL)(inputs)]))
    return keras.Model(inputs, q.QDense(2, **KERNEL)(x))


def gru() -> keras.Model:
    inputs = keras.Input((4, 3))
    return keras.Model(inputs, q.QGRU(5, return_sequences=True, go_backwards=True, reset_after=True, **GATES)(inputs))


def words() -> keras.Model:
    """A quantizer alone behind the table, and a table that is read as it is."""
    inputs = keras.Input((7,), dtype="int32", name="words")
    x = q.QActivation("quantized_bits(5,0,1)")(layers.Embedding(11, 5)(inputs))
    y = q.QActivation("quantized_bits(5,0,1)")(layers.ZeroPadding1D(1)(layers.Embedding(13, 3)(inputs)))
    x = layers.GlobalMaxPooling1D()(q.QConv1D(4, 3, **KERNEL)(x))
    return keras.Model(inputs, [q.QDense(3, **KERNEL)(x), q.QDense(2, **KERNEL)(layers.Flatten()(y))])


def video() -> keras.Model:
    over = layers.TimeDistributed
    inputs = keras.Input((3, 6, 6, 2))
    x = over(q.QConv2D(4, 3, padding="same", activation="quantized_relu(4,2)", **KERNEL))(inputs)
    x = over(layers.Flatten())(over(layers.MaxPooling2D(2))(x))
    x = over(q.QDense(4, activation="quantized_relu(4)", **KERNEL))(over(q.QActivation("quantized_bits(3,1,1)"))(x))
    return keras.Model(inputs, q.QGRU(3, **GATES)(x))


def edges() -> keras.Model:
    inputs = keras.Input((7, 6, 3))
    x = layers.AveragePooling2D(3, 2, padding="same")(q.QConv2D(2, 1, **KERNEL)(inputs))
    return keras.Model(inputs, q.QDense(3, **KERNEL)(layers.Flatten()(q.QActivation("quantized_bits(6,1,1)")(x))))


def cropped() -> keras.Model:
    inputs = keras.Input((7, 6, 3))
    x = layers.Cropping2D(((1, 0), (2, 1)))(q.QConv2D(2, 1, activation="quantized_relu(4,2)", **KERNEL)(inputs))
    x = layers.RepeatVector(3)(q.QDense(4, activation="quantized_bits(4,1,1)", **KERNEL)(layers.Flatten()(x)))
    return keras.Model(inputs, layers.Cropping1D((0, 1))(q.QSimpleRNN(3, return_sequences=True, **CELL)(x)))


LAYERS: dict[str, Callable[[], keras.Model]] = {
    made.__name__: made
    for made in (transposed, unet, grouped_transposed, simple, lstm, gru, words, video, edges, cropped, averages)
}
