"""Moving averages of the weights: what models are judged and kept by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy
import pytest

from qsearch.config.chosen import Chosen
from qsearch.config.optimizers import OptimizerConfig
from qsearch.datasets import Dataset, Split
from qsearch.goal.target import Target
from qsearch.training.batches import Feeds
from qsearch.training.checkpoints import Checkpoints
from qsearch.training.fit import Recipe, evaluate, train
from qsearch.training.losses import Output
from qsearch.training.objective import Objective

ADAM = OptimizerConfig(name="adam", learning_rate=0.05, use_ema=True, ema_momentum=0.8)
LOSS = Chosen("categorical_crossentropy")
X = numpy.random.default_rng(0).normal(size=(48, 5)).astype("float32")
Y = numpy.eye(3, dtype="float32")[X[:, :3].argmax(axis=1)]
DATA = Dataset("rows", Split(X, Y), Split(X[:16], Y[:16]))


def network() -> keras.Model:
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(4, activation="relu"), keras.layers.BatchNormalization()]
    return keras.Sequential([keras.Input((5,)), *layers, keras.layers.Dense(3, activation="softmax")])


def recipe(epochs: int, optimizer: OptimizerConfig = ADAM, **options: Any) -> Recipe:
    # of the loss, every epoch is the best one so far
    objective = Objective(
        loss=LOSS, metrics=(Chosen("loss"), Chosen("acc")), output=Output(LOSS, (3,)), direction="min"
    )
    return Recipe(
        optimizer=optimizer,
        objective=objective,
        target=Target("val_loss", maximize=False, limit=0.0),
        epochs=epochs,
        batch_size=12,
        **options,
    )


def silent(*_: Any) -> None:
    pass


def test_they_are_what_keras_ends_with() -> None:
    model, keras_own = network(), network()
    trained, end = train(model, DATA, recipe(3), 0, silent)
    keras_own.compile(optimizer=keras.optimizers.Adam(0.05, use_ema=True, ema_momentum=0.8), loss=LOSS.name)
    batches = Feeds().training(DATA.train, 12)
    assert batches is not None
    keras_own.fit(**batches.arguments(0, 0, 1), epochs=3, verbose=0)
    assert trained.best_epoch == 3
    for mine, wanted in zip(model.get_weights(), keras_own.get_weights(), strict=True):
        numpy.testing.assert_array_equal(mine, wanted)
    found = evaluate(model, DATA.test, recipe(3))
    assert trained.metrics["val_loss"] == pytest.approx(found["loss"], rel=1e-5)
    assert trained.metrics["val_acc"] == pytest.approx(found["acc"])
    plain, _ = train(network(), DATA, recipe(3, OptimizerConfig(name="adam", learning_rate=0.05)), 0, silent)
    assert plain.metrics["val_loss"] != pytest.approx(found["loss"], rel=1e-3)
    # training would go on from the weights themselves
    assert not numpy.allclose(end.weights[0], model.get_weights()[0])


def test_training_goes_on_from_the_weights_themselves(tmp_path: Path) -> None:
    ordered = Dataset("rows", Split(X[:12], Y[:12]), Split(X[12:], Y[12:]))  # one batch, so that no order differs
    whole, parts = network(), network()
    _, last = train(whole, ordered, recipe(4), 0, silent)
    _, middle = train(parts, ordered, recipe(2), 0, silent)
    kept = Checkpoints(tmp_path)
    kept.save(1, parts.get_weights(), middle)
    _, end = train(parts, ordered, recipe(4, first_epoch=2), 0, silent, kept.end(1))
    for mine, wanted in zip(end.weights + end.optimizer, last.weights + last.optimizer, strict=True):
        assert mine == pytest.approx(wanted, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"gradient_accumulation_steps": 2},
        {"loss_scale_factor": 128.0},
        {"name": "sgd", "momentum": 0.9, "nesterov": True, "clipnorm": 1.0},
        {"name": "adamw", "weight_decay": 0.01, "use_ema": True, "ema_overwrite_frequency": 3},
        {"name": "adafactor"},
        {"name": "adadelta", "learning_rate": 1.0},
    ],
)
def test_optimizers_train(options: dict[str, Any]) -> None:
    optimizer = OptimizerConfig(**{"name": "adam", "learning_rate": 0.05, **options})
    before = evaluate_fresh(optimizer)
    trained, _ = train(network(), DATA, recipe(4, optimizer, rates={"dense": 0.5}), 0, silent)
    assert trained.metrics["val_loss"] < before


def evaluate_fresh(optimizer: OptimizerConfig) -> float:
    model = network()
    model.compile(loss=LOSS.name, optimizer=optimizer.name)
    return float(model.evaluate(X[:16], Y[:16], verbose=0))
