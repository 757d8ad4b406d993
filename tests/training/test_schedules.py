"""Learning rates over the epochs, with optimizers' options and factors of single layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy
import pytest

from qsearch.config.chosen import Chosen
from qsearch.config.optimizers import OptimizerConfig
from qsearch.config.schedules import ScheduleConfig
from qsearch.datasets import Dataset, Split
from qsearch.goal.target import Target
from qsearch.training.checkpoints import Checkpoints
from qsearch.training.fit import Recipe, compile_model, train
from qsearch.training.losses import Output
from qsearch.training.objective import Objective
from qsearch.training.schedules import RateSchedule

STEPS = 4


def rates(schedule: dict[str, Any], learning_rate: float = 0.1, base: float = 0.1, epochs: int = 10) -> list[float]:
    """The rate of each step."""
    found = RateSchedule(ScheduleConfig(**schedule), base, epochs).rate(learning_rate, STEPS)
    return [float(found(step)) if callable(found) else found for step in range(epochs * STEPS + 1)]


def test_rates() -> None:
    assert set(rates({})) == {0.1}
    cosine = rates({"name": "cosine"})
    whole = keras.optimizers.schedules.CosineDecay(0.1, 10 * STEPS)
    assert cosine == [float(whole(step)) for step in range(10 * STEPS + 1)]
    warm = rates({"name": "cosine", "warmup_epochs": 2, "alpha": 0.01})
    assert warm[STEPS] == pytest.approx(0.05)
    assert warm[2 * STEPS] == pytest.approx(0.1)
    assert warm[-1] == pytest.approx(0.001)
    falling = rates({"name": "exponential", "decay_rate": 0.5, "decay_epochs": 2})
    assert falling[:: 2 * STEPS] == pytest.approx([0.1 / 2**place for place in range(6)])
    stairs = rates({"name": "exponential", "decay_rate": 0.5, "staircase": True})
    assert stairs[: 2 * STEPS] == pytest.approx([0.1] * STEPS + [0.05] * STEPS)


@pytest.mark.parametrize("form", [{"factors": [1, 0.1, 0.01]}, {"values": [0.1, 0.01, 0.001]}])
def test_pieces_are_multiplied_as_a_search_does(form: dict[str, Any]) -> None:
    pieces = {"name": "piecewise", "boundaries": [3, 6], **form}
    expected = numpy.repeat([0.1, 0.01, 0.001], [3 * STEPS, 3 * STEPS, 4 * STEPS + 1])
    assert rates(pieces) == pytest.approx(expected)
    assert rates(pieces, learning_rate=0.05) == pytest.approx(expected / 2)


def data(samples: int = 48) -> Dataset:
    x = numpy.random.default_rng(0).normal(size=(samples, 5)).astype("float32")
    y = numpy.eye(3, dtype="float32")[x[:, :3].argmax(axis=1)]
    return Dataset("rows", Split(x, y), Split(x[:16], y[:16]))


def model() -> keras.Model:
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(4, name="first"), keras.layers.Dense(3, activation="softmax", name="last")]
    return keras.Sequential([keras.Input((5,)), *layers])


def recipe(**changes: Any) -> Recipe:
    loss = Chosen("categorical_crossentropy")
    given: dict[str, Any] = {
        "optimizer": OptimizerConfig(learning_rate=0.1),
        "objective": Objective(loss=loss, metrics=(Chosen("acc"),), output=Output(loss, (3,))),
        "target": Target("val_acc"),
        "epochs": 4,
        "batch_size": 12,
    }
    return Recipe(**{**given, **changes})


def silent(*_: Any) -> None:
    pass


def test_a_plateau_goes_on_where_training_stopped(tmp_path: Path) -> None:
    # a rate that never lets val_loss fall
    plateau: dict[str, Any] = {"name": "reduce_on_plateau", "factor": 0.5, "patience": 3, "min_learning_rate": 1e-10}
    hopeless = OptimizerConfig(name="sgd", learning_rate=1e-9)
    schedule = RateSchedule(ScheduleConfig(**plateau), 1e-9, 10)
    whole = recipe(optimizer=hopeless, schedule=schedule, epochs=10)
    net = model()
    _, end = train(net, data(), whole, 0, silent)
    reduced = float(net.optimizer.learning_rate)
    assert reduced == pytest.approx(1e-9 / 8)  # after epochs 4, 7 and 10
    kept = Checkpoints(tmp_path / "kept")
    first = recipe(optimizer=hopeless, schedule=schedule, epochs=5)
    net = model()
    _, middle = train(net, data(), first, 0, silent)
    kept.save(1, net.get_weights(), middle)
    assert kept.end(1).schedule == middle.schedule == {"best": pytest.approx(end.schedule["best"]), "wait": 1}
    net = model()
    second = recipe(optimizer=hopeless, schedule=schedule, epochs=10, first_epoch=5)
    trained, _ = train(net, data(), second, 0, silent, kept.end(1))
    assert float(net.optimizer.learning_rate) == pytest.approx(reduced)
    assert "learning_rate" not in trained.metrics


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [
        ({"name": "sgd", "momentum": 0.9, "nesterov": True, "clipnorm": 1.0}, {"name": "cosine", "warmup_epochs": 1}),
        ({"name": "adamw", "weight_decay": 0.01, "global_clipnorm": 2.0}, {"name": "exponential", "decay_rate": 0.5}),
        ({"name": "rmsprop", "clipvalue": 0.5}, {"name": "piecewise", "boundaries": [2], "factors": [1, 0.1]}),
        ({"name": "lion", "weight_decay": 0.1}, {"name": "reduce_on_plateau", "patience": 1}),
    ],
)
def test_optimizers_with_options_and_schedules(optimizer: dict[str, Any], schedule: dict[str, Any]) -> None:
    net = model()
    chosen = OptimizerConfig(learning_rate=0.01, **optimizer)
    wanted = recipe(optimizer=chosen, schedule=RateSchedule(ScheduleConfig(**schedule), 0.01, 4))
    compile_model(net, wanted, 48)
    made = net.optimizer.get_config()
    for option, value in optimizer.items():
        assert option == "name" or made[option] == pytest.approx(value)
    before = net.get_layer("first").get_weights()
    trained, _ = train(net, data(), recipe(optimizer=chosen, schedule=wanted.schedule, rates={"first": 0.0}), 0, silent)
    assert trained.epochs == 4
    for old, new in zip(before, net.get_layer("first").get_weights(), strict=True):
        numpy.testing.assert_array_equal(old, new)
