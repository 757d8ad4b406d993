"""Arguments by position mean what they mean in QKeras and in Keras, and old arguments are taken."""

from __future__ import annotations

from typing import Any

import keras
import numpy
import pytest

from qsearch import layers
from qsearch.errors import ConfigError

BITS = "quantized_bits(4,0,1)"
NORM = ("beta", "gamma", "mean", "variance")


def same(by_position: keras.layers.Layer, by_name: keras.layers.Layer) -> None:
    first, second = by_position.get_config(), by_name.get_config()
    del first["name"], second["name"]
    assert first == second


def test_convolutions_have_strides_third() -> None:
    same(layers.QConv2D(16, 2, 2), layers.QConv2D(filters=16, kernel_size=2, strides=2))
    same(
        layers.QConv2D(4, 3, (2, 1), "same", "channels_last", (1, 1), "relu", False),
        layers.QConv2D(4, 3, strides=(2, 1), padding="same", activation="relu", use_bias=False),
    )
    same(layers.QConv1D(4, 3, 2, "same", 1, "relu"), layers.QConv1D(4, 3, strides=2, padding="same", activation="relu"))
    same(
        layers.QConv2DTranspose(4, 3, 2, "same", 1),
        layers.QConv2DTranspose(4, 3, strides=2, padding="same", output_padding=1),
    )
    same(
        layers.QDepthwiseConv2D(3, 2, "same", 2),
        layers.QDepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2),
    )
    separable = (layers.QSeparableConv1D, layers.QSeparableConv2D)
    for kind in separable:
        same(
            kind(4, 3, 1, "same", None, 2, 3, "relu"),
            kind(4, 3, padding="same", dilation_rate=2, depth_multiplier=3, activation="relu"),
        )


def test_quantizers_stand_where_qkeras_has_them() -> None:
    before = ("relu", True, "he_normal", "zeros", None, None, None, None, None)
    same(
        layers.QDense(3, *before, BITS, "binary"),
        layers.QDense(3, "relu", kernel_quantizer=BITS, bias_quantizer="binary"),
    )
    place = (3, 2, 1, "valid", "channels_last", 1)
    # QConv2D alone has the ranges of old times before its quantizers.
    same(
        layers.QConv2D(*place, *before, None, None, BITS),
        layers.QConv2D(3, 2, activation="relu", kernel_quantizer=BITS),
    )
    folded = layers.QConv2DBatchnorm(*place, *before, BITS, "binary", -1, 0.5)
    same(
        folded,
        layers.QConv2DBatchnorm(3, 2, activation="relu", kernel_quantizer=BITS, bias_quantizer="binary", momentum=0.5),
    )
    same(layers.QDenseBatchnorm(3, "relu", False), layers.QDenseBatchnorm(3, activation="relu", use_bias=False))
    same(layers.QDepthwiseConv2DBatchnorm(3, 2), layers.QDepthwiseConv2DBatchnorm(3, strides=2))


def test_dense_norm_and_pooling() -> None:
    same(layers.QDense(2, "relu", False), layers.QDense(2, activation="relu", use_bias=False))
    norm = layers.QBatchNormalization(-1, 0.9, 0.01, False)
    same(norm, layers.QBatchNormalization(axis=-1, momentum=0.9, epsilon=0.01, center=False))
    given: list[Any] = [-1, 0.99, 0.001, True, True, None, "zeros", "ones", "zeros", "ones", None, None]
    same(
        layers.QBatchNormalization(*given, None, None, None, None),
        layers.QBatchNormalization(**{f"{part}_quantizer": None for part in NORM}),
    )
    assert layers.QAveragePooling2D().pool_size == (2, 2)
    pooling = layers.QAveragePooling2D((3, 3), 2, "same", None, BITS, "relu")
    same(pooling, layers.QAveragePooling2D(3, strides=2, padding="same", average_quantizer=BITS, activation="relu"))
    same(layers.QGlobalAveragePooling2D(None, BITS), layers.QGlobalAveragePooling2D(average_quantizer=BITS))


def test_the_third_argument_of_an_adaptive_activation_is_its_step() -> None:
    layer = layers.QAdaptiveActivation("quantized_bits", 8, None, False, 5)
    same(layer, layers.QAdaptiveActivation("quantized_bits", 8, symmetric=False, quantization_delay=5))
    step = keras.Variable(3, dtype="int64", trainable=False)
    counted = layers.QAdaptiveActivation("quantized_relu", 8, step, quantization_delay=3)
    counted(numpy.ones((2, 3), "float32"), training=True)
    assert counted.step is step and int(step) == 3


