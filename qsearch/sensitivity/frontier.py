"""The exact trade-off of cost and loss by dynamic programming along the terms of a cost.

A state is what later terms can still see: the signals that are yet to be read, and the options of dimensions that come
again (tied widths, layers that are called twice). For each state all Pareto-optimal pairs of (cost, loss) so far are
kept: of two ways to the same state the one that costs and loses no less can be left out, whatever follows (Bellman's
principle; the multi-objective shortest path of Martins 1984, doi:10.1016/0377-2217(84)90077-8). In a chain a state is
one signal, and the work is linear in the layers and in the formats of each.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy
from numpy.typing import NDArray

from qsearch.sensitivity.problem import Chosen, Problem
from qsearch.sensitivity.states import New, State, States

Floats: TypeAlias = NDArray[numpy.float64]
Whole: TypeAlias = NDArray[numpy.int64]

MOST_LABELS = 2_000_000
"""Pairs of one stage; beyond it the exact trade-off is given up, or thinned."""


class TooManyError(Exception):
    """More Pareto-optimal pairs than are allowed."""


@dataclass(frozen=True)
class _Labels:
    """The Pareto-optimal pairs of a state, by rising cost; and where each came from.

    Attributes:
        parents: places among all labels of the stage before.
        moves: what the term chose, an index of the stage's moves.
    """

    costs: Floats
    losses: Floats
    parents: Whole
    moves: Whole


@dataclass(frozen=True)
class _Stage:
    """How to go back: of every label of a stage its parent and its move; what each move chose."""

    parents: Whole
    moves: Whole
    chosen: tuple[tuple[tuple[int, int], ...], ...]


@dataclass(frozen=True)
class Frontier:
    """All Pareto-optimal choices, by rising cost and falling loss.

    Attributes:
        exact: whether none is missing; else labels were thinned.
    """

    costs: Floats
    losses: Floats
    exact: bool
    _stages: tuple[_Stage, ...]
    _free: Mapping[int, int]
    _size: int

    def __len__(self) -> int:
        return len(self.costs)

    def within(self, budget: float) -> Chosen | None:
        """The choice of the least loss whose cost is at most the budget, the cheapest of equals; None: none."""
        place = int(numpy.searchsorted(self.costs, budget, side="right")) - 1
        return None if place < 0 else self.choice(place)

    def choice(self, place: int) -> Chosen:
        """The options of one of the pairs."""
        found = dict(self._free)
        label = place
        for stage in reversed(self._stages):
            found |= dict(stage.chosen[int(stage.moves[label])])
            label = int(stage.parents[label])
        return tuple(found[number] for number in range(self._size))


def frontier(problem: Problem, most: int = MOST_LABELS, thin: bool = False) -> Frontier:
    """The trade-off of a problem.

    Args:
        most: pairs that one stage may have.
        thin: keep a part of a stage's pairs where there are more, spread evenly over the costs; then not exact.

    Raises:
        TooManyError: there are more, and they are not to be thinned.
    """
    walk = States.of(problem)
    none = numpy.zeros(1, numpy.int64)
    states: dict[State, _Labels] = {walk.start: _Labels(numpy.zeros(1), numpy.zeros(1), none, none)}
    stages: list[_Stage] = []
    exact = True
    for index, term in enumerate(problem.terms):
        found: defaultdict[State, list[_Labels]] = defaultdict(list)
        chosen: dict[New, int] = {}
        offset = 0
        for state, labels in states.items():
            for after, moves in _moves(walk, index, state).items():
                found[after].append(_followed(labels, moves, offset, chosen))
            offset += len(labels.costs)
            if sum(len(one.costs) for many in found.values() for one in many) > 8 * most:
                found = defaultdict(list, {after: [_pareto(many)] for after, many in found.items()})
        states = {after: _pareto(many) for after, many in found.items()}
        total = sum(len(one.costs) for one in states.values())
        if total > most:
            if not thin:
                raise TooManyError(f"{total:,} pairs at {term.name}")
            share = most / total
            states = {after: _thinned(one, share) for after, one in states.items()}
            exact = False
        stages.append(_Stage(*_all(states), tuple(chosen)))
    count = sum(len(one.costs) for one in states.values())
    every = _Labels(
        costs=_joined(one.costs for one in states.values()),
        losses=_joined(one.losses for one in states.values()),
        parents=numpy.arange(count),
        moves=numpy.zeros(count, numpy.int64),
    )
    final = _pareto([every])
    unused = [number for number in range(len(problem.losses)) if number not in walk.last_dimension]
    free = {
        number: min(range(len(problem.losses[number])), key=problem.losses[number].__getitem__) for number in unused
    }
    rest = math.fsum(problem.losses[number][option] for number, option in free.items())
    to_last = _Stage(final.parents, numpy.zeros(len(final.costs), numpy.int64), ((),))
    return Frontier(final.costs, final.losses + rest, exact, (*stages, to_last), free, len(problem.losses))


_Move: TypeAlias = tuple[New, float, float]
"""(the dimensions that it chose, its cost, its loss)."""


def _moves(walk: States, index: int, state: State) -> dict[State, list[_Move]]:
    """What a term can choose in a state, by the state that follows; of each the Pareto-optimal choices."""
    losses = walk.problem.losses
    found: defaultdict[State, list[_Move]] = defaultdict(list)
    for after, new, cost in walk.transitions(index, state):
        if cost != math.inf:
            found[after].append((new, cost, math.fsum(losses[number][option] for number, option in new)))
    return {after: _best(moves) for after, moves in found.items()}


def _best(moves: list[_Move]) -> list[_Move]:
    kept: list[_Move] = []
    for move in sorted(moves, key=lambda move: move[1:]):
        if not kept or move[2] < kept[-1][2]:
            kept.append(move)
    return kept


def _followed(labels: _Labels, moves: list[_Move], offset: int, chosen: dict[New, int]) -> _Labels:
    """Every label with every move."""
    numbers = numpy.array([chosen.setdefault(new, len(chosen)) for new, _, _ in moves], numpy.int64)
    costs = labels.costs[None, :] + numpy.array([cost for _, cost, _ in moves])[:, None]
    losses = labels.losses[None, :] + numpy.array([loss for _, _, loss in moves])[:, None]
    places = offset + numpy.arange(len(labels.costs))
    made = _Labels(costs.ravel(), losses.ravel(), numpy.tile(places, len(moves)), numpy.repeat(numbers, len(places)))
    return made if len(moves) == 1 else _pareto([made])


def _pareto(many: Iterable[_Labels]) -> _Labels:
    """Those that no other beats in cost and loss, by rising cost; of equals one."""
    lists = list(many)
    costs, losses = (_joined(getattr(one, name) for one in lists) for name in ("costs", "losses"))
    order = numpy.lexsort((losses, costs))
    sorted_losses = losses[order]
    least = numpy.minimum.accumulate(sorted_losses)
    keep = numpy.ones(len(order), bool)
    keep[1:] = sorted_losses[1:] < least[:-1]
    kept = order[keep]
    parents, moves = (_joined(getattr(one, name) for one in lists) for name in ("parents", "moves"))
    return _Labels(costs[kept], losses[kept], parents[kept], moves[kept])


def _thinned(labels: _Labels, share: float) -> _Labels:
    """A part of the pairs, the cheapest and the least lossy among them, at even steps of the cost."""
    count = max(2, int(share * len(labels.costs)))
    if len(labels.costs) <= count:
        return labels
    steps = numpy.linspace(labels.costs[0], labels.costs[-1], count)
    places = numpy.unique(numpy.searchsorted(labels.costs, steps, side="right") - 1)
    return _Labels(*(getattr(labels, name)[places] for name in ("costs", "losses", "parents", "moves")))


def _all(states: Mapping[State, _Labels]) -> tuple[Whole, Whole]:
    return _joined(one.parents for one in states.values()), _joined(one.moves for one in states.values())


def _joined(arrays: Iterable[Any]) -> Any:
    found = list(arrays)
    return numpy.concatenate(found) if found else numpy.zeros(0)
