"""Batch normalization and a quantizer as thresholds of channels: Keras' float32, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy
import pytest
from integer_layers import KERNEL, layers, weighted

import qsearch
from qsearch import layers as q
from qsearch.errors import ConfigError, ExportError
from qsearch.hardware.integer.build import integer_model
from qsearch.hardware.integer.channel_steps import channel_rule
from qsearch.hardware.integer.compare import compare, extremes
from qsearch.hardware.integer.formats import Format
from qsearch.hardware.integer.linear import norm_step
from qsearch.hardware.integer.norm_fit import fitted
from qsearch.hardware.integer.operations import ChannelThresholds, Scale
from qsearch.hardware.integer.steps import rule_of
from qsearch.hardware.public import verify_export

FLOATS: dict[str, Any] = dict.fromkeys(
    ("beta_quantizer", "gamma_quantizer", "mean_quantizer", "variance_quantizer"), None
)


def image(norm: Callable[[], Any] = layers.BatchNormalization, activation: str = "quantized_relu(4,2)") -> keras.Model:
    inputs = keras.Input((6, 5, 2))
    x = q.QActivation(activation)(norm()(q.QConv2D(5, 3, **KERNEL)(inputs)))
    x = q.QActivation("quantized_bits(4,1,1)")(norm()(q.QDense(4, **KERNEL)(layers.Flatten()(x))))
    return keras.Model(inputs, q.QDense(3, **KERNEL)(x))


def sequence() -> keras.Model:
    inputs = keras.Input((7, 3))
    x = q.QActivation("ternary(alpha=1)")(layers.BatchNormalization()(q.QConv1D(4, 3, **KERNEL)(inputs)))
    return keras.Model(inputs, layers.Reshape((-1,))(x))


def negative(model: keras.Model) -> keras.Model:
    """Half of the channels fall, and one is dead."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma = numpy.asarray(layer.gamma).copy()
            gamma[::2] *= -1
            gamma[1] = 0
            layer.gamma.assign(gamma)
    return model


NETWORKS: dict[str, Callable[[], keras.Model]] = {
    "plain": image,
    "fused": lambda: image(lambda: q.QBatchNormalization(**FLOATS)),
    "quantized": lambda: image(q.QBatchNormalization),
    "tanh": lambda: image(activation="quantized_tanh(4)"),
    "powers of two": lambda: image(activation="quantized_relu_po2(3,2)"),
    "binary": lambda: image(activation="binary(alpha=1)"),
    "sequence": sequence,
}


def normalized(channels: int, rank: int, seed: int, activation: str) -> tuple[Callable[[Any], Any], Any]:
    """(a normalization and a quantizer behind it, the normalization)."""
    random = numpy.random.default_rng(seed)
    layer = layers.BatchNormalization()
    layer.build((None, *(1,) * (rank - 2), channels))
    for variable in (layer.gamma, layer.beta, layer.moving_mean):
        variable.assign(random.normal(size=channels))
    layer.moving_variance.assign(random.uniform(0.5, 900, channels))
    quantizer = qsearch.quantizers.get(activation)

    def function(x: Any) -> Any:
        rows = keras.ops.reshape(x, (-1, *(1,) * (rank - 2), channels))
        return keras.ops.reshape(quantizer(layer(rows, training=False)), x.shape)

    return function, layer


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("seed", [0, 1])
def test_networks(network: Any, seed: int) -> None:
    model = negative(weighted(network(), seed))
    integers = integer_model(model, norms="thresholds")
    kinds = [type(step.operation) for step in integers.steps]
    assert ChannelThresholds in kinds
    assert Scale not in kinds
    assert not any("normalization" in name for name in integers.inexact)
    assert sum(compare(model, integers, extremes(integers, 100)).keras_mismatches.values()) == 0


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("seed", [0, 1])
def test_products_of_few_bits(network: Any, seed: int) -> None:
    """Where Keras' own factors have 24 bits, a few give the same levels."""
    model = negative(weighted(network(), seed))
    integers = integer_model(model)
    scales = [step.operation for step in integers.steps if isinstance(step.operation, Scale)]
    assert scales
    assert max(int(numpy.abs(scale.multiplier).max()) for scale in scales) < 1 << 34
    assert sum(compare(model, integers, extremes(integers, 300)).keras_mismatches.values()) == 0


