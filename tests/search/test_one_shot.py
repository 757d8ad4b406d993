"""Plans ranked without training, and trials of the most promising ones; a ranking that is wrong is given up."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy
import pytest
from tiny_search import accuracy, price, space

from qsearch.goal.price import Price
from qsearch.goal.target import Target
from qsearch.plan import QuantizationPlan
from qsearch.search.candidates import Candidate, Candidates
from qsearch.search.draws import Draws
from qsearch.search.front import Point, front, hypervolume
from qsearch.search.guide import Guide
from qsearch.search.one_shot import ENOUGH, OneShot, SharedRanking
from qsearch.search.proposals import SHARED, Feedback, Proposal
from qsearch.search.ranking import Ranked, evolve, from_dict, promising

CANDIDATES = Candidates(space(layers=3), price)
TARGET = Target("val_acc")


def measured(candidate: Candidate) -> float:
    return accuracy(candidate.plan)


def ranked(count: int = 60, candidates: Candidates = CANDIDATES) -> list[Ranked]:
    return evolve(Draws(candidates, 3), measured, TARGET, count)


def one_shot(plans: list[Ranked], lines: list[str] | None = None, taken: int = 100) -> OneShot:
    guide = Guide(candidates=CANDIDATES, target=TARGET, seed=5, first=4, whole_front=True, dearest=64.0)
    say = (lines if lines is not None else []).append
    return OneShot(SharedRanking(plans=plans, taken=taken, worth=TARGET.worth, say=say), guide)


def go(algorithm: OneShot, first: int, last: int, metric: Callable[[QuantizationPlan], float]) -> list[Proposal]:
    found = []
    for number in range(first, last + 1):
        proposal = algorithm.ask(number)
        assert proposal is not None
        assert algorithm.ask(number) is proposal
        found.append(proposal)
        worth = metric(proposal.plan)
        algorithm.tell(number, Feedback(trial=number, completed=True, score=worth, worth=worth))
    return found


def test_draws_reach_from_the_cheapest_to_the_dearest() -> None:
    draws = Draws(CANDIDATES, 3)
    costs = [draws.of_step(step).price.cost for step in range(400)]
    assert costs[0] == draws.dearest.price.cost == max(costs)
    assert costs[2] == draws.cheapest.price.cost == min(costs)
    logarithms = numpy.log(costs[1::2])
    halves = numpy.log(max(costs)), numpy.log(min(costs))
    middle = sum(halves) / 2
    assert 0.25 < (logarithms < middle).mean() < 0.75
    assert draws.of_step(7) == Draws(CANDIDATES, 3).of_step(7) != draws.of_step(9)


def test_draws_keep_to_a_budget() -> None:
    def within(plan: QuantizationPlan) -> Price:
        found = price(plan)
        objection = "too dear" if found.cost > 12 else None
        return Price(cost=found.cost, energy=found.energy, delta=0, final_cost=found.cost, objection=objection)

    tight = Candidates(space(layers=3), within)
    draws = Draws(tight, 1)
    assert max(draws.of_step(step).price.cost for step in range(200)) == draws.dearest.price.cost <= 12
    assert all(one.candidate.price.cost <= 12 for one in ranked(candidates=tight))


def test_evolution_comes_nearer_to_the_front_than_draws() -> None:
    def area(plans: list[Ranked]) -> float:
        return hypervolume([Point(one.metric, one.candidate.price.cost) for one in plans], Point(0.5, 64.0))

    draws = Draws(CANDIDATES, 3)
    rng = numpy.random.default_rng(0)
    drawn = [Ranked(one, measured(one)) for one in (draws.draw(rng) for _ in range(120))]
    evolved = ranked(120)
    assert len({one.candidate.identity for one in evolved}) == 120
    assert area(evolved) > area(drawn)


def test_the_most_promising_come_first_whatever_their_number() -> None:
    plans = ranked()
    order = promising(plans, TARGET)
    assert sorted(map(id, order)) == sorted(map(id, plans))
    members = front([Point(one.metric, one.candidate.price.cost) for one in plans])
    assert {id(one) for one in order[: len(members)]} == {id(plans[index]) for index in members}
    costs = [one.candidate.price.cost for one in order[:5]]
    assert max(costs) / min(costs) > 2  # spread over the front
    broken = [*plans, Ranked(plans[0].candidate, math.nan)]
    assert len(promising(broken, TARGET)) == len(plans)


def test_a_ranking_is_plain_data() -> None:
    for one in ranked(10):
        again = from_dict(CANDIDATES, one.to_dict())
        assert again is not None
        assert (again.candidate, again.metric) == (one.candidate, one.metric)


def test_plans_are_tried_in_order_from_the_shared_weights() -> None:
    order, lines = promising(ranked(), TARGET), list[str]()
    algorithm = one_shot(order, lines)
    proposals = go(algorithm, 1, 12, accuracy)
    assert [one.candidate for one in proposals] == [one.candidate for one in order[:12]]
    assert {one.parent for one in proposals} == {SHARED}
    standing = algorithm.standing
    assert (standing.tau, standing.compared, standing.fell_back) == (pytest.approx(1.0), 12, None)
    assert not lines


def test_a_wrong_order_is_given_up_and_the_guide_knows_the_trials() -> None:
    lines: list[str] = []
    algorithm = one_shot(promising(ranked(), TARGET), lines)
    shared = go(algorithm, 1, ENOUGH, lambda plan: -accuracy(plan))
    assert algorithm.standing.fell_back == ENOUGH
    assert algorithm.standing.tau == pytest.approx(-1.0)
    assert "not believed" in lines[0]
    later = go(algorithm, ENOUGH + 1, ENOUGH + 8, lambda plan: -accuracy(plan))
    assert all(one.parent != SHARED for one in later)
    assert not {one.candidate.identity for one in later} & {one.candidate.identity for one in shared}
    assert any(one.parent in range(1, ENOUGH + 1) for one in later)  # from the weights of what the ranking brought
    assert algorithm.standing.compared == ENOUGH
    assert len(lines) == 1


def test_after_the_last_plan_the_guide_goes_on() -> None:
    algorithm = one_shot(promising(ranked(5), TARGET))
    proposals = go(algorithm, 1, 8, accuracy)
    assert [one.parent == SHARED for one in proposals] == [True] * 5 + [False] * 3


def test_after_as_many_as_were_wanted_come_their_children() -> None:
    algorithm = one_shot(promising(ranked(), TARGET), taken=7)
    proposals = go(algorithm, 1, 12, accuracy)
    assert [one.parent == SHARED for one in proposals] == [True] * 7 + [False] * 5
    assert all(one.parent is not None for one in proposals[7:])
    assert len({one.candidate.identity for one in proposals}) == 12
    assert (algorithm.standing.compared, algorithm.standing.fell_back) == (7, None)


def test_another_process_goes_on_alike() -> None:
    order = promising(ranked(), TARGET)
    first = one_shot(order)
    proposals = go(first, 1, 10, lambda plan: -accuracy(plan))
    again = one_shot(order)
    for number, proposal in enumerate(proposals, 1):
        recalled = again.recall(number, proposal)
        assert recalled == proposal
        worth = -accuracy(proposal.plan)
        again.tell(number, Feedback(trial=number, completed=True, score=worth, worth=worth))
    assert again.standing == first.standing
    assert again.ask(11) == first.ask(11)


def test_a_failed_trial_is_no_pair() -> None:
    algorithm = one_shot(promising(ranked(), TARGET))
    assert algorithm.ask(1) is not None
    algorithm.tell(1, Feedback(trial=1))
    assert (algorithm.standing.compared, algorithm.standing.tau) == (0, None)
    second = algorithm.ask(2)
    assert second is not None
    assert second.parent == SHARED
