"""The literal names of the configuration against what they name."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy
import pytest

from qsearch.config import names
from qsearch.config.chosen import Chosen
from qsearch.config.keras_options import LOSS_CLASSES, METRIC_CLASSES, SHORT, KerasClass
from qsearch.config.optimizers import OptimizerConfig
from qsearch.config.schema import RunConfig
from qsearch.config.search_modes import SEARCH_MODES
from qsearch.datasets import DATASETS
from qsearch.energy.process import PROCESSES
from qsearch.hardware.targets import TARGETS
from qsearch.layers.table import QUANTIZED_CLASSES
from qsearch.models import MODELS
from qsearch.quantize.apply import can_quantize
from qsearch.quantizers.formats import SOURCE_FORMATS
from qsearch.search.modes import PROPOSERS
from qsearch.training.losses import Output
from qsearch.training.objective import Objective


def test_registries() -> None:
    assert set(names.DATASETS) == set(DATASETS)
    assert set(names.MODELS) == set(MODELS)
    assert set(names.PROCESSES) == set(PROCESSES)
    assert set(names.NUMBER_TYPES) == set(SOURCE_FORMATS)
    assert set(names.TARGETS) == set(TARGETS)
    assert set(SEARCH_MODES) == set(PROPOSERS)
    assert {option for mode in SEARCH_MODES.values() for option in mode.options} <= set(RunConfig.model_fields)


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
    assert set(QUANTIZED_CLASSES) == set(made)
    assert all(can_quantize(layer) for layer in made.values())
    for name in names.LIMIT_CLASSES:
        assert hasattr(keras.layers, name)


REQUIRED = {
    "iou": {"num_classes": 3, "target_class_ids": [0], "sparse_y_true": False, "sparse_y_pred": False},
    "mean_iou": {"num_classes": 3, "sparse_y_true": False, "sparse_y_pred": False},
    "one_hot_iou": {"num_classes": 3, "target_class_ids": [0]},
    "one_hot_mean_iou": {"num_classes": 3},
    "precision_at_recall": {"recall": 0.9},
    "recall_at_precision": {"precision": 0.9},
    "sensitivity_at_specificity": {"specificity": 0.9},
    "specificity_at_sensitivity": {"sensitivity": 0.9},
    "false_positives": {"thresholds": 0.3},
    "false_negatives": {"thresholds": 0.3},
    "true_negatives": {"thresholds": 0.3},
    "top_k_categorical_accuracy": {"k": 1},
    "sparse_top_k_categorical_accuracy": {"k": 1},
}


@pytest.mark.parametrize("name", [name for name in names.METRICS if name != "loss"])
def test_the_right_answer_reaches_the_best_value_of_a_metric(name: str) -> None:
    direction, limit = names.METRICS[name]
    model = keras.Sequential([keras.Input((3,)), keras.layers.Identity()])
    metric = Chosen(name, REQUIRED.get(name, {}))
    objective = Objective(loss=Chosen("mse"), metrics=(metric,), output=Output(Chosen("mse"), (3,)))
    model.compile(**objective.compiled())
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
    if limit is not None:
        assert found["right"] == pytest.approx(limit, abs=1e-5)
    assert found["right"] > found["wrong"] if direction == "max" else found["right"] < found["wrong"]


@pytest.mark.parametrize(
    ("classes", "module"), [(LOSS_CLASSES, keras.losses), (METRIC_CLASSES, keras.metrics)], ids=["losses", "metrics"]
)
def test_options_are_those_of_the_classes(classes: dict[str, KerasClass], module: Any) -> None:
    for name, known in classes.items():
        parameters = set(inspect.signature(getattr(module, known.class_name)).parameters) - {"name", "dtype"}
        own = {"label_smoothing"} if (name, module) == ("sparse_categorical_crossentropy", keras.losses) else set()
        assert set(known.options) == parameters | own, name
    without = {"loss"} if module is keras.metrics else set()
    listed = names.METRICS if module is keras.metrics else names.LOSSES
    assert {SHORT.get(name, name) for name in listed} - without == set(classes)


def test_every_metric_of_keras_is_known() -> None:
    made = {
        name
        for name, found in vars(keras.metrics).items()
        if isinstance(found, type) and issubclass(found, keras.metrics.Metric)
    }
    without = {"Metric", "Mean", "Sum", "MeanMetricWrapper"}  # of single numbers, not of labels and outputs
    assert made - without == {known.class_name for known in METRIC_CLASSES.values()}


@pytest.mark.parametrize("name", names.LOSSES)
def test_losses(name: str) -> None:
    assert callable(keras.losses.get(name))


@pytest.mark.parametrize("name", names.OPTIMIZERS)
def test_optimizers_take_their_options(name: str) -> None:
    values: dict[str, Any] = {
        "nesterov": True,
        "amsgrad": True,
        "centered": True,
        "use_ema": True,
        "relative_step": True,
    }
    values |= {"gradient_accumulation_steps": 2, "ema_overwrite_frequency": 3, "beta_2_decay": -0.5}
    for option in names.OPTIMIZERS[name]:
        more = {"use_ema": True} if option.startswith("ema_") else {}
        config = OptimizerConfig(name=name, **{option: values.get(option, 0.5)}, **more)
        optimizer = keras.optimizers.get({"class_name": name, "config": config.options()})
        assert optimizer.get_config()[option] == pytest.approx(values.get(option, 0.5))
