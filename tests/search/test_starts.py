"""What a guide begins with."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tiny_search import listed, price, space

from qsearch.goal.price import Price
from qsearch.goal.target import Target
from qsearch.plan import QuantizationPlan
from qsearch.search.candidates import Candidate, Candidates
from qsearch.search.guide import Guide
from qsearch.search.proposals import Feedback
from qsearch.search.space import Values
from qsearch.search.uniform import evenly

CANDIDATES = Candidates(space(layers=3), price)


def begun(start: Sequence[Values], first: int, candidates: Candidates = CANDIDATES) -> list[Candidate]:
    """The first proposals of a guide that learns from none of them."""
    guide = Guide(candidates=candidates, target=Target("val_acc"), seed=1, first=first, start=lambda: start)
    found = []
    for number in range(1, first + 1):
        proposal = guide.ask(number)
        assert proposal is not None
        assert isinstance(proposal.candidate, Candidate)
        guide.tell(number, Feedback(trial=number))
        found.append(proposal.candidate)
    return found


def by_cost(count: int) -> list[Values]:
    """Plans by chance."""
    return sorted(listed(CANDIDATES.space)[:count], key=lambda values: price(CANDIDATES.space.plan(values)).cost)


def test_they_are_spread_over_the_costs_of_what_is_given() -> None:
    given = by_cost(40)
    found = begun(given, 5)
    assert all(one.values in given for one in found)
    costs = [one.price.cost for one in found]
    assert len(set(costs)) == 5
    assert sorted(costs)[2] == costs[0]  # from the middle outwards
    assert max(costs) / min(costs) > 3


def test_uniform_plans_fill_up_what_is_not_given_or_not_allowed() -> None:
    uniform = [one.identity for one in begun((), 4)]
    assert len(set(uniform)) == 4
    given = by_cost(2)
    found = begun(given, 4)
    assert sum(one.values in given for one in found) == 2
    assert len({one.identity for one in found}) == 4

    def within(plan: QuantizationPlan) -> Price:
        found = price(plan)
        return Price(
            cost=found.cost,
            energy=found.energy,
            delta=found.delta,
            final_cost=found.cost,
            objection="too dear" if found.cost > 12 else None,
        )

    assert all(one.price.cost <= 12 for one in begun(by_cost(40), 4, Candidates(CANDIDATES.space, within)))


def test_nothing_is_measured_before_it_is_asked_for() -> None:
    def measured() -> Sequence[Values]:
        raise AssertionError

    guide = Guide(candidates=CANDIDATES, target=Target("val_acc"), seed=1, first=3, start=measured)
    with pytest.raises(AssertionError):
        guide.ask(1)


def test_even_steps_of_the_logarithm() -> None:
    assert evenly([1.0, 10.0, 100.0, 1000.0, 10000.0], 2) == [1, 3]
    assert evenly([1.0, 2.0], 5) == [0, 1]
    assert evenly([], 3) == []
    assert evenly([0.0, 1.0, 2.0], 3) == [0, 1, 2]
