"""Q layers in models: saving, training, plans."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy
import pytest

from qsearch.errors import ConfigError
from qsearch.layers import QActivation, QBatchNormalization, QConv2D, QDense, QDepthwiseConv2D
from qsearch.layers.constraints import QInitializer
from qsearch.plan import LayerPlan, Role
from qsearch.quantizers import parse

BITS = "quantized_bits(4,0,1,alpha=1.0)"
FLOAT: dict[str, Any] = dict.fromkeys([f"{part}_quantizer" for part in ("beta", "gamma", "mean", "variance")])


def every_layer() -> keras.Model:
    inputs = keras.Input((8, 8, 2))
    x = QConv2D(6, 3, kernel_quantizer="stochastic_ternary", bias_quantizer="quantized_po2(4,8)", name="c")(inputs)
    x = QBatchNormalization(name="bn")(x)
    x = QActivation("quantized_relu(4,2)", name="a")(x)
    x = QDepthwiseConv2D(3, depthwise_quantizer="quantized_po2(4,1)", activation="quantized_tanh(5)", name="dw")(x)
    x = QBatchNormalization(**FLOAT, name="bn_float")(x)
    x = QActivation("stochastic_binary", name="b")(x)
    x = keras.layers.Flatten()(x)
    x = QDense(5, kernel_quantizer=BITS, bias_quantizer="quantized_bits(8,3,1)", activation="softmax", name="d")(x)
    return keras.Model(inputs, x)


def trained() -> tuple[keras.Model, numpy.ndarray]:
    keras.utils.set_random_seed(0)
    model = every_layer()
    model.compile("adam", "categorical_crossentropy")
    random = numpy.random.default_rng(0)
    x = random.normal(size=(64, 8, 8, 2)).astype("float32")
    history = model.fit(x, numpy.eye(5)[random.integers(0, 5, 64)], epochs=3, verbose=0).history["loss"]
    assert numpy.isfinite(history).all()
    return model, x


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_saved_model_gives_identical_outputs_in_a_new_process(tmp_path: Path, ending: str) -> None:
    model, x = trained()
    path = tmp_path / f"model.{ending}"
    model.save(path)
    numpy.savez(tmp_path / "data.npz", x=x, y=model.predict(x, verbose=0))
    program = (
        f"import numpy, qsearch\ndata = numpy.load({str(tmp_path / 'data.npz')!r})\n"
        f"y = qsearch.load_model({str(path)!r}).predict(data['x'], verbose=0)\nprint(abs(y - data['y']).max())\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True)
    assert float(done.stdout) == 0.0


def test_training_keeps_weights_within_reach_of_their_quantizers() -> None:
    model, _ = trained()
    assert numpy.abs(model.get_layer("d").kernel.numpy()).max() <= 1.0
    assert numpy.abs(model.get_layer("c").bias.numpy()).max() <= 8.0


def test_weights_stay_float_and_the_layer_computes_with_their_levels() -> None:
    layer = QDense(3, kernel_quantizer=BITS, use_bias=False)
    x = numpy.eye(4, dtype="float32")
    used = layer(x).numpy()
    assert not numpy.array_equal(used, layer.kernel.numpy())
    assert numpy.array_equal(used, numpy.round(used * 8) / 8)


def test_plans_tell_the_quantizers_as_given() -> None:
    model = every_layer()
    plans = {layer.name: layer.plan for layer in model.layers if hasattr(layer, "plan")}
    assert plans["c"] == LayerPlan({Role.KERNEL: parse("stochastic_ternary"), Role.BIAS: parse("quantized_po2(4,8)")})
    assert plans["dw"] == LayerPlan(
        {Role.KERNEL: parse("quantized_po2(4,1)"), Role.ACTIVATION: parse("quantized_tanh(5)")}
    )
    assert plans["d"].quantizers.keys() == {Role.KERNEL, Role.BIAS}
    assert plans["bn"].quantizers.keys() == {Role.GAMMA, Role.BETA, Role.MEAN, Role.VARIANCE}
    assert plans["bn_float"] == LayerPlan()


def test_without_quantizers_the_layers_are_keras() -> None:
    x = numpy.random.default_rng(3).normal(size=(4, 6, 6, 3)).astype("float32")
    pairs = [
        (QConv2D(4, 3, activation="relu"), keras.layers.Conv2D(4, 3, activation="relu")),
        (QDepthwiseConv2D(3, padding="same"), keras.layers.DepthwiseConv2D(3, padding="same")),
        (QDense(5, activation="tanh"), keras.layers.Dense(5, activation="tanh")),
        (QBatchNormalization(**FLOAT), keras.layers.BatchNormalization()),
    ]
    for ours, keras_layer in pairs:
        ours.build(x.shape)
        keras_layer.build(x.shape)
        keras_layer.set_weights(ours.get_weights())
        for training in (False, True):
            numpy.testing.assert_allclose(ours(x, training=training), keras_layer(x, training=training), atol=1e-6)


def test_a_users_initializer_and_constraint_are_kept() -> None:
    layer = QDense(3, kernel_quantizer=BITS, kernel_initializer="glorot_uniform", kernel_constraint="non_neg")
    assert isinstance(layer.kernel_constraint, keras.constraints.NonNeg)
    assert isinstance(layer.kernel_initializer, QInitializer)
    assert layer.get_config()["kernel_initializer"]["class_name"] == "GlorotUniform"
    assert layer.get_config()["kernel_constraint"]["class_name"] == "NonNeg"
    other = QDense.from_config({**layer.get_config(), "kernel_quantizer": "ternary"})
    assert isinstance(other.kernel_initializer, keras.initializers.GlorotUniform)


def test_a_coarse_quantizer_does_not_start_from_zeros() -> None:
    keras.utils.set_random_seed(0)
    coarse = "quantized_bits(2,1,1,alpha=1.0)"
    layer = QDense(50, kernel_quantizer=coarse)
    layer.build((None, 400))
    plain = keras.initializers.HeNormal(seed=0)((400, 50))
    share = [float(numpy.mean(numpy.abs(w) > 0.5)) for w in (layer.kernel.numpy(), plain)]
    assert share[1] == 0.0
    assert share[0] > 0.1


ROUNDING = "quantized_bits(3,0,1,alpha=1.0,use_stochastic_rounding=True)"
IMAGES = numpy.random.default_rng(5).uniform(-1.1, 1.1, size=(2, 6, 6, 3)).astype("float32")


def test_every_quantizer_of_a_layer_is_told_whether_it_trains() -> None:
    """A quantizer that samples gives away whether `training` reached it."""
    no_bias = {"use_bias": False}
    some_bias = {"bias_initializer": keras.initializers.RandomUniform(0.1, 0.2, seed=1)}
    layers = {
        "dense kernel": QDense(9, kernel_quantizer=ROUNDING, **no_bias),
        "dense bias": QDense(9, bias_quantizer=ROUNDING, **some_bias),
        "dense activation": QDense(9, activation=ROUNDING),
        "conv kernel": QConv2D(4, 3, kernel_quantizer=ROUNDING, **no_bias),
        "conv bias": QConv2D(9, 3, bias_quantizer=ROUNDING, **some_bias),
        "conv activation": QConv2D(4, 3, activation=ROUNDING),
        "depthwise kernel": QDepthwiseConv2D(3, depth_multiplier=3, depthwise_quantizer=ROUNDING, **no_bias),
        "depthwise bias": QDepthwiseConv2D(3, depth_multiplier=3, bias_quantizer=ROUNDING, **some_bias),
        "depthwise activation": QDepthwiseConv2D(3, activation=ROUNDING),
        "activation": QActivation(ROUNDING),
        "norm mean": QBatchNormalization(**{**FLOAT, "mean_quantizer": ROUNDING}),
        "norm variance": QBatchNormalization(**{**FLOAT, "variance_quantizer": ROUNDING}),
        "norm gamma": QBatchNormalization(
            **{**FLOAT, "gamma_quantizer": ROUNDING},
            gamma_initializer=keras.initializers.RandomUniform(0.1, 0.9, seed=1),
        ),
        "norm beta": QBatchNormalization(
            **{**FLOAT, "beta_quantizer": ROUNDING}, beta_initializer=keras.initializers.RandomUniform(0.1, 0.9, seed=1)
        ),
    }
    keras.utils.set_random_seed(2)
    for name, layer in layers.items():
        layer(IMAGES)
        if name.startswith("norm"):
            layer.moving_mean.assign([0.1, 0.2, 0.3])
        draws = {layer(IMAGES, training=True).numpy().tobytes() for _ in range(8)}
        assert len(draws) > 1, name
        assert len({layer(IMAGES, training=False).numpy().tobytes() for _ in range(3)}) == 1, name


def test_a_frozen_batch_norm_keeps_its_averages() -> None:
    layer = QBatchNormalization()
    layer.build(IMAGES.shape)
    layer.trainable = False
    before = layer.moving_mean.numpy().copy()
    assert numpy.array_equal(layer(IMAGES, training=True), layer(IMAGES, training=False))
    assert numpy.array_equal(layer.moving_mean.numpy(), before)
    layer.trainable = True
    layer(IMAGES, training=True)
    assert not numpy.array_equal(layer.moving_mean.numpy(), before)


def test_kernels_are_clipped_to_at_least_one() -> None:
    assert QDense(2, kernel_quantizer="quantized_tanh(2)").kernel_constraint.get_config() == {
        "min_value": -1.0,
        "max_value": 1.0,
    }
    assert QDense(2, kernel_quantizer="quantized_bits(4,2,alpha=1.0)").kernel_constraint.max_value == 4.0


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "mixed_float16", "mixed_bfloat16", "float64"])
def test_a_batch_norm_of_any_precision_is_close_to_float32(policy: str) -> None:
    x = numpy.random.default_rng(4).normal(size=(64, 3)).astype("float32")
    expected, layer = QBatchNormalization(), QBatchNormalization(dtype=policy)
    for training in (True, False):
        found = layer(x, training=training)
        assert found.dtype == layer.compute_dtype
        numpy.testing.assert_allclose(
            keras.ops.cast(found, "float32"), expected(x, training=training), rtol=0.02, atol=0.02
        )


def test_messages() -> None:
    with pytest.raises(ConfigError, match=r"activation: found 'quantised_relu.4.', .*did you mean 'quantized_relu'"):
        QDense(2, activation="quantised_relu(4)")
    with pytest.raises(ConfigError, match="expected a quantizer or a Keras activation; did you mean 'relu'"):
        QConv2D(2, 3, activation="relux")
    with pytest.raises(ConfigError, match=r"found 'quantised_relu\(4\)', .*did you mean 'quantized_relu'"):
        QActivation("quantised_relu(4)")
    with pytest.raises(ConfigError, match="activation is missing"):
        QActivation(None)
    with pytest.raises(ConfigError, match="inverse_quantizer needs gamma_quantizer=None"):
        QBatchNormalization(inverse_quantizer="quantized_bits(8)")
