"""Uniform plans: every kernel alike, every activation alike, one width. The best first guesses that cost nothing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from qsearch.plan import Role
from qsearch.search.encoding import FILTERS, groups, size
from qsearch.search.space import Choice, SearchSpace, Values, number

_LEVELS = 6
"""Sizes of each group that are combined, at most."""


def uniform_values(space: SearchSpace) -> list[dict[str, Choice]]:
    """Values in which all dimensions of a group stand for nearly the same size.

    Kernels, activations and widths are combined; everything else (biases, learning rates) takes its largest size,
    as it costs next to nothing.
    """
    kinds = groups(space)
    combined = [name for name in (Role.KERNEL.value, Role.ACTIVATION.value, FILTERS) if name in kinds.values()]
    levels = [_levels(space, kinds, name) for name in combined]
    distinct: dict[tuple[Choice, ...], dict[str, Choice]] = {}
    for sizes in itertools.product(*levels):
        wanted = dict(zip(combined, sizes, strict=True))
        values = {d.name: _nearest(d.options, kinds[d.name], wanted.get(kinds[d.name])) for d in space.dimensions}
        distinct.setdefault(tuple(values.values()), values)
    return list(distinct.values())


def spread_out(values: Sequence[Values], costs: Sequence[float], space: SearchSpace, count: int) -> list[int]:
    """Indexes of `count` uniform values from cheap to dear, each the least noisy near its cost.

    Only values that are not beaten in both cost and noise are taken, at even steps of the logarithm of the cost.
    """
    logarithms = [math.log(max(cost, 1e-12)) for cost in costs]
    noises = [_noise(space, one) for one in values]
    order = sorted(range(len(values)), key=lambda index: (logarithms[index], noises[index]))
    best: list[int] = []
    for index in order:
        if not best or noises[index] < noises[best[-1]]:
            best.append(index)
    return [best[place] for place in evenly([costs[index] for index in best], count)]


def evenly(costs: Sequence[float], count: int) -> list[int]:
    """Indexes of `count` of these costs at even steps of their logarithm, by rising cost; of all where there are fewer.

    Args:
        costs: by rising cost.
    """
    if len(costs) <= count:
        return list(range(len(costs)))
    logarithms = [math.log(max(cost, 1e-12)) for cost in costs]
    chosen: list[int] = []
    for step in range(count):
        goal = logarithms[0] + (logarithms[-1] - logarithms[0]) * (step + 0.5) / count
        left = [index for index in range(len(costs)) if index not in chosen]
        chosen.append(min(left, key=lambda index: (abs(logarithms[index] - goal), index)))
    return sorted(chosen)


def _levels(space: SearchSpace, kinds: dict[str, str], group: str) -> list[float]:
    sizes = sorted({size(group, option) for d in space.dimensions if kinds[d.name] == group for option in d.options})
    if len(sizes) <= _LEVELS:
        return sizes
    return [sizes[round(step * (len(sizes) - 1) / (_LEVELS - 1))] for step in range(_LEVELS)]


def _nearest(options: Sequence[Choice], group: str, wanted: float | None) -> Choice:
    if wanted is None:
        return max(options, key=lambda option: size(group, option))
    return min(options, key=lambda option: abs(size(group, option) - wanted))


def _noise(space: SearchSpace, values: Values) -> float:
    """How much a plan is expected to lose: quantization noise falls by 4 with each bit (Widrow 1956), the loss of
    narrow layers in proportion to their width."""
    kinds = groups(space)
    total = 0.0
    for dimension in space.dimensions:
        group, option = kinds[dimension.name], values[dimension.name]
        if group == FILTERS:
            total += 0.05 / number(option)
        elif group in (Role.KERNEL.value, Role.ACTIVATION.value):
            total += 4.0 ** -(2 ** size(group, option))
    return total
