"""One harness for all layers: without quantizers they are Keras', with them they train, save and load."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy
import pytest

import qsearch
from qsearch import layers
from qsearch.errors import ConfigError

RNG = numpy.random.default_rng(0)
IMAGE, SERIES, FLAT = (6, 6, 3), (5, 4), (7,)
BITS = "quantized_bits(4,0,1,alpha=1.0)"
FLOAT: dict[str, Any] = dict.fromkeys([f"{part}_quantizer" for part in ("beta", "gamma", "mean", "variance")])
KERNEL: dict[str, Any] = {"kernel_quantizer": "quantized_bits(4,0,1)", "bias_quantizer": "quantized_bits(6,2)"}
SEPARABLE: dict[str, Any] = {"depthwise_quantizer": BITS, "pointwise_quantizer": "ternary", "bias_quantizer": BITS}
GATES: dict[str, Any] = {**KERNEL, "recurrent_quantizer": "ternary", "state_quantizer": "quantized_bits(6,1)"}

Make = Callable[[], keras.layers.Layer]
QUANTIZED: dict[str, tuple[tuple[int, ...], Make]] = {
    "QDense": (FLAT, lambda: layers.QDense(3, "quantized_relu(4,2)", **KERNEL)),
    "QConv1D": (SERIES, lambda: layers.QConv1D(3, 2, activation="quantized_tanh(5)", padding="causal", **KERNEL)),
    "QConv2D": (IMAGE, lambda: layers.QConv2D(4, 3, activation="quantized_relu_po2(4)", mask=numpy.eye(3), **KERNEL)),
    "QConv2DTranspose": (IMAGE, lambda: layers.QConv2DTranspose(2, 3, strides=2, output_padding=1, **KERNEL)),
    "QDepthwiseConv2D": (IMAGE, lambda: layers.QDepthwiseConv2D(3, depthwise_quantizer="binary", depth_multiplier=2)),
    "QDepthwiseConv2DTranspose": (
        IMAGE,
        lambda: layers.QDepthwiseConv2DTranspose(
            3, 2, 3, 2, depthwise_kernel_quantizer=BITS, depthwise_activation="quantized_relu(6,2)"
        ),
    ),
    "QSeparableConv2DTranspose": (
        IMAGE,
        lambda: layers.QSeparableConv2DTranspose(
            *(2, 3, 2, "same", 1),
            depthwise_activation="quantized_bits(6,2)",
            pointwise_activation="quantized_relu(6,2)",
            depthwise_kernel_quantizer=BITS,
            pointwise_kernel_quantizer="ternary",
            bias_quantizer=BITS,
        ),
    ),
    "QScaleShift": (SERIES, lambda: layers.QScaleShift("quantized_bits(4,0,1)", BITS, activation="quantized_tanh(5)")),
    "QSeparableConv1D": (SERIES, lambda: layers.QSeparableConv1D(3, 2, activation="quantized_relu(4,1)", **SEPARABLE)),
    "QSeparableConv2D": (IMAGE, lambda: layers.QSeparableConv2D(3, 2, strides=2, **SEPARABLE)),
    "QActivation": (IMAGE, lambda: layers.QActivation("quantized_hswish(6,2)")),
    "QAdaptiveActivation": (IMAGE, lambda: layers.QAdaptiveActivation("quantized_bits", 6, ema_decay=0.5)),
    "QBatchNormalization": (IMAGE, lambda: layers.QBatchNormalization()),
    "QConv2DBatchnorm": (IMAGE, lambda: layers.QConv2DBatchnorm(3, 2, momentum=0.8, ema_freeze_delay=40, **KERNEL)),
    "QDepthwiseConv2DBatchnorm": (IMAGE, lambda: layers.QDepthwiseConv2DBatchnorm(2, depthwise_quantizer=BITS)),
    "QDenseBatchnorm": (FLAT, lambda: layers.QDenseBatchnorm(3, folding_mode="batch_stats_folding", **KERNEL)),
    "QAveragePooling2D": (IMAGE, lambda: layers.QAveragePooling2D(2, average_quantizer="quantized_bits(6,0,1)")),
    "QGlobalAveragePooling2D": (
        IMAGE,
        lambda: layers.QGlobalAveragePooling2D(
            average_quantizer="quantized_bits(8,-3)", activation="quantized_bits(6,0)"
        ),
    ),
    "QSimpleRNN": (SERIES, lambda: layers.QSimpleRNN(3, return_sequences=True, **GATES)),
    "QLSTM": (SERIES, lambda: layers.QLSTM(3, "quantized_tanh(6)", dropout=0.2, recurrent_dropout=0.2, **GATES)),
    "QGRU": (SERIES, lambda: layers.QGRU(3, "tanh", recurrent_activation="sigmoid", reset_after=True, **GATES)),
    "QBidirectional": (SERIES, lambda: layers.QBidirectional(layers.QLSTM(2, **GATES), merge_mode="sum")),
}
CELLS = {"QSimpleRNNCell", "QLSTMCell", "QGRUCell"}


def test_every_layer_is_here() -> None:
    assert set(QUANTIZED) | CELLS == set(layers.__all__)


def model_of(name: str) -> tuple[keras.Model, numpy.ndarray]:
    keras.utils.set_random_seed(3)
    shape, make = QUANTIZED[name]
    inputs = keras.Input(shape)
    outputs = keras.layers.Dense(1)(keras.layers.Flatten()(make()(inputs)))
    return keras.Model(inputs, outputs), RNG.normal(size=(8, *shape)).astype("float32")


@pytest.mark.parametrize("name", QUANTIZED)
def test_training_saving_loading(name: str, tmp_path: Path) -> None:
    model, x = model_of(name)
    model.compile("adam", "mse")
    before = [weight.numpy().copy() for weight in model.trainable_weights]
    model.fit(x, x.reshape(len(x), -1)[:, :1], epochs=2, batch_size=4, verbose=0)
    after = [weight.numpy() for weight in model.trainable_weights]
    assert all(numpy.isfinite(weight).all() for weight in after)
    assert all((a != b).any() for a, b in zip(before, after, strict=True))
    expected = model(x, training=False)
    layer = model.layers[1]
    for ending in ("keras", "h5"):
        path = tmp_path / f"model.{ending}"
        _save(model, path)
        again = qsearch.load_model(path)
        numpy.testing.assert_array_equal(again(x, training=False), expected)
        assert type(again.layers[1]) is type(layer)
        assert again.layers[1].plan == layer.plan
        assert [w.shape for w in again.weights] == [w.shape for w in model.weights]


def _save(model: keras.Model, path: Path) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras calls HDF5 legacy
        model.save(path)


@pytest.mark.parametrize("name", QUANTIZED)
def test_configs_are_plain_data(name: str) -> None:
    _, make = QUANTIZED[name]
    layer = make()
    config = json.loads(json.dumps(layer.get_config()))
    again = type(layer).from_config(config)
    assert again.get_config() == layer.get_config()
    assert again.plan == layer.plan
    # what a quantizer calls for is derived again, not stored
    assert not any("Clip" in str(value) or "QInitializer" in str(value) for value in config.values())


PLAIN: list[tuple[tuple[int, ...], keras.layers.Layer, keras.layers.Layer]] = [
    (FLAT, layers.QDense(3, "relu"), keras.layers.Dense(3, "relu")),
    (SERIES, layers.QConv1D(3, 2, padding="causal"), keras.layers.Conv1D(3, 2, padding="causal")),
    (
        SERIES,
        layers.QConv1D(2, 3, padding="causal", dilation_rate=2),
        keras.layers.Conv1D(2, 3, padding="causal", dilation_rate=2),
    ),
    (IMAGE, layers.QConv2D(4, 3, groups=1), keras.layers.Conv2D(4, 3)),
    (
        IMAGE,
        layers.QConv2DTranspose(2, 3, strides=2, output_padding=1),
        keras.layers.Conv2DTranspose(2, 3, strides=2, output_padding=1),
    ),
    (IMAGE, layers.QDepthwiseConv2D(3, depth_multiplier=2), keras.layers.DepthwiseConv2D(3, depth_multiplier=2)),
    (IMAGE, layers.QSeparableConv2D(3, 2), keras.layers.SeparableConv2D(3, 2)),
    (SERIES, layers.QSeparableConv1D(3, 2, activation="elu"), keras.layers.SeparableConv1D(3, 2, activation="elu")),
    (IMAGE, layers.QAveragePooling2D(3, padding="same"), keras.layers.AveragePooling2D(3, padding="same")),
    (IMAGE, layers.QGlobalAveragePooling2D(), keras.layers.GlobalAveragePooling2D()),
    (IMAGE, layers.QBatchNormalization(**FLOAT), keras.layers.BatchNormalization()),
    (FLAT, layers.QBatchNormalization(**FLOAT), keras.layers.BatchNormalization()),
    (SERIES, layers.QSimpleRNN(3, "tanh"), keras.layers.SimpleRNN(3)),
    (SERIES, layers.QLSTM(3, "tanh", recurrent_activation="sigmoid"), keras.layers.LSTM(3)),
    (
        SERIES,
        layers.QGRU(3, "tanh", recurrent_activation="sigmoid", reset_after=True, return_sequences=True),
        keras.layers.GRU(3, return_sequences=True),
    ),
    (SERIES, layers.QGRU(3, "tanh", recurrent_activation="sigmoid"), keras.layers.GRU(3, reset_after=False)),
]


@pytest.mark.parametrize(("shape", "ours", "theirs"), PLAIN, ids=lambda item: getattr(item, "name", ""))
def test_without_quantizers_they_are_keras_layers(
    shape: tuple[int, ...], ours: keras.layers.Layer, theirs: keras.layers.Layer
) -> None:
    """D8, D9, D10, D13 among them: the recurrent kernel of a GRU, the forget bias, the output padding."""
    x = RNG.normal(size=(4, *shape)).astype("float32")
    ours.build(x.shape)
    theirs.build(x.shape)
    assert [w.shape for w in ours.weights] == [w.shape for w in theirs.weights]
    ours.set_weights([RNG.normal(size=w.shape) ** 2 for w in theirs.weights])
    theirs.set_weights(ours.get_weights())
    for training in (False, True):
        numpy.testing.assert_allclose(ours(x, training=training), theirs(x, training=training), rtol=2e-5, atol=2e-5)
        for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            numpy.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)


def test_d10_the_forget_bias_can_be_switched_off() -> None:
    for unit_forget_bias, expected in ((True, 1.0), (False, 0.0)):
        layer = layers.QLSTM(2, unit_forget_bias=unit_forget_bias)
        layer.build((None, 5, 4))
        assert layer.cell.bias.numpy()[2:4].tolist() == [expected] * 2


@pytest.mark.parametrize("mode", ["ema_stats_folding", "batch_stats_folding"])
@pytest.mark.parametrize("name", ["QConv2DBatchnorm", "QDepthwiseConv2DBatchnorm", "QDenseBatchnorm"])
def test_folding_without_quantizers_is_layer_then_norm(name: str, mode: str) -> None:
    shape = FLAT if name == "QDenseBatchnorm" else IMAGE
    x = RNG.normal(size=(16, *shape)).astype("float32")
    sizes = {"QConv2DBatchnorm": (4, 2), "QDepthwiseConv2DBatchnorm": (2,), "QDenseBatchnorm": (3,)}[name]
    plain = getattr(keras.layers, name[1:].removesuffix("Batchnorm"))(*sizes)
    norm = keras.layers.BatchNormalization(momentum=0.7, epsilon=0.01)
    folded = getattr(layers, name)(*sizes, momentum=0.7, epsilon=0.01, folding_mode=mode, fused=False)
    expected = norm(plain(x))
    folded.build(x.shape)
    kernel, bias = plain.get_weights()
    bias = bias + 0.3
    plain.set_weights([kernel, bias])
    gamma, beta, mean, variance = (numpy.abs(RNG.normal(size=bias.shape)) + 0.2 for _ in range(4))
    norm.set_weights([gamma, beta, mean, variance])
    folded.set_weights([kernel, bias, gamma, beta, numpy.array(0), mean, variance])
    for training in (False, True, True, False):
        expected = norm(plain(x), training=training)
        numpy.testing.assert_allclose(folded(x, training=training), expected, rtol=2e-4, atol=2e-4)
        numpy.testing.assert_allclose(folded.moving_mean, norm.moving_mean, rtol=1e-4)
        numpy.testing.assert_allclose(folded.moving_variance, norm.moving_variance, rtol=1e-4)


def test_d26_d27_folding_takes_center_and_data_format() -> None:
    layer = layers.QConv2DBatchnorm(2, 3, center=False, scale=False, data_format="channels_last")
    layer.build((None, *IMAGE))
    assert [w.path.rpartition("/")[2] for w in layer.weights] == [
        "kernel",
        "bias",
        "iteration",
        "moving_mean",
        "moving_variance",
    ]
    assert layers.QConv2DBatchnorm(2, 3, data_format="channels_first").data_format == "channels_first"
    with pytest.raises(ConfigError, match="renorm: found True, but Keras 3 has no such option"):
        layers.QConv2DBatchnorm(2, 3, renorm=True)
    with pytest.raises(ConfigError, match=r"folding_mode: found 'ema_folding', .*; did you mean 'ema_stats_folding'"):
        layers.QConv2DBatchnorm(2, 3, folding_mode="ema_folding")


def test_folding_stops_adapting() -> None:
    layer = layers.QDenseBatchnorm(3, momentum=0.5, ema_freeze_delay=0)
    x = RNG.normal(size=(16, *FLAT)).astype("float32")
    seen = []
    for _ in range(4):
        layer(x, training=True)
        seen.append(layer.moving_mean.numpy().tolist())
    # the count starts at -1 and is read before it grows: calls 1 and 2 move, the others do not
    assert seen[0] != seen[1] == seen[2] == seen[3]
    assert numpy.allclose(layer(x, training=True), layer(x, training=False), atol=1e-6)


def test_d28_adaptive_averages_rest_at_inference_and_are_saved(tmp_path: Path) -> None:
    inputs = keras.Input(FLAT)
    layer = layers.QAdaptiveActivation("quantized_bits", 6, ema_decay=0.5, ema_freeze_delay=3)
    model = keras.Model(inputs, layer(inputs))
    x = 5 * RNG.normal(size=(16, *FLAT)).astype("float32")
    layer(x, training=False)
    assert layer.ema_max.numpy().tolist() == [0.0]
    averages = [layer.ema_max.numpy()[0] for _ in range(6) if layer(x, training=True) is not None]
    assert averages[3] == averages[5] > averages[0]
    assert layer.step.numpy() == 5
    assert layer.activation == layer.quantizer and layer.kind == layer.get_config()["activation"]
    assert layer.plan.to_dict()["activation"].startswith("quantized_bits(6,")
    model.save(tmp_path / "m.keras")
    again = qsearch.load_model(tmp_path / "m.keras")
    numpy.testing.assert_array_equal(again(x), model(x))
    assert numpy.abs(again(x)).max() > 5


def test_recurrent_weights_are_quantized_once_a_call() -> None:
    """Sampled kernels stay the same over all steps of a call."""
    layer = layers.QSimpleRNN(3, "linear", kernel_quantizer="stochastic_binary", return_sequences=True, use_bias=False)
    x = numpy.ones((1, 6, 4), "float32")
    layer.build(x.shape)
    layer.set_weights([numpy.full((4, 3), 0.01), numpy.zeros((3, 3))])
    y = layer(x, training=True).numpy()[0]
    assert (y == y[0]).all()


def test_masks_must_fit_the_kernel() -> None:
    with pytest.raises(ConfigError, match=r"mask has shape \(2, 3\), expected \(3, 3\)"):
        layers.QConv2D(2, 3, mask=numpy.ones((2, 3)))


def test_old_ranges_are_accepted_and_said_to_be_without_effect() -> None:
    assert "kernel_range" not in layers.QDense(2, kernel_range=None).get_config()
    with pytest.warns(DeprecationWarning, match="kernel_range has no effect"):
        layers.QDense(2, kernel_range=1.0)


def test_keras_hard_sigmoid_stays_what_it_is() -> None:
    ours, theirs = layers.QDense(1, "hard_sigmoid"), layers.QDense(1, keras.activations.hard_sigmoid)
    x = numpy.array([[1.0]], "float32")
    for layer, slope in ((ours, 0.5), (theirs, 1 / 6)):
        again = layers.QDense.from_config(layer.get_config())
        for found in (layer, again):
            found.build(x.shape)
            found.set_weights([numpy.ones((1, 1)), numpy.zeros(1)])
            assert float(found(x)[0, 0]) == pytest.approx(0.5 + slope)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "float64"])
@pytest.mark.parametrize("name", QUANTIZED)
def test_other_precisions(name: str, policy: str) -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        shape, make = QUANTIZED[name]
        layer, x = make(), RNG.normal(size=(4, *shape))
        for training in (False, True):
            y = layer(x, training=training)
            assert y.dtype.name == keras.config.dtype_policy().compute_dtype
            assert numpy.isfinite(numpy.asarray(y, "float32")).all()
    finally:
        keras.config.set_dtype_policy(before)
