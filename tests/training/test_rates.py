"""What a step of each layer comes to."""

from __future__ import annotations

import keras
import numpy
import pytest

from qsearch.config.names import OPTIMIZERS
from qsearch.config.optimizers import OptimizerConfig
from qsearch.training.rates import variable_factors, with_factors

RATES = {"a": 0.25, "inner/b": 2.0, "frozen": 0.0}


def network() -> keras.Model:
    keras.utils.set_random_seed(3)
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="b")], name="inner")
    layers = [keras.layers.Dense(4, name="a"), inner, keras.layers.Dense(3, name="frozen"), keras.layers.Dense(2)]
    return keras.Sequential([keras.Input((4,)), *layers])


def steps(name: str, factored: bool, count: int = 3, **options: float) -> list[list[numpy.ndarray]]:
    """What each training step adds to each variable, compiled, on data that is always the same."""
    model = network()
    optimizer = keras.optimizers.get({"class_name": name, "config": {"learning_rate": 1e-4, **options}})
    if factored:
        optimizer = with_factors(optimizer, variable_factors(model, RATES))
    model.compile(optimizer=optimizer, loss="mse")
    x, y = numpy.ones((8, 4), "float32"), numpy.zeros((8, 2), "float32")
    found = []
    for _ in range(count):
        before = [numpy.array(variable) for variable in model.trainable_variables]
        model.train_on_batch(x, y)
        found.append([numpy.array(v) - b for v, b in zip(model.trainable_variables, before, strict=True)])
    return found


def test_every_variable_has_the_factor_of_its_layer() -> None:
    assert variable_factors(network(), RATES) == (0.25, 0.25, 2.0, 2.0, 0.0, 0.0, 1.0, 1.0)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_first_step_is_the_plain_one_times_the_factor(name: str) -> None:
    plain, found = steps(name, factored=False)[0], steps(name, factored=True)[0]
    for step, base, factor in zip(found, plain, variable_factors(network(), RATES), strict=True):
        assert numpy.abs(base).max() > 0
        # variables are float32 of about 1, so that steps of 1e-4 are known to 1e-7
        assert step == pytest.approx(base * factor, abs=3e-7, rel=1e-3)


def test_weight_decay_is_slowed_too() -> None:
    decayed = steps("adamw", factored=True, count=1, weight_decay=10.0)[0]
    without = steps("adamw", factored=True, count=1, weight_decay=0.0)[0]
    kernels = network().trainable_variables
    for place, factor in ((0, 0.25), (2, 2.0), (4, 0.0), (6, 1.0)):
        expected = -10.0 * 1e-4 * factor * numpy.array(kernels[place])
        assert decayed[place] - without[place] == pytest.approx(expected, abs=3e-7, rel=1e-2)


def test_a_layer_of_factor_0_stays_as_it_is() -> None:
    for step in steps("adam", factored=True):
        assert not step[4].any()
        assert not step[5].any()


def test_without_factors_the_optimizer_stays_itself() -> None:
    optimizer = keras.optimizers.get(OptimizerConfig().name)
    assert with_factors(optimizer, (1.0, 1.0)) is optimizer


def test_a_falling_rate_falls_for_all() -> None:
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([0], [1e-4, 1e-5])
    optimizer = with_factors(keras.optimizers.SGD(schedule), (0.5, 1.0))
    assert isinstance(optimizer._learning_rate, keras.optimizers.schedules.PiecewiseConstantDecay)
