"""Expected costs by states, and the most likely choices, held against sums over everything."""

from __future__ import annotations

import math

import numpy
import pytest
import tensorflow as tf
from made_problems import NETWORKS, possible, problem

from qsearch.sensitivity.expectation import NoExpectationError, least_cost, spreads
from qsearch.sensitivity.likely import likely
from qsearch.sensitivity.problem import Problem
from qsearch.training.steering import ExpectedCost


def by_chance(of: Problem, seed: int) -> list[list[float]]:
    rng = numpy.random.default_rng(seed)
    return [rng.dirichlet(numpy.ones(len(losses))).tolist() for losses in of.losses]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_expected_cost_is_the_sum_over_all_choices(name: str, seed: int) -> None:
    made = possible(problem(name, seed))
    drawn = by_chance(made, seed)
    names = [f"d{number}" for number in range(len(drawn))]
    cost = ExpectedCost(spreads(made), names)
    variables = {one: tf.Variable(many, dtype=tf.float32) for one, many in zip(names, drawn, strict=True)}
    expected, slopes = 0.0, [numpy.zeros(len(many)) for many in drawn]
    for chosen in made.everything():
        shares = [drawn[place][option] for place, option in enumerate(chosen)]
        expected += math.prod(shares) * made.cost(chosen)
        for place, option in enumerate(chosen):
            others = math.prod(shares[:place] + shares[place + 1 :])
            slopes[place][option] += others * made.cost(chosen)
    with tf.GradientTape() as tape:
        found = cost(lambda one: tf.convert_to_tensor(variables[one]))
    assert float(found) == pytest.approx(expected, rel=1e-5)
    gradients = tape.gradient(found, list(variables.values()), unconnected_gradients=tf.UnconnectedGradients.ZERO)
    for gradient, slope in zip(gradients, slopes, strict=True):
        # what is the same for all options of a dimension moves no probability
        own = numpy.asarray(tf.convert_to_tensor(gradient))
        numpy.testing.assert_allclose(own - own.mean(), slope - slope.mean(), rtol=1e-3, atol=1e-4 * abs(slope).max())


@pytest.mark.parametrize("name", NETWORKS)
def test_the_least_cost_is_that_of_the_cheapest_choice(name: str) -> None:
    made = possible(problem(name, 3))
    assert least_cost(spreads(made)) == min(made.cost(chosen) for chosen in made.everything())


def test_widths_that_do_not_fit_have_no_expectation() -> None:
    with pytest.raises(NoExpectationError, match="do not fit together"):
        spreads(problem("residual", 1))


def test_too_many_combinations_are_told_with_the_place() -> None:
    with pytest.raises(NoExpectationError, match=r"t2: .* more than 20 combinations"):
        spreads(possible(problem("chain", 1)), most=20)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_most_likely_choice_inside_a_budget(name: str) -> None:
    made = possible(problem(name, 4))
    drawn = by_chance(made, 4)
    trade_off = likely(made, drawn)
    costs = sorted(made.cost(chosen) for chosen in made.everything())
    for budget in (costs[0] - 1, costs[0], costs[len(costs) // 3], costs[-1]):
        inside = [chosen for chosen in made.everything() if made.cost(chosen) <= budget]
        chosen = trade_off.within(budget)
        if not inside:
            assert chosen is None
            continue
        best = max(math.prod(drawn[place][option] for place, option in enumerate(one)) for one in inside)
        assert chosen is not None
        assert made.cost(chosen) <= budget
        assert math.prod(drawn[place][option] for place, option in enumerate(chosen)) == pytest.approx(best)
