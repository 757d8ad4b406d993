"""A step is traced once."""

from __future__ import annotations

from typing import Any

import keras
import numpy
import pytest
import tensorflow as tf

from qsearch.config.chosen import Chosen
from qsearch.config.optimizers import OptimizerConfig
from qsearch.datasets.dataset import Dataset, Split
from qsearch.goal.target import Target
from qsearch.training.first_trace import make_variables
from qsearch.training.fit import Recipe, compile_model, evaluate, train
from qsearch.training.objective import Objective, Output

RANDOM = numpy.random.default_rng(0)
X = RANDOM.normal(size=(53, 5)).astype("float32")
CLASSES, WEIGHT = RANDOM.integers(0, 3, 53), RANDOM.uniform(size=53)


class Traced(keras.layers.Layer):  # type: ignore[misc]
    """Counts how often a graph is made of it."""

    traces = 0

    def call(self, x: Any) -> Any:
        self.traces += tf.inside_function()
        return x


class OwnSteps(keras.Model):  # type: ignore[misc]
    def train_step(self, data: Any) -> Any:
        return super().train_step(data)


def network(heads: int = 1, kind: type[keras.Model] = keras.Model) -> keras.Model:
    keras.utils.set_random_seed(0)
    start = keras.Input((5,))
    x = keras.layers.Dense(4, activation="relu")(Traced(name="traced")(start))
    made = [keras.layers.Dense(3, activation="softmax", name=f"head_{head}")(x) for head in range(heads)]
    model = kind(start, made if heads > 1 else made[0])
    model.get_layer("traced").traces = 0  # Keras made a graph to find its shapes
    return model


def recipe() -> Recipe:
    loss = Chosen("sparse_categorical_crossentropy")
    return Recipe(
        optimizer=OptimizerConfig(),
        objective=Objective(loss=loss, metrics=(Chosen("acc"),), output=Output(loss, (3,))),
        target=Target("val_acc"),
        epochs=2,
        batch_size=8,
    )


@pytest.mark.parametrize("weights", [None, WEIGHT])
def test_a_step_is_traced_once(weights: Any) -> None:
    split = Split(X, CLASSES, weights)
    model = network()
    train(model, Dataset("rows", split, Split(X[:16], CLASSES[:16])), recipe(), 5, lambda *_: None)
    assert model.get_layer("traced").traces == 2  # of training, and of validation

    compile_model(model, recipe())
    model.get_layer("traced").traces = 0
    evaluate(model, split, recipe())
    assert model.get_layer("traced").traces == 1


def test_several_heads_are_traced_once() -> None:
    model, split = network(heads=2), Split(X, [CLASSES, CLASSES])
    model.compile("adam", ["sparse_categorical_crossentropy"] * 2, metrics=[["acc"], ["acc"]])
    make_variables(model, split, training=True)
    assert model.optimizer.built
    model.fit(X, [CLASSES, CLASSES], batch_size=53, verbose=0)
    assert model.get_layer("traced").traces == 1


def test_values_stay_as_they_are() -> None:
    model, other = network(), network()
    for one in (model, other):
        compile_model(one, recipe())
    make_variables(model, Split(X, CLASSES), training=True)
    assert {name: float(value) for name, value in model.get_metrics_result().items()} == {"loss": 0.0, "acc": 0.0}
    found, expected = (one.train_on_batch(X, CLASSES, return_dict=True) for one in (model, other))
    assert found == expected
    for mine, wanted in zip(model.get_weights(), other.get_weights(), strict=True):
        numpy.testing.assert_array_equal(mine, wanted)


def test_models_with_steps_of_their_own_are_left_to_them() -> None:
    model = network(kind=OwnSteps)
    compile_model(model, recipe())
    make_variables(model, Split(X, CLASSES), training=True)
    assert not model.optimizer.built


def test_a_metric_that_fails_is_told_of_the_step() -> None:
    def bad(y_true: Any, y_pred: Any) -> Any:
        raise ValueError("no such metric")

    model = network()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=[bad])
    make_variables(model, Split(X, CLASSES), training=True)
    with pytest.raises(ValueError, match="no such metric"):
        model.train_on_batch(X, CLASSES)
