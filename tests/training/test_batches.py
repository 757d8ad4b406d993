"""Samples in memory as batches, and many steps in one call."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy
import pytest

from qsearch.config.chosen import Chosen
from qsearch.config.optimizers import OptimizerConfig
from qsearch.datasets.dataset import Dataset, Split
from qsearch.goal.target import Target
from qsearch.training.batches import Feeds, TrainingBatches, take_steps
from qsearch.training.epochs import DivergedError
from qsearch.training.fit import Recipe, evaluate, train
from qsearch.training.objective import Objective, Output

RANDOM = numpy.random.default_rng(0)
X, Y = RANDOM.normal(size=(53, 5)).astype("float32"), RANDOM.integers(0, 3, 53)


def rows(batches: TrainingBatches, seed: int, epoch: int, calls: int = 1, epochs: int = 2) -> list[list[int]]:
    """The numbers of the samples of some epochs, as `fit` gets them."""
    found: list[list[int]] = []
    dataset = batches.arguments(seed, epoch, calls)["x"]
    if batches.steps % calls:
        for number in range(epochs):
            batches.on_epoch_begin(epoch + number)
            found.append([int(row) for x, *_ in dataset for row in x])
        return found
    iterator = iter(dataset)
    for _ in range(epochs):
        found.append([int(row) for _ in range(batches.steps) for row in next(iterator)[0]])
    return found


def numbered(samples: int = 53, batch_size: int = 8) -> TrainingBatches:
    steps = -(-samples // batch_size)
    return TrainingBatches((numpy.arange(samples), numpy.arange(samples) * 2), batch_size, steps)


def test_an_epoch_has_each_sample_once_in_an_order_of_its_own() -> None:
    batches = numbered()
    first, second = rows(batches, 1, 0)
    assert sorted(first) == sorted(second) == list(range(53))
    assert first != second
    assert rows(batches, 1, 0) == [first, second]
    assert rows(batches, 2, 0)[0] != first


@pytest.mark.parametrize("calls", [1, 7, 4])
def test_training_goes_on_with_the_epoch_that_comes_next(calls: int) -> None:
    first, second = rows(numbered(), 3, 0)
    assert rows(numbered(), 3, 1, calls, 1) == [second]
    assert rows(numbered(), 3, 0, calls, 2) == [first, second]


def test_batches_keep_the_structure_and_what_belongs_together() -> None:
    x = {"a": numpy.arange(10.0), "b": [numpy.arange(10), numpy.array([str(one) for one in range(10)])]}
    batches = TrainingBatches((x, numpy.arange(10), numpy.arange(10) / 2), 4, 3)
    (given, y, weights), *_ = list(batches.arguments(0, 0, 3)["x"].take(1))
    assert given["a"].dtype == "float32"
    numpy.testing.assert_array_equal(given["a"], y)
    numpy.testing.assert_array_equal(given["b"][0], y)
    assert [int(one) for one in given["b"][1].numpy()] == y.numpy().tolist()
    numpy.testing.assert_array_equal(weights * 2, y)


@pytest.mark.parametrize("batch_size", [8, 53, 60, 1])
def test_validation_is_in_order(batch_size: int) -> None:
    given = list(Feeds().validation(Split(X, Y), batch_size))
    assert [len(y) for _, y in given][:-1] == [batch_size] * (len(given) - 1)
    numpy.testing.assert_array_equal(numpy.concatenate([x for x, _ in given]), X)
    numpy.testing.assert_array_equal(numpy.concatenate([y for _, y in given]), Y)


def test_pipelines_are_made_once() -> None:
    feeds, split = Feeds(), Split(X, Y)
    assert feeds.training(split, 8) is feeds.training(split, 8)
    assert feeds.training(split, 8) is not feeds.training(split, 16)
    assert feeds.validation(split, 8) is feeds.validation(split, 8)
    assert feeds.validation(Split(X, Y), 8) is not feeds.validation(split, 8)


def recipe(**options: Any) -> Recipe:
    loss = Chosen("sparse_categorical_crossentropy")
    objective = Objective(loss=loss, metrics=(Chosen("acc"),), output=Output(loss, (3,)))
    return Recipe(
        optimizer=OptimizerConfig(name="adam", learning_rate=0.01),
        objective=objective,
        target=Target("val_acc", limit=0.0),
        epochs=3,
        batch_size=8,
        **options,
    )


def network() -> keras.Model:
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(6, activation="relu"), keras.layers.BatchNormalization(), keras.layers.Dropout(0.2)]
    return keras.Sequential([keras.Input((5,)), *layers, keras.layers.Dense(3, activation="softmax")])


@pytest.mark.parametrize("macs", [5_000_000, 1_500_000, 10**9])  # 4 steps a call and an iterator an epoch, 7, 1
def test_weights_do_not_depend_on_how_many_steps_are_one_call(macs: int) -> None:
    data = Dataset("rows", Split(X, Y), Split(X[:16], Y[:16]))
    one, other = network(), network()
    told: list[int] = []
    found, end = train(one, data, recipe(), 5, lambda epoch, *_: told.append(epoch))
    again, other_end = train(other, data, recipe(macs=macs), 5, lambda *_: None)
    assert told == [1, 2, 3]
    assert found == again
    for mine, wanted in zip(end.weights + end.optimizer, other_end.weights + other_end.optimizer, strict=True):
        numpy.testing.assert_array_equal(mine, wanted)


def test_what_validation_tells_is_what_evaluation_tells() -> None:
    data = Dataset("rows", Split(X, Y), Split(X[:37], Y[:37]))
    model = network()
    trained, _ = train(model, data, replace(recipe(), batch_size=4), 5, lambda *_: None)
    assert evaluate(model, data.test, recipe())["loss"] == trained.metrics["val_loss"]


def test_a_loss_that_is_no_number_ends_training_at_its_call() -> None:
    weights = numpy.full(len(X), numpy.nan, "float32")
    data = Dataset("rows", Split(X, Y, weights), Split(X, Y))
    model = network()
    with pytest.raises(DivergedError, match="diverged: no epoch of 1 "):
        train(model, data, recipe(), 5, lambda *_: None)


def test_predictions_and_files_know_nothing_of_it(tmp_path: Any) -> None:
    model = network()
    model.compile(loss="mse", optimizer="sgd")
    model.optimizer.build(model.trainable_variables)
    take_steps(model, 7)
    model.save(tmp_path / "net.keras")
    assert keras.models.load_model(tmp_path / "net.keras").steps_per_execution == 1
