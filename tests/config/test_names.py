"""The literal names of the configuration against what they name."""

from __future__ import annotations

import keras
import numpy
import pytest

from qsearch.config import names
from qsearch.datasets import DATASETS
from qsearch.energy.process import PROCESSES
from qsearch.models import MODELS
from qsearch.quantize.apply import can_quantize
from qsearch.quantizers.formats import SOURCE_FORMATS
from qsearch.search.oracle import MODES


def test_registries() -> None:
    assert set(names.DATASETS) == set(DATASETS)
    assert set(names.MODELS) == set(MODELS)
    assert set(names.PROCESSES) == set(PROCESSES)
    assert set(names.NUMBER_TYPES) == set(SOURCE_FORMATS)
    assert set(names.MODES) == set(MODES)


def test_layer_classes() -> None:
    made = {
        "Dense": keras.layers.Dense(1),
        "Conv1D": keras.layers.Conv1D(1, 1),
        "Conv2D": keras.layers.Conv2D(1, 1),
        "Conv2DTranspose": keras.layers.Conv2DTranspose(1, 1),
        "SeparableConv1D": keras.layers.SeparableConv1D(1, 1),
        "SeparableConv2D": keras.layers.SeparableConv2D(1, 1),
        "DepthwiseConv2D": keras.layers.DepthwiseConv2D(1),
        "SimpleRNN": keras.layers.SimpleRNN(1),
        "LSTM": keras.layers.LSTM(1),
        "GRU": keras.layers.GRU(1),
        "Activation": keras.layers.Activation("relu"),
        "BatchNormalization": keras.layers.BatchNormalization(),
    }
    assert set(names.QUANTIZED_CLASSES) == set(made)
    assert all(can_quantize(layer) for layer in made.values())
    for name in names.LIMIT_CLASSES:
        assert hasattr(keras.layers, name)


@pytest.mark.parametrize("name", [name for name in names.METRICS if name != "loss"])
def test_the_right_answer_reaches_the_best_value_of_a_metric(name: str) -> None:
    direction, limit = names.METRICS[name]
    model = keras.Sequential([keras.Input((3,)), keras.layers.Identity()])
    model.compile(loss="mse", metrics=[name])
    eye = numpy.eye(3, dtype="float32")
    labels = numpy.arange(3) if name.startswith("sparse") else -1 + 2 * eye if "hinge" in name else eye
    if name == "categorical_hinge":
        labels = eye
    right = 2 * eye if name == "categorical_hinge" else -1 + 2 * eye if "hinge" in name else eye
    wrong = numpy.array([[0.5, 0.4, 0.1], [0.7, 0.2, 0.1], [0.2, 0.7, 0.1]], dtype="float32")
    found = {
        what: model.evaluate(x, labels, verbose=0, return_dict=True)[name]
        for what, x in (("right", right), ("wrong", wrong))
    }
    assert found["right"] == pytest.approx(limit, abs=1e-5)
    if not name.endswith("top_k_categorical_accuracy"):  # among three classes the first five are always right
        assert found["right"] > found["wrong"] if direction == "max" else found["right"] < found["wrong"]


@pytest.mark.parametrize("name", names.LOSSES)
def test_losses(name: str) -> None:
    assert callable(keras.losses.get(name))


@pytest.mark.parametrize("name", names.OPTIMIZERS)
def test_optimizers_take_their_options(name: str) -> None:
    values = {"nesterov": True, "amsgrad": True, "centered": True}
    for option in names.OPTIMIZERS[name]:
        optimizer = keras.optimizers.get({"class_name": name, "config": {option: values.get(option, 0.5)}})
        assert optimizer.get_config()[option] == pytest.approx(values.get(option, 0.5))
