"""One budget at a time, exactly, as a mixed-integer linear program: for networks whose states are too many to carry.

    minimise    Σ_d Σ_o loss[d][o] · x[d, o]
    subject to  Σ_o x[d, o] = 1                          for each dimension d;  x binary
                Σ_c y[t, c] = 1                          for each term t and its local configurations c
                Σ_{c: d=o} y[t, c] = x[d, o]             for each dimension d of t
                Σ_{c: reads σ at p} y[t, c] = s[p, σ]    for each place p that t reads, and each signal σ
                Σ_{c: hands on σ} y[t, c] = s[p, σ]      for the place p that t gives
                Σ_t Σ_c cost[t, c] · y[t, c] ≤ budget

A configuration of a term is its own options together with all signals that it reads, so that products of choices are
linear in y, also where two producers meet. With x whole, y and s are: a term whose options and signals are fixed has
one configuration that agrees with them. The linearisation is the local polytope of a factor graph (Wainwright and
Jordan 2008, doi:10.1561/2200000001); scipy's `milp` (HiGHS) solves it.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from qsearch.sensitivity.problem import Chosen, Problem, Signals

MOST_CONFIGURATIONS = 200_000
"""Of all terms together; a larger program is not tried."""
_TRIES = 4


class UnsolvedError(Exception):
    """The solver came to no proven optimum."""


@dataclass(frozen=True)
class _Configuration:
    term: int
    own: Chosen
    read: Signals
    given: int
    cost: float


class Program:
    """The program of a problem, made once for all budgets.

    Raises:
        UnsolvedError: it has more configurations than are allowed.
    """

    def __init__(self, problem: Problem, most: int = MOST_CONFIGURATIONS) -> None:
        self.problem = problem
        self._configurations = list(itertools.islice(_configurations(problem), most + 1))
        if len(self._configurations) > most:
            raise UnsolvedError(f"more than {most:,} configurations of layers")
        self._x = [(number, option) for number, losses in enumerate(problem.losses) for option in range(len(losses))]
        self._costs = numpy.array([one.cost for one in self._configurations])
        self._scale = float(self._costs.max(initial=1.0)) or 1.0
        self._equalities = self._agreement()

    def within(self, budget: float, seconds: float = 60.0) -> Chosen | None:
        """The choice of the least loss whose cost is at most the budget; None: there is none.

        Raises:
            UnsolvedError: no optimum is proven in that time.
        """
        most = budget
        for _ in range(_TRIES):
            found = self._solved(most, seconds)
            if found is None or (cost := self.problem.cost(found)) <= budget:
                return found
            most -= max(cost - budget, 1.0)  # beyond it by what the solver allows itself
        raise UnsolvedError("the solver's tolerance hides the budget")

    def _solved(self, budget: float, seconds: float) -> Chosen | None:
        choices, count = len(self._x), len(self._x) + self._equalities.A.shape[1] - len(self._x)
        objective = numpy.zeros(count)
        objective[:choices] = [self.problem.losses[number][option] for number, option in self._x]
        spread = float(numpy.abs(objective).max()) or 1.0
        spent = numpy.zeros((1, count))
        spent[0, choices : choices + len(self._costs)] = self._costs / self._scale
        whole = numpy.zeros(count)
        whole[:choices] = 1
        found = milp(
            objective / spread,
            integrality=whole,
            bounds=Bounds(0.0, 1.0),
            constraints=[self._equalities, LinearConstraint(spent, -numpy.inf, budget / self._scale)],
            options={"mip_rel_gap": 0.0, "time_limit": seconds},
        )
        if found.status == 2:  # infeasible
            return None
        if found.status != 0 or found.x is None:
            raise UnsolvedError(str(found.message))
        taken = {number: option for (number, option), value in zip(self._x, found.x, strict=False) if value > 0.5}
        return tuple(taken[number] for number in range(len(self.problem.losses)))

    def _agreement(self) -> LinearConstraint:
        """All the equalities; variables are x, then y, then s."""
        columns = {key: place for place, key in enumerate(self._x)}
        first = len(columns)
        signals: dict[tuple[int, int], int] = {}
        shared = first + len(self._configurations)

        def signal(place: int, value: int) -> int:
            return signals.setdefault((place, value), shared + len(signals))

        rows: list[tuple[dict[int, float], float]] = []
        for number, losses in enumerate(self.problem.losses):
            rows.append(({columns[number, option]: 1.0 for option in range(len(losses))}, 1.0))
        by_term: defaultdict[int, list[tuple[int, _Configuration]]] = defaultdict(list)
        for place, one in enumerate(self._configurations):
            by_term[one.term].append((first + place, one))
        for index, term in enumerate(self.problem.terms):
            agreeing: defaultdict[int, dict[int, float]] = defaultdict(dict)
            for number in term.dimensions:
                for option in range(len(self.problem.losses[number])):
                    agreeing[columns[number, option]] = {}
            for column, one in by_term[index]:
                for number, option in zip(term.dimensions, one.own, strict=True):
                    agreeing[columns[number, option]][column] = 1.0
                for place, value in {*zip(term.inputs, one.read, strict=True), (term.output, one.given)}:
                    agreeing[signal(place, value)][column] = 1.0
            rows += [({**row, column: -1.0}, 0.0) for column, row in agreeing.items()]
            rows.append((dict.fromkeys((column for column, _ in by_term[index]), 1.0), 1.0))
        for (place, value), column in signals.items():
            if place in self.problem.sources and value == self.problem.sources[place]:
                rows.append(({column: 1.0}, 1.0))
        entries = [(row, column, value) for row, (parts, _) in enumerate(rows) for column, value in parts.items()]
        matrix = coo_array(
            (
                [value for *_, value in entries],
                ([row for row, *_ in entries], [column for _, column, _ in entries]),
            ),
            shape=(len(rows), shared + len(signals)),
        )
        right = numpy.array([right for _, right in rows])
        return LinearConstraint(matrix.tocsr(), right, right)


def _configurations(problem: Problem) -> Iterator[_Configuration]:
    """What every term can meet, given all that the terms before it can hand on."""
    reachable: dict[int, set[int]] = {place: {signal} for place, signal in problem.sources.items()}
    for index, term in enumerate(problem.terms):
        places = list(dict.fromkeys(term.inputs))
        given: set[int] = set()
        for own in itertools.product(*(range(len(problem.losses[number])) for number in term.dimensions)):
            for met in itertools.product(*(sorted(reachable[place]) for place in places)):
                signals = dict(zip(places, met, strict=True))
                read = tuple(signals[place] for place in term.inputs)
                signal, cost = term.price(own, read)
                if cost < math.inf:
                    given.add(signal)
                    yield _Configuration(index, own, read, signal, cost)
        reachable[term.output] = given
