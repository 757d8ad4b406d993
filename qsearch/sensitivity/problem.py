"""What is solved: choose an option of each dimension, so that losses that add up are least while a cost is kept to.

    minimise  Σ_d loss[d][x_d]   subject to   Σ_t cost_t(x of t's dimensions, signals that t reads) ≤ budget

The cost is that of a network of terms: each term (a call of a layer) depends on its own dimensions and on the signals
of the terms before it, which it reads, and hands on a signal itself. In a chain that makes the cost a sum of terms of
neighbours; in a merge, of the layers that meet there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from qsearch.energy.batch import PlanPricer
from qsearch.errors import ModelError
from qsearch.plan import LayerPlan
from qsearch.search.space import Choice, SearchedLayer, SearchSpace

Chosen: TypeAlias = tuple[int, ...]
"""The index of an option, of each dimension."""
Signals: TypeAlias = tuple[int, ...]
Priced: TypeAlias = tuple[int, float]
"""(the signal that is handed on, a cost); the cost is infinite where shapes do not fit together."""

HUNDREDTHS = 100
"""Energies have two decimals: counted in hundredths of a pJ they are whole numbers, whose sums are exact."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How a cost is counted in whole parts of its unit, whose sums are exact.

    Attributes:
        parts: of one of the unit: 100 of a pJ, 8 bits of a byte.
        place: of the cost among the pricer's sums; None for the energy.
    """

    parts: int
    place: int | None = None


ENERGY = Scale(parts=HUNDREDTHS)


@dataclass(frozen=True, kw_only=True)
class Term:
    """A part of the cost.

    Attributes:
        name: of the call.
        dimensions: those that it depends on itself, by their number.
        inputs: places of the signals that it reads.
        output: place of the signal that it gives.
        price: of options of `dimensions` and of signals, both in this order.
    """

    name: str
    dimensions: tuple[int, ...]
    inputs: tuple[int, ...]
    output: int
    price: Callable[[Chosen, Signals], Priced]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Losses by dimension and option, and the terms of the cost in an order in which each is known when it is read.

    Attributes:
        sources: by place, the signals that are there from the start.
    """

    losses: tuple[tuple[float, ...], ...]
    terms: tuple[Term, ...]
    sources: Mapping[int, int]

    def __post_init__(self) -> None:
        known = set(self.sources)
        for term in self.terms:
            if not known.issuperset(term.inputs):
                raise ValueError(f"term {term.name!r} must come after what it reads")
            known.add(term.output)
        if not all(math.isfinite(loss) for losses in self.losses for loss in losses):
            raise ValueError("losses must be finite")

    @cached_property
    def is_chain(self) -> bool:
        """Whether no more than one signal, and no dimension, is ever carried past a term that does not read it."""
        last_read = {place: index for index, term in enumerate(self.terms) for place in term.inputs}
        alone = all(len(set(term.inputs)) <= 1 for term in self.terms)
        passed = any(
            term.output in last_read and last_read[term.output] > index + 1 for index, term in enumerate(self.terms)
        )
        uses = [name for term in self.terms for name in term.dimensions]
        return alone and not passed and len(uses) == len(set(uses))

    def loss(self, chosen: Chosen) -> float:
        return math.fsum(losses[option] for losses, option in zip(self.losses, chosen, strict=True))

    def cost(self, chosen: Chosen) -> float:
        """Infinite where it means no model."""
        signals, costs = dict(self.sources), []
        for term in self.terms:
            own = tuple(chosen[name] for name in term.dimensions)
            signals[term.output], cost = term.price(own, tuple(signals[place] for place in term.inputs))
            if cost == math.inf:
                return math.inf
            costs.append(cost)
        return math.fsum(costs)

    def everything(self) -> Iterator[Chosen]:
        """All choices there are."""
        return itertools.product(*(range(len(losses)) for losses in self.losses))


def cost_problem(
    space: SearchSpace,
    pricer: PlanPricer,
    losses: Mapping[str, Mapping[Choice, float]],
    scale: Scale = ENERGY,
) -> tuple[Problem, tuple[str, ...], int]:
    """The problem of a space whose cost is the energy, or another sum over calls.

    Returns:
        (the problem, its cost in whole parts; the names of its dimensions, in order; parts that every plan has more).

    Args:
        losses: by dimension and option; dimensions without an entry are left out, as they change no plan.
    """
    named = [dimension for dimension in space.dimensions if dimension.name in losses]
    numbers = {dimension.name: number for number, dimension in enumerate(named)}
    options = [dimension.options for dimension in named]
    pricer = pricer.folded(space.plan({dimension.name: dimension.options[0] for dimension in space.dimensions}))
    layers = {layer.name: layer for layer in space.layers}
    terms = []
    for place, step in enumerate(pricer.steps):
        layer = layers.get(step.layer)
        own = () if layer is None else own_dimensions(layer)
        plan = _planner(space, layer, own, [options[numbers[name]] for name in own], space.base.get(step.layer))
        terms.append(
            Term(
                name=step.node.name,
                dimensions=tuple(numbers[name] for name in own),
                inputs=step.inputs,
                output=step.output,
                price=_price(pricer, place, plan, scale),
            )
        )
    sources = {place: signal for place, signal in enumerate(pricer.sources) if signal >= 0}
    found = tuple(tuple(losses[one.name][option] for option in one.options) for one in named)
    constant = 0 if scale.place is None else pricer.constants[scale.place]
    return Problem(losses=found, terms=tuple(terms), sources=sources), tuple(numbers), constant


def own_dimensions(layer: SearchedLayer) -> tuple[str, ...]:
    """The dimensions that decide a layer's plan."""
    width = () if layer.filters is None or layer.filters_dimension is None else (layer.filters_dimension,)
    return tuple(dict.fromkeys((*layer.dimensions.values(), *width)))


def _planner(
    space: SearchSpace,
    layer: SearchedLayer | None,
    own: Sequence[str],
    options: Sequence[tuple[Choice, ...]],
    before: LayerPlan | None,
) -> Callable[[Chosen], LayerPlan | None]:
    if layer is None:
        return lambda chosen: before
    known: dict[Chosen, LayerPlan] = {}

    def plan(chosen: Chosen) -> LayerPlan:
        if chosen not in known:
            taken = (of[option] for of, option in zip(options, chosen, strict=True))
            known[chosen] = space.layer_plan(layer, dict(zip(own, taken, strict=True)))
        return known[chosen]

    return plan


def _price(
    pricer: PlanPricer, place: int, plan: Callable[[Chosen], LayerPlan | None], scale: Scale
) -> Callable[[Chosen, Signals], Priced]:
    known: dict[tuple[Chosen, Signals], Priced] = {}

    def price(chosen: Chosen, signals: Signals) -> Priced:
        key = (chosen, signals)
        if key not in known:
            try:
                signal, energy, sums = pricer.term(place, plan(chosen), signals)
                parts = round(energy * scale.parts) if scale.place is None else sums[scale.place]
                known[key] = signal, float(parts)
            except ModelError:
                known[key] = -1, math.inf
        return known[key]

    return price
