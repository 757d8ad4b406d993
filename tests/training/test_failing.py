"""Training that fails, and data that fail in it: whose fault it is, is told in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy
import pytest
import tensorflow

from qsearch.config.chosen import Chosen
from qsearch.config.optimizers import OptimizerConfig
from qsearch.datasets import Dataset, Split
from qsearch.datasets.layout import Head, Layout
from qsearch.datasets.pipeline import Pipeline, pipeline_of
from qsearch.datasets.streams import TensorStream
from qsearch.errors import ConfigError, DatasetError, ModelError, raised_here
from qsearch.goal.target import Target
from qsearch.training.fit import Recipe, train
from qsearch.training.losses import Output
from qsearch.training.objective import Objective
from qsearch.training.whole_set import WholeSet

X = numpy.random.default_rng(0).normal(size=(32, 4)).astype("float32")
Y = X[:, :3].argmax(axis=1)
SPLIT = Split(X, Y)
LOSS = Chosen("sparse_categorical_crossentropy")
OBJECTIVE = Objective(loss=LOSS, metrics=(Chosen("acc"),), output=Output(LOSS, (3,)))
LAYOUT = Layout("net", {"in": (4,)}, (Head(name="out", shape=(3,), labels="classes"),))


class Failing(keras.Model):  # type: ignore[misc]
    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        raise KeyError("no such loss")


def network(kind: type[keras.Model] = keras.Model) -> keras.Model:
    inputs = keras.Input((4,), name="in")
    return kind(inputs, keras.layers.Dense(3, activation="softmax", name="out")(inputs), name="net")


def trained(model: keras.Model, data: Dataset) -> None:
    recipe = Recipe(optimizer=OptimizerConfig(), objective=OBJECTIVE, target=Target("val_acc"), epochs=3, batch_size=8)
    train(model, data, recipe, 0, lambda *each: None)


def test_a_train_step_of_ones_own() -> None:
    with pytest.raises(ModelError, match=r"^net: training fails with KeyError: 'no such loss' \(test_failing\.py:\d+"):
        trained(network(Failing), Dataset("rows", SPLIT, SPLIT))


def test_an_error_of_ours_stays_one() -> None:
    with pytest.raises(ConfigError) as caught:
        OBJECTIVE.target({})
    assert raised_here(caught.value)
    with pytest.raises(ValueError, match="int") as foreign:
        int("a")
    assert not raised_here(foreign.value)


def tensors(batches: Callable[[], Any]) -> Pipeline:
    kinds = (tensorflow.float32, tensorflow.int64)
    return pipeline_of(
        TensorStream(tensorflow.data.Dataset.from_generator(batches, output_types=kinds)), LAYOUT, None, "train", "key"
    )


@pytest.mark.parametrize("left", [0, 1])
def test_tensors_that_get_fewer(left: int) -> None:
    readings: list[int] = []

    def batches() -> Any:
        readings.append(0)
        for start in range(0, 32 if len(readings) < 4 else 8 * left, 8):
            yield X[start : start + 8], Y[start : start + 8]

    message = rf"^rows: had 4 batches when it was read first, and {left} in a later epoch; give as many in every epoch"
    with pytest.raises(DatasetError, match=message):
        trained(network(), Dataset("rows", tensors(batches), SPLIT))


def test_a_metric_that_exits() -> None:
    def leaving(y_true: Any, y_pred: Any) -> float:
        raise SystemExit(3)

    with pytest.raises(ConfigError, match=r"^leaving fails on all labels .*: SystemExit: 3"):
        WholeSet({"leaving": leaving}, {"leaving": ()}).values(network(), SPLIT, 8)


class Narrow(keras.layers.Layer):  # type: ignore[misc]
    """Fails in training alone, as a quantizer does that does not fit."""

    def __init__(self, error: Exception) -> None:
        super().__init__(name="narrow")
        self.error = error

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if training:
            raise self.error
        return inputs


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConfigError("no multiple of 4"), "training fails in layer narrow (Narrow): no multiple of 4"),
        (MemoryError(), "training fails in layer narrow (Narrow) with MemoryError"),
        (KeyError("no such key"), "training fails in layer narrow (Narrow) with KeyError: no such key"),
    ],
)
def test_what_a_layer_fails_with_is_kept(error: Exception, told: str) -> None:
    inputs = keras.Input((4,), name="in")
    outputs = keras.layers.Dense(3, activation="softmax", name="out")(Narrow(error)(inputs))
    with pytest.raises(ModelError) as caught:
        trained(keras.Model(inputs, outputs, name="net"), Dataset("rows", SPLIT, SPLIT))
    assert str(caught.value).startswith(f"net: {told}")
    assert "\n" not in str(caught.value)
