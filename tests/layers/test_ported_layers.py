"""QDepthwiseConv2DTranspose, QSeparableConv2DTranspose and QScaleShift against what qkeras-v3 1.2.1 computed."""

from __future__ import annotations

from typing import Any

import keras
import numpy
import pytest

import qsearch
from qsearch import layers
from qsearch.errors import ConfigError
from qsearch.goal.bits import stored_parameters
from qsearch.graph.from_keras import read_model, read_plan
from qsearch.hardware.verify import State
from qsearch.quantize.apply import apply_plan

BITS1, BITS = "quantized_bits(4,0,1,alpha=1.0)", "quantized_bits(4,0,1)"

DEPTHWISE_X = [[[[-1.25, -0.375], [0.0, -0.5]], [[0.0, 1.375], [-0.5, -1.25]]]]
DEPTHWISE_W = [[[[-0.625], [-0.625]], [[0.5], [-0.1875]]], [[[-0.5], [-0.5625]], [[0.1875], [-0.5]]]]
DEPTHWISE_Y = [
    [
        [[0.78125, 0.234375], [-0.625, 0.09375], [0.0, 0.3125], [0.0, 0.125]],
        [[0.625, -0.671875], [-0.3125, -0.15625], [0.3125, 1.03125], [-0.25, 0.5625]],
        [[0.0, -0.6875], [0.0, -0.6875], [0.25, 0.625], [-0.125, 0.625]],
    ]
]

SEPARABLE_X = [[[[-0.375, -0.875, 0.25], [1.125, 0.625, -0.875]], [[-1.125, 0.125, -0.75], [-0.625, -1.625, 2.0]]]]
SEPARABLE_W = [
    [
        [[[0.375, -0.4375, -0.1875]], [[0.375, 0.3125, 0.75]]],
        [[[0.0, -0.75, 1.0]], [[0.5625, -0.5, 0.6875]]],
    ],
    [[[[0.0, -0.9375, -0.1875], [-0.25, 0.8125, -0.375]]]],
    [-0.125, -0.125],
]
SEPARABLE_Y = [
    [
        [[-0.49609375, 0.31201171875], [0.107421875, -0.57275390625]],
        [[-0.10546875, -0.15771484375], [-0.7421875, 0.82470703125]],
        [[-0.740234375, 0.3671875], [0.4287109375, -0.248046875]],
        [[0.080078125, 0.0390625], [-1.51953125, 0.28515625]],
    ]
]
"""The first two of its four columns."""


def set_and_run(layer: Any, weights: Any, x: Any) -> Any:
    inputs = numpy.asarray(x, "float32")
    layer.build(inputs.shape)
    layer.set_weights([numpy.asarray(weight) for weight in weights])
    y = layer(inputs)
    assert tuple(y.shape) == tuple(layer.compute_output_shape(inputs.shape))
    return y.numpy()


def test_depthwise_transposed() -> None:
    layer = layers.QDepthwiseConv2DTranspose(5, 2, strides=(1, 2), depthwise_kernel_quantizer=BITS1)
    numpy.testing.assert_array_equal(set_and_run(layer, [DEPTHWISE_W, numpy.ones(5)], DEPTHWISE_X), DEPTHWISE_Y)


def test_the_bias_of_a_depthwise_transposed_is_not_added_nor_trained() -> None:
    layer = layers.QDepthwiseConv2DTranspose(5, 2, bias_quantizer=BITS)
    y = set_and_run(layer, [numpy.zeros((2, 2, 2, 1)), numpy.ones(5)], DEPTHWISE_X)
    assert (y == 0).all()
    assert layer.trainable_weights == [layer.depthwise_kernel]
    assert list(layer.weight_parts()) == ["depthwise"]
    assert layer.plan.to_dict() == {}
    bare = layers.QDepthwiseConv2DTranspose(5, 2, use_bias=False)
    bare.build((None, 2, 2, 2))
    assert len(bare.weights) == 1


