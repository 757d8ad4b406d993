"""Folded models with ordinary layers again."""

from __future__ import annotations

from typing import Any

import keras
import numpy

import qsearch
from qsearch import layers

BITS = "quantized_bits(4,0,1,alpha=1.0)"
X = numpy.random.default_rng(0).normal(size=(4, 6, 6, 2)).astype("float32")


def folded(**quantizers: Any) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 2))
    x = layers.QConv2DBatchnorm(3, 3, activation="relu", use_bias=False, name="c", kernel_quantizer=BITS, **quantizers)(
        inputs
    )
    inner = keras.Input((4, 4, 3))
    y = layers.QDepthwiseConv2DBatchnorm(3, depth_multiplier=2, scale=False, name="d")(inner)
    x = keras.Model(inner, y, name="inner")(x)
    x = layers.QActivation("quantized_relu(6,2)", name="a")(x)
    x = layers.QDenseBatchnorm(2, kernel_quantizer="ternary", name="o")(keras.layers.Flatten()(x))
    model = keras.Model(inputs, keras.layers.BatchNormalization(name="bn")(x))
    for _ in range(3):
        model(X, training=True)
    return model


def test_outputs_are_the_same() -> None:
    model = folded(bias_quantizer="quantized_bits(6,2)")
    plain = qsearch.unfold_model(model)
    numpy.testing.assert_allclose(plain(X), model(X), rtol=1e-5, atol=1e-6)
    assert type(plain.get_layer("c")) is layers.QConv2D
    assert type(plain.get_layer("inner").get_layer("d")) is layers.QDepthwiseConv2D
    assert type(plain.get_layer("o")) is layers.QDense
    assert plain.get_layer("c").use_bias
    assert str(plain.get_layer("c").kernel_quantizer) == BITS
    assert type(model.get_layer("c")) is layers.QConv2DBatchnorm


def test_a_model_without_folded_layers_is_copied() -> None:
    model = keras.Sequential([keras.Input((3,)), layers.QDense(2, kernel_quantizer=BITS)])
    copy = qsearch.unfold_model(model)
    x = numpy.ones((1, 3), "float32")
    numpy.testing.assert_array_equal(copy(x), model(x))
    assert copy.layers[0] is not model.layers[0]
