"""Weights that follow channels: wider layers compute the same function, narrower ones keep what matters."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy
import pytest
from keras import layers

from qsearch.plan import LayerPlan, QuantizationPlan
from qsearch.quantize.apply import apply_plan
from qsearch.quantize.transfer import transfer_weights

RNG = numpy.random.default_rng(11)


def settled(model: keras.Model) -> keras.Model:
    """With weights and statistics that are not those of a fresh model."""
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([RNG.uniform(0.5, 1.5, weight.shape) for weight in layer.weights])
        elif layer.weights:
            layer.set_weights([RNG.normal(size=weight.shape) * 0.4 for weight in layer.weights])
    return model


def plain() -> keras.Model:
    inputs = keras.Input((8, 8, 2), name="in")
    x = layers.Conv2D(4, 3, name="c1")(inputs)
    x = layers.BatchNormalization(name="n")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="dw")(x)
    x = layers.ReLU(name="r")(x)
    x = layers.MaxPooling2D(2, name="p")(x)
    x = layers.Conv2DTranspose(5, 2, name="t")(x)
    x = layers.SeparableConv2D(6, 2, name="s")(x)
    x = layers.Flatten(name="f")(x)
    x = layers.Dense(7, activation="relu", name="d1")(x)
    return settled(keras.Model(inputs, layers.Dense(3, name="d2")(x)))


def residual() -> keras.Model:
    inputs = keras.Input((6, 6, 3), name="in")
    x = layers.Conv2D(4, 1, name="c1")(inputs)
    y = layers.Conv2D(4, 3, padding="same", name="c2")(layers.ReLU(name="r")(x))
    x = layers.Add(name="add")([x, y])
    z = layers.Conv2D(3, 1, name="c3")(x)
    x = layers.Concatenate(name="cat")([x, z])
    x = layers.GlobalAveragePooling2D(name="g")(x)
    return settled(keras.Model(inputs, layers.Dense(3, name="out")(x)))


def recurrent() -> keras.Model:
    inputs = keras.Input((5, 4), name="in")
    x = layers.Conv1D(4, 2, name="c")(inputs)
    x = layers.LSTM(5, return_sequences=True, name="l")(x)
    x = layers.GRU(6, name="g")(x)
    return settled(keras.Model(inputs, layers.Dense(2, name="out")(x)))


def resized(model: keras.Model, widths: dict[str, int]) -> keras.Model:
    return apply_plan(model, QuantizationPlan({name: LayerPlan(filters=width) for name, width in widths.items()}))


WIDER = [
    (plain, {"c1": 7, "t": 9, "s": 6, "d1": 15}),
    (plain, {"c1": 8, "s": 13, "d1": 8}),
    (residual, {"c1": 6, "c2": 6, "c3": 5}),
    (residual, {"c1": 9, "c2": 9}),
    (recurrent, {"c": 7, "l": 8, "g": 9}),
]


@pytest.mark.parametrize(("build", "widths"), WIDER)
def test_wider_layers_compute_the_same_function(build: Callable[[], keras.Model], widths: dict[str, int]) -> None:
    model = build()
    wider = resized(model, widths)
    assert transfer_weights(model, wider) == ()
    x = RNG.normal(size=(4, *model.input_shape[1:])).astype("float32")
    expected = numpy.asarray(model(x))
    assert numpy.abs(numpy.asarray(wider(x)) - expected).max() < 1e-4 * max(1.0, numpy.abs(expected).max())


def test_channels_that_do_nothing_are_the_ones_that_go() -> None:
    model = plain()
    for name, width in (("c1", 4), ("s", 6), ("d1", 7)):
        layer = model.get_layer(name)
        useless = numpy.arange(0, width, 2)
        weights = layer.get_weights()
        weights[-2][..., useless] = 0
        weights[-1][useless] = 0
        layer.set_weights(weights)
    norm = model.get_layer("n")
    gamma, beta, mean, variance = norm.get_weights()
    norm.set_weights([gamma, beta * [0, 1, 0, 1], mean * [0, 1, 0, 1], variance])
    depthwise = model.get_layer("dw")
    kernel, bias = depthwise.get_weights()
    depthwise.set_weights([kernel, bias * 0])
    narrow = resized(model, {"c1": 2, "s": 3, "d1": 3})
    assert transfer_weights(model, narrow) == ()
    x = RNG.normal(size=(4, 8, 8, 2)).astype("float32")
    expected = numpy.asarray(model(x))
    assert numpy.abs(numpy.asarray(narrow(x)) - expected).max() < 1e-4 * max(1.0, numpy.abs(expected).max())


def test_tied_channels_are_chosen_together() -> None:
    model = residual()
    for name in ("c1", "c2"):
        layer = model.get_layer(name)
        kernel, bias = layer.get_weights()
        kernel[..., [0, 2]] *= 0 if name == "c1" else 0.001  # c1 alone could not tell which of the two is the least
        layer.set_weights([kernel, bias * [0, 1, 0, 1]])
    narrow = resized(model, {"c1": 2, "c2": 2})
    assert transfer_weights(model, narrow) == ()
    x = RNG.normal(size=(4, 6, 6, 3)).astype("float32")
    assert numpy.abs(numpy.asarray(narrow(x)) - numpy.asarray(model(x))).max() < 0.05


def test_grouped_convolutions_keep_their_own_weights_when_widths_change() -> None:
    inputs = keras.Input((4, 4, 4), name="in")
    x = layers.Conv2D(4, 1, name="c1")(inputs)
    x = layers.Conv2D(4, 3, groups=2, name="g")(x)
    model = settled(keras.Model(inputs, layers.Flatten(name="f")(x)))
    wider = resized(model, {"c1": 8})
    assert transfer_weights(model, wider) == ("g",)