def test_groups_of_channels() -> None:
    """Two groups of two channels: each is a transposed convolution of its own."""
    rng = numpy.random.default_rng(1)
    x, kernel = rng.normal(size=(1, 3, 3, 4)).astype("float32"), rng.normal(size=(3, 2, 4, 2)).astype("float32")
    layer = layers.QDepthwiseConv2DTranspose(4, (3, 2), 2, (2, 2), "same", use_bias=False)
    parts = [keras.ops.conv_transpose(x[..., at : at + 2], kernel[:, :, at : at + 2], (2, 2), "same") for at in (0, 2)]
    numpy.testing.assert_allclose(set_and_run(layer, [kernel], x), numpy.concatenate(parts, -1), atol=1e-6)
    with pytest.raises(ConfigError, match="3 channels are no multiple of group_size 2"):
        layers.QDepthwiseConv2DTranspose(4, 2, 2).build((None, 3, 3, 3))


def test_separable_transposed() -> None:
    layer = layers.QSeparableConv2DTranspose(
        2, 2, dilation_rate=2, depthwise_kernel_quantizer=BITS1, pointwise_kernel_quantizer=BITS
    )
    numpy.testing.assert_array_equal(set_and_run(layer, SEPARABLE_W, SEPARABLE_X)[:, :, :2], SEPARABLE_Y)


def test_both_activations_of_a_separable_transposed() -> None:
    """As at QKeras: the inner one before the pointwise convolution, the outer one after the bias."""
    x = numpy.full((1, 1, 1, 1), 3.0)
    weights = [numpy.ones((1, 1, 1, 1)), numpy.ones((1, 1, 1, 1)), numpy.full(1, 9.0)]
    clipped = "quantized_bits(4,1,alpha=1.0)"
    for inner, outer, expected in ((None, None, 12.0), (clipped, None, 10.75), (None, clipped, 1.75)):
        layer = layers.QSeparableConv2DTranspose(1, 1, depthwise_activation=inner, pointwise_activation=outer)
        assert set_and_run(layer, weights, x).item() == expected


def test_scale_and_shift() -> None:
    x = [[[0.875, 1.375], [-2.375, -0.5], [-0.375, 0.625]]]
    layer = layers.QScaleShift(BITS, "quantized_bits(4,1,1)", activation="quantized_relu(6,2)")
    y = set_and_run(layer, [[[0.4375]], [[-0.5]]], x)
    numpy.testing.assert_array_equal(y, [[[0.0, 0.1875], [0.0, 0.0], [0.0, 0.0]]])
    assert [str(item) for item in layer.get_quantizers()] == [
        "quantized_bits(4,0,1,alpha='auto_po2')",  # as QKeras prints them
        "quantized_bits(4,1,1,alpha='auto_po2')",
    ]
    assert layer.plan.to_dict() == {
        "kernel": BITS,
        "bias": "quantized_bits(4,1,1)",
        "activation": "quantized_relu(6,2)",
    }
    plain = layers.QScaleShift(use_bias=False)
    assert (set_and_run(plain, [[[2.0]]], x) == 2 * numpy.asarray(x)).all()


def test_quantizers_are_listed_as_qkeras_lists_them() -> None:
    bias, act = "quantized_bits(2,2,1,alpha=1.0)", "quantized_bits(10,6,1)"
    depthwise = layers.QDepthwiseConv2DTranspose(
        2, 2, depthwise_activation=act, depthwise_kernel_quantizer=BITS1, bias_quantizer=bias
    )
    assert [str(item) for item in depthwise.get_quantizers()] == [BITS1, bias, act]
    separable = layers.QSeparableConv2DTranspose(
        *(2, 2, (1, 1), "valid", None, 1, act, "binary", True, BITS1, "ternary(1.0)", bias)
    )
    assert [str(item) for item in separable.get_quantizers()] == [BITS1, "ternary(1.0)", bias, act, "binary"]
    assert separable.plan.to_dict() == {
        "kernel": BITS1,
        "pointwise": "ternary(1.0)",
        "bias": bias,
        "depthwise_activation": act,
        "activation": "binary",
    }


