"""What a block's plans are worth before the other blocks are searched."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tiny_run import tiny

from qsearch.blocks.lookahead import LookaheadPricer, cost_in, lookahead
from qsearch.config import load_config
from qsearch.goal.price import Constraints
from qsearch.plan import QuantizationPlan
from qsearch.runner.experiment import Experiment, read_experiment, schedule_of
from qsearch.search.cheapest import cheapest, middle
from qsearch.search.space import Dimension, SearchedLayer, SearchSpace


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    folder = tmp_path_factory.mktemp("lookahead")
    return read_experiment(load_config(tiny(folder, folder / "out"), ['run.blocks=["^.*_0$", "^.*_1$", "^dense"]']))


def pricers(experiment: Experiment, constraints: Constraints, ahead: bool) -> list[tuple[SearchSpace, LookaheadPricer]]:
    schedule, base, found = schedule_of(experiment), QuantizationPlan(), []
    for stage in schedule.stages:
        space = schedule.space.part(stage.names, base)
        found.append((space, lookahead(experiment.costs, constraints, schedule, stage, space, ahead)))
        base = space.plan(cheapest(space, cost_in(space, experiment.costs)))
    return found


def test_the_middle_option_by_cost() -> None:
    space = SearchSpace(
        dimensions=(Dimension("k", ("a", "b", "c", "d")), Dimension("f", (0.5, 1.0, 2.0)), Dimension("one", ("x",))),
        layers=(SearchedLayer(name="c", key="Conv2D", dimensions={}, fixed={}, filters=8, filters_dimension="f"),),
    )
    costs = {"a": 5.0, "b": 1.0, "c": 9.0, "d": 3.0}
    assert middle(space, lambda values: costs[str(values["k"])]) == {"k": "d", "f": 1.0, "one": "x"}
    assert cheapest(space, lambda values: costs[str(values["k"])] * float(values["f"]))["f"] == 0.5


def test_a_plan_is_worth_what_the_network_would_be(experiment: Experiment) -> None:
    for number, (space, pricer) in enumerate(pricers(experiment, Constraints(), ahead=True)):
        plan = space.plan({dimension.name: dimension.options[-1] for dimension in space.dimensions})
        own, found = experiment.costs.price(plan), pricer.price(plan)
        assert (found.cost, found.energy) == (own.cost, own.energy)
        if number == 2:
            assert found == own
            assert pricer.typical is None
            continue
        assert pricer.typical is not None
        assert set(pricer.typical) == set().union(
            *(schedule_of(experiment).stages[n].names for n in range(number + 1, 3))
        )
        whole = QuantizationPlan({**plan.layers, **pricer.typical.layers})
        ahead = experiment.costs.price(whole)
        assert found.final_cost == ahead.cost
        assert found.delta == ahead.delta > own.delta


def test_a_saving_counts_as_in_the_finished_network(experiment: Experiment) -> None:
    """Against unquantized blocks, the same choice is worth less."""
    gains = []
    for ahead in (False, True):
        space, pricer = pricers(experiment, Constraints(), ahead)[0]
        cheap = space.plan(cheapest(space, cost_in(space, experiment.costs)))
        typical = space.plan(middle(space, cost_in(space, experiment.costs)))
        gains.append(pricer.price(cheap).delta - pricer.price(typical).delta)
    assert 0 < gains[0] < gains[1]


def test_a_budget_is_judged_with_the_cheapest_of_what_is_to_come(experiment: Experiment) -> None:
    space, free = pricers(experiment, Constraints(), ahead=True)[0]
    assert free.least == ()
    plan = space.plan(cheapest(space, cost_in(space, experiment.costs)))
    _, pricer = pricers(experiment, Constraints(energy=1.0), ahead=True)[0]
    (rest,) = pricer.least
    least = experiment.costs.price(QuantizationPlan({**plan.layers, **rest.layers})).energy
    inside = replace(pricer, constraints=Constraints(energy=least + 0.01))
    outside = replace(pricer, constraints=Constraints(energy=least - 0.01))
    price = pricer.price(plan)
    assert price.energy > least
    assert inside.price(plan).objection is None
    told = outside.price(plan).objection
    assert told is not None
    assert told.startswith("with the cheapest of the blocks to come, energy ")
