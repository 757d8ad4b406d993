"""Batch statistics taken anew: means of the batches' moments in every layer that averages, and nothing else moves."""

from __future__ import annotations

import keras
import numpy
import pytest

from qsearch.datasets.dataset import Split
from qsearch.layers import QDenseBatchnorm
from qsearch.training.statistics import Calibrator, calibration_batches, loss_of_one_answer


def data(samples: int = 600) -> Split:
    rng = numpy.random.default_rng(3)
    x = rng.normal(2.0, 3.0, (samples, 6)).astype("float32")
    return Split(x, rng.normal(size=(samples, 1)).astype("float32"))


@pytest.mark.parametrize("traced", [True, False])
@pytest.mark.parametrize("frozen", [True, False])
def test_averages_are_means_of_moments_and_nothing_else_moves(traced: bool, frozen: bool) -> None:
    norm = keras.layers.BatchNormalization(momentum=0.5, name="norm")
    model = keras.Sequential([keras.Input((6,)), norm, keras.layers.Dropout(0.5), keras.layers.Dense(1)])
    norm.trainable = not frozen
    model.compile(loss="mse")
    batches = calibration_batches(data(), 512, 0)
    before = [one.numpy() for one in model.variables]
    calibrate = Calibrator(model, traced)
    first = calibrate(batches)
    assert calibrate(batches) == first  # dropout draws nothing, and what was averaged before is forgotten
    assert norm.momentum == 0.5
    moments = [(x.numpy().mean(0), x.numpy().var(0)) for x, _ in batches]
    for index, average in enumerate((norm.moving_mean, norm.moving_variance)):
        own = numpy.mean([one[index] for one in moments], axis=0)
        numpy.testing.assert_allclose(average, numpy.full(6, float(index)) if frozen else own, rtol=1e-4)
    for variable, value in zip(model.variables, before, strict=True):
        assert "moving" in variable.path or numpy.array_equal(variable, value)


def test_the_loss_is_the_one_with_the_moments_of_each_batch() -> None:
    model = keras.Sequential([keras.Input((6,)), keras.layers.BatchNormalization(), keras.layers.Dense(1)])
    model.compile(loss="mse")
    batches = calibration_batches(data(), 512, 0)
    found = Calibrator(model)(batches)
    expected = [float(numpy.mean((model(x, training=True).numpy() - y.numpy()) ** 2)) for x, y in batches]
    assert found == pytest.approx(numpy.mean(expected), rel=1e-5)


def test_folded_normalizations_follow_too() -> None:
    folded = QDenseBatchnorm(4, kernel_quantizer="quantized_bits(8,2,1)", ema_freeze_delay=10)
    model = keras.Sequential([keras.Input((6,)), folded])
    batches = calibration_batches(data(), 512, 0)
    norm, count = dict(folded.norm), int(folded.iteration)
    Calibrator(model, with_loss=False)(batches)
    z = [x.numpy() @ folded.kernel.numpy() for x, _ in batches]
    numpy.testing.assert_allclose(folded.moving_mean, numpy.mean([one.mean(0) for one in z], axis=0), rtol=1e-4)
    assert dict(folded.norm) == norm and int(folded.iteration) == count


def test_the_loss_were_all_answers_their_mean() -> None:
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    batches = calibration_batches(data(), 512, 0)
    mean = numpy.concatenate([model(x).numpy() for x, _ in batches]).mean()
    expected = numpy.mean([numpy.mean((mean - y.numpy()) ** 2) for _, y in batches])
    assert loss_of_one_answer(model, batches) == pytest.approx(expected, rel=1e-5)