@pytest.mark.parametrize("rank", [2, 4])
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("activation", ["quantized_bits(6,2,1)", "quantized_relu(4,2,rounding='half_away')"])
def test_a_product_gives_every_code_of_every_channel(activation: str, seed: int, rank: int) -> None:
    function, layer = normalized(128, rank, seed, activation)
    form = Format(fraction=6, least=-9000, greatest=9000)
    wanted = channel_rule(function, 128, form)
    assert wanted is not None
    exact = norm_step("norm", layer, form)
    quantizer = qsearch.quantizers.get(activation)

    scale, sums = fitted(exact, lambda given: rule_of("quantized", quantizer, given), wanted, form)

    assert sums.bits < exact[1].bits
    codes = numpy.repeat(numpy.arange(form.least, form.greatest + 1)[:, None], 128, axis=1)
    rule, levels = rule_of("quantized", quantizer, sums)
    values = levels.values(rule(scale(codes))).astype("float32")
    assert numpy.array_equal(values, numpy.asarray(function(form.values(codes).astype("float32"))))


def test_a_product_stays_where_no_other_fits() -> None:
    """A quantizer that falls."""
    form = Format(fraction=0, least=-100, greatest=100)
    scale = Scale(numpy.array([3 << 24]), None)
    sums = Format(fraction=24, least=-300 << 24, greatest=300 << 24)
    wanted = channel_rule(lambda x: -numpy.round(x * 3 / 100), 1, form)
    assert wanted is not None

    def falls(given: Format) -> Any:
        return rule_of("quantized", lambda x: -numpy.round(x / 100), given)

    assert fitted((scale, sums), falls, wanted, form) == (scale, sums)


@pytest.mark.parametrize("rank", [2, 4])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_code_of_every_channel(seed: int, rank: int) -> None:
    """Where exact integers tip a level that Keras' float32 does not, thresholds do not."""
    channels = 128
    function, _ = normalized(channels, rank, seed, "quantized_bits(6,2,1)")
    form = Format(fraction=6, least=-9000, greatest=9000)
    made = channel_rule(function, channels, form)
    assert made is not None
    codes = numpy.repeat(numpy.arange(form.least, form.greatest + 1)[:, None], channels, axis=1)
    wanted = numpy.asarray(function(form.values(codes).astype("float32")))
    assert numpy.array_equal(made[1].values(made[0](codes)).astype("float32"), wanted)


def test_a_function_that_falls_and_rises_has_none() -> None:
    form = Format(fraction=0, least=-100, greatest=100)
    assert channel_rule(lambda x: numpy.abs(numpy.round(x / 10)), 3, form) is None
    assert channel_rule(lambda x: x, 3, Format(fraction=0, least=-1000, greatest=1000)) is None


def test_where_there_are_no_thresholds_there_is_a_product() -> None:
    model = weighted(image(activation="quantized_bits(12,3,1)"))
    kinds = [type(step.operation) for step in integer_model(model, norms="thresholds").steps]
    assert kinds.count(Scale) == 1
    assert kinds.count(ChannelThresholds) == 1


def test_a_norm_that_something_else_reads_stays_a_product() -> None:
    inputs = keras.Input((4,))
    x = layers.BatchNormalization()(q.QDense(4, **KERNEL)(inputs))
    x = layers.Add()([q.QActivation("quantized_bits(4,1,1)")(x), x])
    integers = integer_model(weighted(keras.Model(inputs, x)), norms="thresholds")
    assert Scale in [type(step.operation) for step in integers.steps]


@pytest.mark.extras
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize(
    ("target", "package"), [("codes", "numpy"), ("c", "numpy"), ("onnx", "onnx"), ("qonnx", "qonnx")]
)
def test_targets(network: Any, target: str, package: str, tmp_path: Path) -> None:
    pytest.importorskip(package, reason="not installed")
    model = negative(weighted(network(), 1))
    found = qsearch.export(model, target, tmp_path / "out", norms="thresholds")
    assert sum(found.comparison.keras_mismatches.values()) == 0
    again = verify_export(model, tmp_path / "out")
    assert any(isinstance(step.operation, ChannelThresholds) for step in again.model.steps)


@pytest.mark.extras
def test_hls4ml_refuses_them(tmp_path: Path) -> None:
    pytest.importorskip("hls4ml", reason="not installed")
    with pytest.raises(ExportError, match="hls4ml has no thresholds of channels; export with norms='scale'"):
        qsearch.export(weighted(image()), "hls4ml", tmp_path / "out", norms="thresholds")


def test_other_words() -> None:
    with pytest.raises(
        ConfigError, match="norms: 'treshold'; did you mean 'thresholds'\\?; allowed: scale, thresholds"
    ):
        integer_model(weighted(image()), norms="treshold")
