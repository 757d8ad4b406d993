"""Children of plans: some choices of theirs changed, some taken from another parent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy

from qsearch.search.space import Choice, SearchSpace, Values


def random_values(space: SearchSpace, rng: numpy.random.Generator) -> dict[str, Choice]:
    """Uniform choices."""
    return {d.name: d.options[int(rng.integers(len(d.options)))] for d in space.dimensions}


def children(
    space: SearchSpace, rng: numpy.random.Generator, parents: Sequence[Values], count: int
) -> list[dict[str, Choice]]:
    """So many children, of each parent in turn.

    One of 20 is a stranger, a quarter has each choice from either of two parents; of each a few choices are changed,
    1 / 0.45 in the mean.
    """
    names = [dimension.name for dimension in space.dimensions if len(dimension.options) > 1]
    options = {dimension.name: dimension.options for dimension in space.dimensions}
    found: list[dict[str, Choice]] = []
    for index in range(count):
        child = dict(parents[index % len(parents)])
        kind = rng.random()
        if kind < 0.05:
            child = random_values(space, rng)
        elif kind < 0.3 and len(parents) > 1:
            other = parents[int(rng.integers(len(parents)))]
            child = {name: (child if rng.random() < 0.5 else other)[name] for name in child}
        changes = int(rng.geometric(0.45))
        for name in rng.choice(names, min(changes, len(names)), replace=False):
            child[str(name)] = options[str(name)][int(rng.integers(len(options[str(name)])))]
        found.append(child)
    return found
