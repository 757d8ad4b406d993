"""Values by what they cost: the cheapest, the dearest, and those in the middle."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeVar

from qsearch.search.space import Choice, SearchSpace, Values

Cost = TypeVar("Cost", float, tuple[float, float])


def cheapest(
    space: SearchSpace, cost: Callable[[Values], Cost], start: Mapping[str, Choice] | None = None
) -> dict[str, Choice]:
    """Each choice in turn the cheapest, from the start or the first options, until none makes the whole cheaper.

    Args:
        cost: a number, or several of which the first one counts first.
    """
    values = {dimension.name: dimension.options[0] for dimension in space.dimensions} | dict(start or {})
    lowest: Cost | None = None
    while True:
        before = lowest
        for dimension in space.dimensions:
            options = [{**values, dimension.name: option} for option in dimension.options]
            costs = [cost(one) for one in options]
            lowest = min(costs)
            values = options[costs.index(lowest)]
        if lowest is None or (before is not None and not lowest < before):
            return values


def dearest(
    space: SearchSpace, cost: Callable[[Values], float], start: Mapping[str, Choice] | None = None
) -> dict[str, Choice]:
    """Each choice in turn the dearest, in the same way; what costs infinitely much cannot be, and is none."""

    def saved(values: Values) -> float:
        found = cost(values)
        return -found if found < math.inf else math.inf

    return cheapest(space, saved, start)


def middle(space: SearchSpace, cost: Callable[[Values], float]) -> dict[str, Choice]:
    """Of each choice the middle option by its cost (the cheaper of two), widths as in the reference."""
    widths = {layer.filters_dimension for layer in space.layers}
    values = {d.name: 1.0 if d.name in widths and 1.0 in d.options else d.options[0] for d in space.dimensions}
    for dimension in space.dimensions:
        if dimension.name in widths:
            continue
        options = [{**values, dimension.name: option} for option in dimension.options]
        order = sorted(range(len(options)), key=[cost(one) for one in options].__getitem__)
        values = options[order[(len(order) - 1) // 2]]
    return values
