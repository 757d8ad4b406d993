"""The best plans for a ladder of budgets, by the way that suits the network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy

from qsearch.sensitivity.frontier import MOST_LABELS, Frontier, TooManyError, frontier
from qsearch.sensitivity.milp import Program, UnsolvedError
from qsearch.sensitivity.problem import Chosen, Problem

Method = Literal["dynamic programming", "milp", "thinned dynamic programming"]


@dataclass(frozen=True, kw_only=True)
class Rung:
    """The choice for a budget; `exact`: whether no other choice inside the budget loses less."""

    budget: float
    chosen: Chosen
    cost: float
    loss: float
    exact: bool
    method: Method


class Solver:
    """Optima of a problem for any budget.

    Dynamic programming along the terms comes first, which is exact for every network. Where it would carry more than
    `most` pairs, each budget is a mixed-integer program, exact too. Where that is too large, or not solved in
    `seconds`, pairs of the dynamic programming are thinned: its answers keep to the budget, and better ones may be
    missing.
    """

    def __init__(self, problem: Problem, most: int = MOST_LABELS, seconds: float = 30.0) -> None:
        self.problem, self._most, self._seconds = problem, most, seconds
        self._program: Program | None = None
        self._thinned: Frontier | None = None
        self._exact: Frontier | None = None
        try:
            self._exact = frontier(problem, most)
        except TooManyError:
            try:
                self._program = Program(problem)
            except UnsolvedError:
                self._program = None

    def within(self, budget: float) -> Rung | None:
        """The choice of the least loss inside of a budget; None: nothing keeps to it."""
        if self._exact is not None:
            return self._rung(budget, self._exact.within(budget), True, "dynamic programming")
        if self._program is not None:
            try:
                return self._rung(budget, self._program.within(budget, self._seconds), True, "milp")
            except UnsolvedError:
                pass
        return self._rung(budget, self._spare().within(budget), False, "thinned dynamic programming")

    def ends(self) -> tuple[float, float] | None:
        """(the least cost, the cost from which on nothing more is gained); None: no choice means a model."""
        found = self._spare() if self._exact is None else self._exact
        return (float(found.costs[0]), float(found.costs[-1])) if len(found) else None

    def _spare(self) -> Frontier:
        if self._thinned is None:
            self._thinned = frontier(self.problem, max(self._most // 10, 1000), thin=True)
        return self._thinned

    def _rung(self, budget: float, chosen: Chosen | None, exact: bool, method: Method) -> Rung | None:
        if chosen is None:
            return None
        cost, loss = self.problem.cost(chosen), self.problem.loss(chosen)
        return Rung(budget=budget, chosen=chosen, cost=cost, loss=loss, exact=exact, method=method)


def ladder(solver: Solver, budgets: Sequence[float]) -> list[Rung]:
    """The rungs of these budgets, cheapest first; one for each different choice, those that nothing meets left out."""
    found: dict[Chosen, Rung] = {}
    for budget in sorted(budgets):
        rung = solver.within(budget)
        if rung is not None:
            found.setdefault(rung.chosen, rung)
    return sorted(found.values(), key=lambda rung: rung.cost)


def even_budgets(least: float, most: float, count: int) -> list[float]:
    """Budgets from the least to the most cost, each by the same factor above the one before."""
    if count == 1 or not least < most:
        return [most]
    first = max(least, most * 1e-6)
    inner = [float(budget) for budget in numpy.geomspace(first, most, count)[1:-1]] if count > 2 else []
    return [least, *(math.floor(budget) if budget > count else budget for budget in inner), most]
