"""Optima under budgets, held against looking at everything."""

from __future__ import annotations

import math

import numpy
import pytest
from made_problems import NETWORKS, problem, term

from qsearch.sensitivity.frontier import TooManyError, frontier
from qsearch.sensitivity.ladder import Solver, even_budgets, ladder
from qsearch.sensitivity.milp import Program, UnsolvedError
from qsearch.sensitivity.problem import Problem


def brute(of: Problem) -> list[tuple[float, float]]:
    """The Pareto-optimal (cost, loss) of all choices, by rising cost."""
    kept: list[tuple[float, float]] = []
    for cost, loss in sorted((of.cost(chosen), of.loss(chosen)) for chosen in of.everything()):
        if cost < math.inf and (not kept or loss < kept[-1][1] - 1e-12):
            kept.append((cost, loss))
    return kept


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", NETWORKS)
def test_the_trade_off_is_that_of_all_choices(name: str, seed: int) -> None:
    of = problem(name, seed)
    wanted, found = brute(of), frontier(of)
    assert found.exact
    assert len(wanted) > 1
    assert list(found.costs) == [cost for cost, _ in wanted]
    assert numpy.allclose(found.losses, [loss for _, loss in wanted], atol=1e-9)
    for place in range(len(found)):
        chosen = found.choice(place)
        assert of.cost(chosen) == found.costs[place]
        assert of.loss(chosen) == pytest.approx(found.losses[place], abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NETWORKS)
def test_the_program_finds_the_same_optimum_for_each_budget(name: str, seed: int) -> None:
    of = problem(name, seed)
    wanted, program = brute(of), Program(of)
    for cost, loss in wanted[:: max(1, len(wanted) // 4)]:
        for budget in (cost, cost + 0.5):
            chosen = program.within(budget)
            assert chosen is not None
            assert of.cost(chosen) <= budget
            assert of.loss(chosen) == pytest.approx(loss, abs=1e-7)
    assert program.within(wanted[0][0] - 1) is None


def test_what_is_too_much_is_said_and_solved_in_another_way() -> None:
    of = problem("residual", 0)
    wanted = brute(of)
    with pytest.raises(TooManyError):
        frontier(of, most=5)
    with pytest.raises(UnsolvedError):
        Program(of, most=5)
    solver = Solver(of, most=5)
    rung = solver.within(wanted[-2][0])
    assert rung is not None
    assert (rung.method, rung.exact) == ("milp", True)
    assert (rung.cost, rung.loss) == (wanted[-2][0], pytest.approx(wanted[-2][1]))


def test_thinned_answers_keep_to_the_budget_and_say_that_better_ones_may_be_missing() -> None:
    of = problem("two inputs", 1)
    found = frontier(of, most=12, thin=True)
    assert not found.exact
    whole = frontier(of)
    assert found.costs[0] >= whole.costs[0]
    for budget in numpy.linspace(found.costs[0], whole.costs[-1], 7):
        chosen, best = found.within(budget), whole.within(budget)
        assert chosen is not None
        assert best is not None
        assert of.cost(chosen) <= budget
        assert of.loss(chosen) >= of.loss(best) - 1e-12


def test_a_budget_that_nothing_meets_has_no_answer() -> None:
    of = problem("chain", 2)
    solver = Solver(of)
    ends = solver.ends()
    assert ends is not None
    assert ends == (brute(of)[0][0], brute(of)[-1][0])
    assert solver.within(ends[0] - 1) is None
    assert ladder(solver, [ends[0] - 1]) == []


def test_a_ladder_has_each_choice_once_and_falls() -> None:
    of = problem("chain", 3)
    solver = Solver(of)
    least, most = solver.ends() or (0.0, 0.0)
    rungs = ladder(solver, even_budgets(least, most, 8))
    assert 3 <= len(rungs) <= 8
    assert (rungs[0].cost, rungs[-1].cost) == (least, most)
    assert [rung.loss for rung in rungs] == sorted((rung.loss for rung in rungs), reverse=True)
    assert len({rung.chosen for rung in rungs}) == len(rungs)
    assert ladder(solver, even_budgets(most, most, 8))[0].cost == most


def test_dimensions_that_no_term_sees_take_what_loses_least() -> None:
    of = Problem(
        losses=((1.0, 0.5, 2.0), (0.0, 1.0)),
        terms=(term(numpy.random.default_rng(1), "t", (1,), (0,), 1),),
        sources={0: 0},
    )
    assert frontier(of).choice(0)[0] == 1


def test_a_chain_is_told_from_other_networks() -> None:
    assert problem("chain", 0).is_chain
    assert not problem("residual", 0).is_chain
    assert not problem("two inputs", 0).is_chain


def test_terms_come_after_what_they_read() -> None:
    one = term(numpy.random.default_rng(1), "t", (), (3,), 1)
    with pytest.raises(ValueError, match="must come after what it reads"):
        Problem(losses=(), terms=(one,), sources={0: 0})
