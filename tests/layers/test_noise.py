"""qnoise_factor: set on a layer's quantizer, and by a schedule while a model trains."""

from __future__ import annotations

from typing import Any

import keras
import numpy
import pytest

import qsearch
from qsearch import layers
from qsearch.errors import ConfigError

CHANGING = "quantized_bits(2,0,1,alpha=1.0,use_variables=True)"
X = numpy.random.default_rng(0).normal(size=(8, 4)).astype("float32")


def test_a_layers_quantizer_is_the_one_in_use() -> None:
    """Also where the layer made one of its own from it: alpha None is 'auto_po2' there."""
    layer = layers.QDense(3, kernel_quantizer="quantized_bits(2,0,1,use_variables=True)")
    layer.build((None, 4))
    layer.kernel_quantizer.update_qnoise_factor(qnoise_factor=0.0)
    numpy.testing.assert_allclose(layer(X), X @ layer.kernel.numpy(), rtol=1e-5, atol=1e-6)
    layer.kernel_quantizer.update_qnoise_factor(1.0)
    assert numpy.abs(layer(X) - X @ layer.kernel.numpy()).max() > 0.01


def test_a_norms_quantizer_too() -> None:
    parts: dict[str, Any] = dict.fromkeys([f"{part}_quantizer" for part in ("beta", "mean", "variance")])
    layer = layers.QBatchNormalization(gamma_quantizer="quantized_bits(2,0,1,use_variables=True)", **parts)
    layer.build((None, 4))
    layer.gamma.assign([0.3, 0.4, 0.5, 0.6])
    layer.gamma_quantizer.update_qnoise_factor(0.0)
    float_norm = keras.layers.BatchNormalization()
    float_norm.build((None, 4))
    float_norm.gamma.assign(layer.gamma)
    numpy.testing.assert_allclose(layer(X), float_norm(X), rtol=1e-5, atol=1e-6)


def test_the_schedule() -> None:
    """Values that qkeras-v3 computes."""
    schedule = qsearch.QNoiseScheduler(2, 6)
    assert [schedule.factor(time) for time in range(8)] == [0.0, 0.0, 0.0, 0.578125, 0.875, 0.984375, 1.0, 1.0]
    assert [qsearch.QNoiseScheduler(2, 2).factor(time) for time in range(4)] == [0.0, 0.0, 1.0, 1.0]
    assert qsearch.QNoiseScheduler(0, 10, exponent=1.0).factor(3) == pytest.approx(0.3)


class Seen(keras.callbacks.Callback):
    """The factor that each batch is trained with."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer
        self.factors: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.factors.append(float(self.layer.kernel_quantizer.noise()))


@pytest.mark.parametrize(
    ("kind", "every", "expected"),
    [
        ("epoch", 1, [0.0, 0.0, 0.5, 0.5, 1.0, 1.0]),
        ("step", 1, [0.0, 0.5, 1.0, 1.0, 1.0, 1.0]),
        ("step", 4, [0.0, 0.0, 0.0, 0.0, 1.0, 1.0]),
    ],
)
def test_in_training(kind: str, every: int, expected: list[float]) -> None:
    relu = "quantized_relu(3,1,use_variables=True)"
    model = keras.Sequential([keras.Input((4,)), layers.QDense(2, relu, kernel_quantizer=CHANGING)])
    model.compile("sgd", "mse")
    seen = Seen(model.layers[0])
    schedule = qsearch.QNoiseScheduler(0, 2, kind, every, exponent=1.0)
    model.fit(X, X[:, :2], batch_size=4, epochs=3, verbose=0, callbacks=[schedule, seen])
    assert seen.factors == expected
    assert len(schedule.quantizers) == 2


def test_quantizers_that_were_made_without_a_variable() -> None:
    """Also after the model was compiled and trained with their constant."""
    relu = layers.QActivation("quantized_relu(3,1)")
    dense = layers.QDense(2, kernel_quantizer="quantized_bits(2,0,1)", bias_quantizer="quantized_bits(4,0,1)")
    model = keras.Sequential([keras.Input((4,)), dense, relu])
    model.compile("sgd", "mse")
    train: dict[str, Any] = {"batch_size": 4, "epochs": 1, "verbose": 0}
    model.fit(X, X[:, :2], **train)
    before = model.get_config()
    schedule = qsearch.QNoiseScheduler(5, 6)
    model.fit(X, X[:, :2], callbacks=[schedule], **train)
    assert len(schedule.quantizers) == 3
    assert [float(one.qnoise_factor) for one in schedule.quantizers] == [0.0] * 3
    floats = numpy.maximum(X @ dense.kernel.numpy() + dense.bias.numpy(), 0.0)
    numpy.testing.assert_allclose(model.predict(X, verbose=0), numpy.minimum(floats, 1.75), atol=1e-6)
    model.fit(X, X[:, :2], callbacks=[qsearch.QNoiseScheduler(0, 0)], **train)
    assert [float(one.qnoise_factor) for one in schedule.quantizers] == [1.0] * 3
    assert model.get_config() == before


def test_messages() -> None:
    with pytest.raises(
        ConfigError, match=r"freq_type: found 'steps', allowed: 'epoch', 'step', did you mean 'step'\?|step"
    ):
        qsearch.QNoiseScheduler(0, 2, "steps")
    with pytest.raises(ConfigError, match="expected finish >= start and update_freq >= 1"):
        qsearch.QNoiseScheduler(3, 2)
    model = keras.Sequential([keras.Input((4,)), layers.QDense(2, kernel_quantizer="binary")])
    model.compile("sgd", "mse")
    with pytest.raises(ConfigError, match="no quantizer of the model has a qnoise_factor"):
        model.fit(X, X[:, :2], verbose=0, callbacks=[qsearch.QNoiseScheduler(0, 2)])
    model = keras.Sequential([keras.Input((4,)), layers.QDense(2, kernel_quantizer=CHANGING)])
    model.compile("sgd", "mse")
    with pytest.raises(ConfigError, match=r"use_ste: found False, but the model has quantized_bits\(2"):
        model.fit(X, X[:, :2], verbose=0, callbacks=[qsearch.QNoiseScheduler(0, 2, use_ste=False)])
