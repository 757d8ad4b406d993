"""Plans ranked without training any of them: evolution over the whole trade-off, with the exact price."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from qsearch.goal.target import Target
from qsearch.quantizers.spec import QuantizerSpec, parse
from qsearch.search.candidates import Candidate, Candidates
from qsearch.search.children import children
from qsearch.search.draws import Draws, allowed
from qsearch.search.front import Point, front, hypervolume
from qsearch.search.uniform import spread_out, uniform_values

_UNIFORM = 12
"""Uniform plans that are looked at first."""
_BROOD = 24
"""Children of a generation that are measured."""
_LAYERS = 3
"""Fronts behind each other whose plans have children."""


@dataclass(frozen=True)
class Ranked:
    """A plan, and its metric on the selection set with the shared weights; NaN where it is no number."""

    candidate: Candidate
    metric: float

    def to_dict(self) -> dict[str, Any]:
        values = self.candidate.values.items()
        return {
            "values": {name: str(one) if isinstance(one, QuantizerSpec) else one for name, one in values},
            "energy": round(self.candidate.price.energy, 2),
            "cost": round(self.candidate.price.cost, 2),
            "metric": self.metric,
        }


def from_dict(candidates: Candidates, shown: Mapping[str, Any]) -> Ranked | None:
    """What `to_dict` gave, at the prices of today; None where it has none."""
    values = {name: parse(one) if isinstance(one, str) else one for name, one in shown["values"].items()}
    candidate = candidates.of(values)
    metric = math.nan if shown["metric"] is None else float(shown["metric"])
    return Ranked(candidate, metric) if isinstance(candidate, Candidate) else None


def evolve(
    draws: Draws,
    measure: Callable[[Candidate], float],
    target: Target,
    count: int,
    usable: Callable[[Candidate], bool] = lambda candidate: True,
) -> list[Ranked]:
    """Measure so many plans inside the budget, more and more of them near the best trade-off.

    First a few uniform plans and drawn ones, half of all; then children of the first fronts, generation after
    generation (Deb et al. 2002, doi:10.1109/4235.996017, with fronts alone).

    Args:
        measure: the metric of a plan.
        usable: whether a plan inside the budget may be a trial.
    """
    space, rng = draws.candidates.space, numpy.random.default_rng([draws.seed, 1])
    found: dict[Hashable, Ranked] = {}

    def look(candidate: Candidate) -> None:
        if len(found) < count and candidate.identity not in found and allowed(candidate) and usable(candidate):
            found[candidate.identity] = Ranked(candidate, measure(candidate))

    for candidate in (*_uniform(draws.candidates), draws.cheapest, draws.dearest):
        look(candidate)
    for _ in range(count):
        if len(found) >= (count + 1) // 2:
            break
        look(draws.draw(rng))
    idle = 0
    while len(found) < count and idle < 10:
        before = len(found)
        parents = [one.candidate.values for one in _leading(list(found.values()), target)]
        brood = [draws.candidates.of(values) for values in children(space, rng, parents, _BROOD)] if parents else []
        for one in brood:
            if isinstance(one, Candidate):
                look(one)
        idle = idle + 1 if len(found) == before else 0
    return list(found.values())


def promising(ranked: Sequence[Ranked], target: Target) -> list[Ranked]:
    """All of them, the most promising first: each adds the most to the hypervolume of those before it.

    What is left when nothing adds to it any more is put in order in the same way, behind. So the first K of them are
    spread over the front, whatever K is.
    """
    left = [one for one in ranked if math.isfinite(one.metric)]
    if not left:
        return []
    points = {id(one): Point(target.worth(one.metric), one.candidate.price.final_cost) for one in left}
    low = min(point.worth for point in points.values())
    high = max(point.worth for point in points.values())
    corner = Point(low - 0.01 * (high - low) - 1e-9, 1.01 * max(point.cost for point in points.values()))
    order: list[Ranked] = []
    taken: list[Point] = []
    while left:
        members = [left[index] for index in front([points[id(one)] for one in left])]
        area = hypervolume(taken, corner)
        gains = [hypervolume([*taken, points[id(one)]], corner) - area for one in members]
        best = int(numpy.argmax(gains))
        if gains[best] <= 0:
            if not taken:  # nothing adds to an empty front: all cost the same
                return [*order, *left]
            taken = []
            continue
        order.append(members[best])
        taken.append(points[id(members[best])])
        left.remove(members[best])
    return order


def _leading(ranked: Sequence[Ranked], target: Target) -> list[Ranked]:
    """The plans of the first fronts."""
    left = [one for one in ranked if math.isfinite(one.metric)]
    leading: list[Ranked] = []
    for _ in range(_LAYERS):
        points = [Point(target.worth(one.metric), one.candidate.price.final_cost) for one in left]
        members = {id(left[index]) for index in front(points)}
        leading += [one for one in left if id(one) in members]
        left = [one for one in left if id(one) not in members]
    return leading


def _uniform(candidates: Candidates) -> list[Candidate]:
    found = [candidates.of(values) for values in uniform_values(candidates.space)]
    inside = [one for one in found if isinstance(one, Candidate) and allowed(one)]
    costs = [one.price.final_cost for one in inside]
    return [inside[index] for index in spread_out([one.values for one in inside], costs, candidates.space, _UNIFORM)]
