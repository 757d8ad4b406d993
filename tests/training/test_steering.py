"""The path of a cost, and the weight that keeps to it."""

from __future__ import annotations

import math

import pytest
import tensorflow as tf

from qsearch.training.steering import Path, Steering


@pytest.mark.parametrize("path", [Path.to(1000.0, 10.0), Path.to(1000.0, 70.0, 100.0), Path.to(50.0, 70.0, 100.0)])
def test_targets_are_geometric_between_knots_in_both_forms(path: Path) -> None:
    for time in (0.0, 0.1, 0.5, 0.7, 1.0):
        assert math.exp(float(path.logarithm(tf.constant(time)))) == pytest.approx(path.at(time), rel=1e-4)
    assert path.at(0.0) == pytest.approx(path.costs[0])
    assert path.at(1.0) == pytest.approx(path.costs[-1])


def test_a_budget_is_met_in_the_middle() -> None:
    assert Path.to(1000.0, 70.0, 100.0).at(0.5) == pytest.approx(100.0)
    assert len(Path.to(50.0, 35.0, 100.0).times) == 2  # the budget is above all


def test_a_cost_that_answers_to_its_weight_follows_the_path() -> None:
    """A cost that falls with its weight, as in training, at a rate of its own."""
    steps = 400
    steering, cost = Steering(Path.to(1000.0, 50.0), steps), 1000.0
    off = []
    for _ in range(steps):
        weight = float(steering.weight(tf.constant(cost)))
        wanted = 1000.0 * math.exp(-weight)
        cost *= (wanted / cost) ** 0.1
        off.append(abs(math.log(cost / steering.path.at(float(steering.time)))))
    assert float(steering.time) == pytest.approx(1.0, abs=1e-4)
    assert max(off[50:]) < 0.5
    assert off[-1] < 0.3


def test_a_cost_below_its_target_has_no_weight() -> None:
    steering = Steering(Path.to(1000.0, 100.0), 10)
    assert float(steering.weight(tf.constant(10.0))) == 0.0
    assert float(steering.integral) == 0.0


def test_it_gets_colder() -> None:
    steering = Steering(Path.to(10.0, 1.0), 4)
    found = []
    for _ in range(5):
        found.append(float(steering.temperature))
        steering.weight(tf.constant(5.0))
    assert found[0] == 1.0
    assert found == sorted(found, reverse=True)
    assert 0 < found[-1] < 0.5