def test_recurrent_layers() -> None:
    lstm = layers.QLSTM(3, "tanh", "sigmoid", False, "he_normal", "zeros", "ones", False)
    assert (lstm.use_bias, lstm.unit_forget_bias, lstm.dropout, lstm.recurrent_dropout) == (False, False, 0.0, 0.0)
    assert layers.QLSTM(3, dropout=0.2, recurrent_dropout=0.3).recurrent_dropout == 0.3
    assert layers.QGRU(3, "tanh", "hard_sigmoid", False).use_bias is False
    assert layers.QSimpleRNN(3, "tanh", False).use_bias is False
    same(
        layers.QLSTMCell(3, "tanh", "sigmoid", False),
        layers.QLSTMCell(3, activation="tanh", recurrent_activation="sigmoid", use_bias=False),
    )
    same(
        layers.QGRUCell(3, "tanh", "sigmoid", False),
        layers.QGRUCell(3, activation="tanh", recurrent_activation="sigmoid", use_bias=False),
    )
    same(layers.QSimpleRNNCell(3, "tanh", False), layers.QSimpleRNNCell(3, activation="tanh", use_bias=False))


def test_too_many_and_twice() -> None:
    with pytest.raises(ConfigError, match=r"QActivation|by position"):
        layers.QGlobalAveragePooling2D(None, None, None, 1)
    with pytest.raises(ConfigError, match="QDense: activation is given twice, as argument 2 \\('relu'\\) and by name"):
        layers.QDense(2, "relu", activation="tanh")


def test_old_arguments_of_norms() -> None:
    old: dict[str, Any] = {"renorm": False, "virtual_batch_size": None, "adjustment": None, "renorm_momentum": 0.9}
    same(layers.QBatchNormalization(**old), layers.QBatchNormalization())
    same(layers.QConv2DBatchnorm(2, 3, **old), layers.QConv2DBatchnorm(2, 3))
    with pytest.warns(DeprecationWarning, match="QBatchNormalization: gamma_range has no effect, here and in QKeras"):
        layers.QBatchNormalization(gamma_range=8.0, beta_range=None)
    with pytest.raises(ConfigError, match="QBatchNormalization: renorm: found True, but Keras 3 has no such option"):
        layers.QBatchNormalization(renorm=True)


def test_a_folded_dense_layer_averages_the_variance_as_keras_3_does() -> None:
    x = numpy.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    folded, norm = layers.QDenseBatchnorm(2, kernel_initializer="ones"), keras.layers.BatchNormalization()
    folded(x, training=True)
    norm(x @ numpy.ones((3, 2), "float32"), training=True)
    numpy.testing.assert_allclose(folded.moving_variance, norm.moving_variance, rtol=1e-5)


def test_what_qkeras_users_ask_of_a_layer() -> None:
    dense = layers.QDense(3, kernel_quantizer=BITS, bias_quantizer="quantized_bits(6,2)")
    kernel, bias = dense.get_quantizers()
    assert (kernel.alpha, bias.bits, bias.integer) == ("auto_po2", 6, 2)
    assert dense.kernel_quantizer.alpha is None
    lstm = layers.QLSTM(2, kernel_quantizer=BITS, recurrent_quantizer="binary", implementation=0)
    assert [None if one is None else type(one).__name__ for one in lstm.get_quantizers()] == [
        "quantized_bits",
        "binary",
        None,
        None,
    ]
    assert lstm.implementation == 1
    assert len(layers.QBidirectional(lstm).get_quantizers()) == 8
    with pytest.raises(AttributeError, match="'quantized_bits' has no attribute 'bit'"):
        _ = bias.bit


def test_one_adaptive_bit_is_a_sign() -> None:
    layer = layers.QAdaptiveActivation("quantized_bits", 1)
    x = numpy.array([[-0.3, 0.2, 4.0]], "float32")
    numpy.testing.assert_array_equal(layer(x), [[-1.0, 1.0, 1.0]])
    numpy.testing.assert_array_equal(layer(x), layer.quantizer(x))


def test_whole_numbers_are_averaged() -> None:
    image = numpy.arange(4).reshape(1, 2, 2, 1)
    numpy.testing.assert_array_equal(layers.QAveragePooling2D()(image), [[[[1.5]]]])
