"""Random plans over the whole range of costs, and inside a budget."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TypeGuard

import numpy

from qsearch.search.candidates import Candidate, Candidates, Unpriced
from qsearch.search.cheapest import cheapest, dearest
from qsearch.search.encoding import groups, size
from qsearch.search.space import Choice, Values

_TILT = 4.0
_TRIES = 100
"""Draws until one is inside the budget."""


@dataclass(frozen=True)
class Draws:
    """Draws plans whose costs are spread from the cheapest to the dearest.

    Uniform choices add up to plans of a middling cost. Here each group of choices (kernels, activations, widths, ...)
    leans to one side in every draw: an option of rank r of its n by size is drawn in proportion to exp(t r / (n - 1)),
    with t uniform between -4 and 4 for the group.
    """

    candidates: Candidates
    seed: int

    @cached_property
    def _kinds(self) -> dict[str, str]:
        return groups(self.candidates.space)

    @cached_property
    def _ordered(self) -> dict[str, list[Choice]]:
        return {
            dimension.name: sorted(dimension.options, key=lambda one: size(self._kinds[dimension.name], one))
            for dimension in self.candidates.space.dimensions
        }

    def values(self, rng: numpy.random.Generator) -> dict[str, Choice]:
        """Drawn values, at any cost."""
        tilts = {name: rng.uniform(-_TILT, _TILT) for name in sorted(set(self._kinds.values()))}
        chosen = {}
        for name, options in self._ordered.items():
            ranks = numpy.arange(len(options)) / max(1, len(options) - 1)
            weights = numpy.exp(tilts[self._kinds[name]] * ranks)
            chosen[name] = options[int(rng.choice(len(options), p=weights / weights.sum()))]
        return chosen

    def draw(self, rng: numpy.random.Generator) -> Candidate:
        """A plan inside the budget: one that is drawn, or the cheapest where none of many is."""
        for _ in range(_TRIES):
            candidate = self.candidates.of(self.values(rng))
            if allowed(candidate):
                return candidate
        return self.cheapest

    def of_step(self, step: int) -> Candidate:
        """What a step of shared training trains: the dearest plan, one that is drawn, the cheapest, one that is drawn.

        The ends of the range in turn with what is between them is the sandwich rule (Yu and Huang 2019,
        arXiv:1903.05134), a step for each.
        """
        turn = step % 4
        if turn == 0:
            return self.dearest
        return self.cheapest if turn == 2 else self.draw(numpy.random.default_rng([self.seed, step]))

    @cached_property
    def cheapest(self) -> Candidate:
        """The cheapest plan."""
        found = self.candidates.of(cheapest(self.candidates.space, self._cost))
        assert isinstance(found, Candidate), "a space without a plan that has a price is refused before"
        return found

    @cached_property
    def dearest(self) -> Candidate:
        """The dearest plan inside the budget, as far as draws find it."""
        found = self.candidates.of(dearest(self.candidates.space, self._cost))
        if allowed(found):
            return found
        rng = numpy.random.default_rng([self.seed])
        return max((self.draw(rng) for _ in range(_TRIES)), key=lambda one: one.price.final_cost)

    def _cost(self, values: Values) -> float:
        found = self.candidates.of(values)
        return found.price.final_cost if isinstance(found, Candidate) else math.inf


def allowed(candidate: Candidate | Unpriced) -> TypeGuard[Candidate]:
    """Whether it has a price, and is inside the budget."""
    return isinstance(candidate, Candidate) and candidate.price.objection is None
