"""The cost of a problem as an expectation: options are drawn, each dimension by itself.

    E[cost] = Σ_t Σ_s P_t(s) Σ_o Π_d p_d(o_d) · cost_t(o, s),      P_{t+1}(s') = Σ_{s, o -> s'} P_t(s) Π_d p_d(o_d)

with the states s that dynamic programming (`frontier`) goes through: what later terms can still see. As a state holds
every signal and every option on which terms depend together, the sum is exact, also where widths are tied, or where
branches meet. In a chain it is a sum over neighbouring layers, and its work is linear in the layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray

from qsearch.sensitivity.problem import Problem
from qsearch.sensitivity.states import State, States

MOST_TRANSITIONS = 1_000_000
"""Of all terms; each step of training sums over them."""


class NoExpectationError(Exception):
    """The expectation cannot be had; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """What a term can come to, T ways of it.

    Attributes:
        dimensions: D of them, whose options it is the first to depend on.
        options: (T, D), of each of these the option.
        before, after: (T,), numbers of the states that it comes from and leads to.
        costs: (T,).
        states: how many follow.
    """

    dimensions: tuple[int, ...]
    options: NDArray[numpy.int32]
    before: NDArray[numpy.int32]
    after: NDArray[numpy.int32]
    costs: NDArray[numpy.float64]
    states: int


def spreads(problem: Problem, most: int = MOST_TRANSITIONS) -> list[Spread]:
    """What each term can come to, in order. The losses of the problem do not matter.

    Raises:
        NoExpectationError: there are more ways than `most`, or one of them means no model.
    """
    walk = States.of(problem)
    known: dict[State, int] = {walk.start: 0}
    found: list[Spread] = []
    total = 0
    for index, term in enumerate(problem.terms):
        after: dict[State, int] = {}
        rows: list[tuple[int, int, float]] = []
        options: list[tuple[int, ...]] = []
        dimensions: tuple[int, ...] = ()
        for state, number in known.items():
            for one in walk.transitions(index, state):
                if one.cost == math.inf:
                    raise NoExpectationError(f"{term.name}: some of the widths do not fit together")
                dimensions = tuple(dimension for dimension, _ in one.new)
                options.append(tuple(option for _, option in one.new))
                rows.append((number, after.setdefault(one.after, len(after)), one.cost))
                total += 1
                if total > most:
                    raise NoExpectationError(
                        f"{term.name}: what its energy depends on has more than {most:,} combinations"
                    )
        before, following, costs = zip(*rows, strict=True)
        found.append(
            Spread(
                dimensions=dimensions,
                options=numpy.array(options, numpy.int32).reshape(len(rows), len(dimensions)),
                before=numpy.array(before, numpy.int32),
                after=numpy.array(following, numpy.int32),
                costs=numpy.array(costs),
                states=len(after),
            )
        )
        known = after
    return found


def least_cost(found: Sequence[Spread]) -> float:
    """The least cost of all choices."""
    costs: Any = numpy.zeros(1)
    for one in found:
        following = numpy.full(one.states, math.inf)
        numpy.minimum.at(following, one.after, costs[one.before] + one.costs)
        costs = following
    return float(costs.min())