@pytest.mark.parametrize("kind", [layers.QDepthwiseConv2DTranspose, layers.QSeparableConv2DTranspose])
def test_what_computes_nothing_earns_a_warning(kind: Any) -> None:
    for arguments in ({"depth_multiplier": 2}, {"activation": "relu"}):
        with pytest.warns(DeprecationWarning, match=f"{kind.__name__}: {next(iter(arguments))} has no effect"):
            kind(2, 2, **arguments)
    kind(2, 2, depth_multiplier=1, activation="linear")


def model() -> keras.Model:
    x = inputs = keras.Input((4, 4, 6))
    x = layers.QDepthwiseConv2DTranspose(
        *(6, 3, 2, 2), depthwise_activation="quantized_bits(6,2)", depthwise_kernel_quantizer=BITS1, name="d"
    )(x)
    x = layers.QScaleShift(BITS1, "quantized_bits(8,2,1,alpha=1.0)", activation="quantized_bits(6,2)", name="m")(x)
    x = layers.QSeparableConv2DTranspose(
        *(5, 2),
        depthwise_activation="quantized_bits(6,2)",
        depthwise_kernel_quantizer=BITS1,
        pointwise_kernel_quantizer="ternary(1.0)",
        bias_quantizer="quantized_bits(8,2,1)",
        name="s",
    )(x)
    return keras.Model(inputs, x)


def test_every_weight_is_on_its_grid() -> None:
    found = qsearch.verify(model())
    assert {(one.layer, one.weight) for one in found} == {
        ("d", "depthwise"),
        ("m", "weight"),
        ("m", "bias"),
        ("s", "depthwise"),
        ("s", "pointwise"),
        ("s", "bias"),
    }
    assert {one.state for one in found} <= {State.STORED, State.TRAINED}


def test_what_is_stored() -> None:
    elements = {
        node.name: sorted(count for count, _ in stored_parameters(node))
        for node in read_model(model()).nodes
        if node.weights
    }
    assert elements == {"d": [3 * 3 * 6 * 2], "m": [1, 1], "s": [5, 2 * 2 * 6, 5 * 6]}


def test_models_with_them_are_copied_with_their_quantizers() -> None:
    original = model()
    copy = qsearch.quantize_model(original, {}, transfer_weights=True)
    x = numpy.random.default_rng(0).normal(size=(2, 4, 4, 6)).astype("float32")
    numpy.testing.assert_array_equal(copy(x), original(x))
    planned = apply_plan(original, read_plan(original))  # as every trial of a search is made
    assert read_plan(planned) == read_plan(original)
    planned.set_weights(original.get_weights())
    numpy.testing.assert_array_equal(planned(x), original(x))


def test_other_quantizers_by_a_dictionary() -> None:
    entries = {
        "d": {"depthwise_kernel_quantizer": "binary", "depthwise_activation": "quantized_relu(4,1)"},
        "QSeparableConv2DTranspose": {"kernel_quantizer": "quantized_bits(3)", "pointwise_activation": "ternary"},
        "QScaleShift": {"weight_quantizer": "quantized_po2(4)"},
    }
    plan = read_plan(qsearch.quantize_model(model(), entries)).to_dict()
    assert plan["d"] == {"kernel": "binary", "activation": "quantized_relu(4,1)"}
    assert plan["m"] == {"kernel": "quantized_po2(4)", "activation": "quantized_bits(6,2)"}
    assert plan["s"] == {
        "kernel": "quantized_bits(3)",
        "pointwise": "quantized_bits(3)",
        "depthwise_activation": "quantized_bits(6,2)",
        "activation": "ternary",
    }
