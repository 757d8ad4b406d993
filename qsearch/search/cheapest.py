"""The values of least cost."""

from __future__ import annotations

import math
from collections.abc import Callable

from qsearch.search.space import Choice, SearchSpace, Values


def cheapest(space: SearchSpace, cost: Callable[[Values], float]) -> dict[str, Choice]:
    """Each choice in turn the cheapest, until none makes the whole cheaper."""
    values = {dimension.name: dimension.options[0] for dimension in space.dimensions}
    lowest = math.inf
    while True:
        before = lowest
        for dimension in space.dimensions:
            options = [{**values, dimension.name: option} for option in dimension.options]
            costs = [cost(one) for one in options]
            lowest = min(costs)
            values = options[costs.index(lowest)]
        if not lowest < before:
            return values
