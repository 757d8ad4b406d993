"""The literal names of the configuration against what they name."""

from __future__ import annotations

import keras
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
        "Activation": keras.layers.Activation("relu"),
        "BatchNormalization": keras.layers.BatchNormalization(),
    }
    assert set(names.QUANTIZED_CLASSES) == set(made)
    assert all(can_quantize(layer) for layer in made.values())
    for name in names.LATER_CLASSES:
        assert hasattr(keras.layers, name)


@pytest.mark.parametrize("name", names.METRICS)
def test_metrics_are_maximised_by_the_right_answer(name: str) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Softmax()])
    model.compile(loss="categorical_crossentropy", metrics=[name])
    eye = keras.ops.eye(3)
    right = model.evaluate(10 * eye, eye, verbose=0, return_dict=True)[name]
    assert right == 1.0


@pytest.mark.parametrize("name", names.LOSSES)
def test_losses(name: str) -> None:
    assert callable(keras.losses.get(name))


@pytest.mark.parametrize("name", names.OPTIMIZERS)
def test_optimizers_take_their_options(name: str) -> None:
    values = {"nesterov": True, "amsgrad": True, "centered": True}
    for option in names.OPTIMIZERS[name]:
        optimizer = keras.optimizers.get({"class_name": name, "config": {option: values.get(option, 0.5)}})
        assert optimizer.get_config()[option] == pytest.approx(values.get(option, 0.5))
