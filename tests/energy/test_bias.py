"""Folded biases in the format of their accumulator, as QKeras' populate_bias_quantizer_from_accumulator has them."""

from __future__ import annotations

from typing import Any

import keras
import numpy
import pytest

import qsearch
from qsearch import layers
from qsearch.errors import ConfigError
from qsearch.quantizers import quantized_bits

K4 = "quantized_bits(4,0,1)"
RNG = numpy.random.default_rng(2)


def chain(shape: tuple[int, ...], *stack: Any) -> keras.Model:
    x = inputs = keras.Input(shape)
    for layer in stack:
        x = layer(x)
    model = keras.Model(inputs, x)
    model.set_weights([numpy.abs(RNG.normal(size=weight.shape)) + 0.1 for weight in model.weights])
    return model


def bias(model: keras.Model, name: str = "f") -> str:
    return str(model.get_layer(name).bias_quantizer)


def test_the_example_of_qkeras() -> None:
    """quantized_relu(4,1) times quantized_bits(4,0): 8 bits, 1 before the point; four products: two bits more."""
    model = chain(
        (2, 2, 1),
        layers.QActivation("quantized_relu(4,1)"),
        layers.QConv2DBatchnorm(2, 2, strides=4, use_bias=False, kernel_quantizer=K4, name="f"),
    )
    before = model.get_layer("f").get_config()
    found = qsearch.bias_from_accumulators(model, ["quantized_bits(8,0,1)"])
    assert bias(found) == "quantized_bits(10,3,1)"
    assert [str(item) for item in found.get_layer("f").get_quantizers()][1] == "quantized_bits(10,3,1)"
    assert model.get_layer("f").get_config() == before  # the given model is not changed
    for old, new in zip(model.get_weights(), found.get_weights(), strict=True):
        numpy.testing.assert_array_equal(old, new)
    again = qsearch.bias_from_accumulators(found, "quantized_bits(16,7,1)")  # what is there stays
    assert bias(again) == "quantized_bits(10,3,1)"


def test_the_bias_is_hardly_changed() -> None:
    model = chain((6,), layers.QDenseBatchnorm(3, kernel_quantizer=K4, name="f"))
    found = qsearch.bias_from_accumulators(model)
    assert bias(found) == "quantized_bits(14,3,1)"  # 8 and 4 bits: 11; six products: three more
    x = RNG.normal(size=(4, 6)).astype("float32")
    numpy.testing.assert_allclose(found(x), model(x), atol=2.0**-10)


@pytest.mark.parametrize(
    ("source", "expected"), [("quantized_bits(4,1,1)", "(9,3,1)"), (quantized_bits(6), "(11,2,1)"), (None, "(13,2,1)")]
)
def test_depthwise_layers_and_source_quantizers(source: Any, expected: str) -> None:
    """Four products of a window, here of one channel."""
    made = layers.QDepthwiseConv2DBatchnorm(2, depthwise_quantizer=K4, name="f")
    found = qsearch.bias_from_accumulators(chain((3, 3, 1), made), source)
    assert bias(found) == f"quantized_bits{expected}"


def test_floats_and_models_without_folded_layers_stay() -> None:
    folded = chain((6,), layers.QDenseBatchnorm(3, kernel_quantizer=K4, name="f"))
    assert bias(qsearch.bias_from_accumulators(folded, "fp32")) == "None"
    plain = chain((6,), layers.QDense(3, kernel_quantizer=K4, name="f"))
    copy = qsearch.bias_from_accumulators(plain)
    assert copy is not plain and bias(copy) == "None"
    with pytest.raises(ConfigError, match="source_quantizers: found 2 formats"):
        qsearch.bias_from_accumulators(folded, ["int8", "int8"])


def test_unsigned_products_and_shared_layers() -> None:
    """A bias has a sign where the products have none; the widest of two calls counts."""
    unsigned = layers.QDenseBatchnorm(2, kernel_quantizer="quantized_bits(4,0,keep_negative=0)", name="f")
    model = chain((4,), layers.QActivation("quantized_relu(4,1)"), unsigned)
    assert bias(qsearch.bias_from_accumulators(model)) == f"quantized_bits({4 + 4 + 2 + 1},3,1)"
    layer = layers.QDenseBatchnorm(2, kernel_quantizer=K4, name="f")
    a, b = keras.Input((2,)), keras.Input((2,))
    shared = keras.Model([a, b], [layer(a), layer(b)])
    sources = ["quantized_bits(4,2)", "quantized_bits(6,0)"]
    # 2 + 0 + 1 before the point, 5 + 3 behind it
    assert bias(qsearch.bias_from_accumulators(shared, sources)) == "quantized_bits(12,3,1)"
    nested = chain((4,), chain((4,), layers.QDenseBatchnorm(2, kernel_quantizer=K4, name="f")))
    inner = qsearch.bias_from_accumulators(nested).layers[1]
    assert bias(inner) == "quantized_bits(13,2,1)"
