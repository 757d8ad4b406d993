"""What a plan of one block is worth, when other blocks are still to come."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from qsearch.blocks.schedule import Schedule, Stage
from qsearch.errors import ModelError
from qsearch.goal.price import Constraints, Price
from qsearch.goal.pricer import Costs
from qsearch.plan import QuantizationPlan
from qsearch.search.cheapest import cheapest, middle
from qsearch.search.space import Choice, SearchSpace, Values

Rank = tuple[float, float]
Choose = Callable[[SearchSpace], dict[str, Choice]]
_NOTHING = (math.inf, math.inf)


@dataclass(frozen=True)
class LookaheadPricer:
    """Prices of the plans of a stage.

    Saving half of a block's energy hardly counts while all other blocks cost what they cost in the reference, and much
    once they are quantized. So a plan is worth what the whole network would be with it, each choice of the blocks to
    come being the middle one by its cost. In the last block, that is the plan's own cost.

    Attributes:
        typical: what the blocks to come will be like; None where they are priced as the reference.
        least: plans of theirs that spend little: the one nearest to the whole budget, then the least of each cost that
            it limits. Empty where there is no budget, or nothing to come.
    """

    costs: Costs
    constraints: Constraints
    typical: QuantizationPlan | None = None
    least: tuple[QuantizationPlan, ...] = ()

    def price(self, plan: QuantizationPlan) -> Price:
        """Cost and energy of a plan of the stage as it is, with the delta of what it is worth."""
        price = self.costs.price(plan)
        ahead = price if self.typical is None else self.ahead(plan)
        objection, excess = self._judged(plan, price)
        return replace(price, delta=ahead.delta, final_cost=ahead.cost, objection=objection, excess=excess)

    def ahead(self, plan: QuantizationPlan) -> Price:
        """The price of the whole network with the plan, once the blocks to come are quantized too."""
        return self.costs.price(plan if self.typical is None else completed(plan, self.typical))

    def _judged(self, plan: QuantizationPlan, price: Price) -> tuple[str | None, float]:
        """Why a plan is outside the budget, and how far.

        The budget is for the whole model: a plan is inside where one of the ways to go on keeps to all of it.
        """
        if not self.least:
            return self.constraints.objection(price), self.constraints.excess(price)
        nearest: tuple[str | None, float] | None = None
        for rest in self.least:
            whole = self.costs.price(completed(plan, rest))
            told, excess = self.constraints.objection(whole), self.constraints.excess(whole)
            if told is None:
                return None, 0.0
            if nearest is None or excess < nearest[1]:
                nearest = f"with the cheapest of the blocks to come, {told}", excess
        assert nearest is not None
        return nearest


def lookahead(
    costs: Costs, constraints: Constraints, schedule: Schedule, stage: Stage, space: SearchSpace, ahead: bool
) -> LookaheadPricer:
    """The pricer of a stage whose part of the space is `space`; ahead: whether blocks to come count as quantized."""
    if not stage.later:
        return LookaheadPricer(costs, constraints)

    def rest(choose: Choose) -> QuantizationPlan:
        chosen = space.plan(choose(space))
        part = schedule.space.part(stage.later, chosen)
        plan = part.plan(choose(part))
        return QuantizationPlan({name: plan.layers[name] for name in plan if name in stage.later})

    def least(rank: Callable[[Price], Rank]) -> Choose:
        return lambda part: cheapest(part, rank_in(part, costs, rank))

    ranks = [by_excess(constraints), *map(by_cost, constraints.limits)] if constraints.limits_cost else []
    return LookaheadPricer(
        costs,
        constraints,
        rest(lambda part: middle(part, cost_in(part, costs))) if ahead else None,
        tuple(dict.fromkeys(rest(least(rank)) for rank in ranks)),
    )


def by_excess(constraints: Constraints) -> Callable[[Price], Rank]:
    """The nearest to a budget first; of those inside it the cheapest."""
    return lambda price: (constraints.excess(price), price.cost)


def by_cost(key: str) -> Callable[[Price], Rank]:
    """The least of one cost first; of equal ones, as there are of what is a maximum, that of the least energy."""
    return lambda price: (price.of(key), price.energy)


def rank_in(space: SearchSpace, costs: Costs, rank: Callable[[Price], Rank]) -> Callable[[Values], Rank]:
    """The rank of values of a space; the last for widths that do not fit together."""

    def ranked(values: Values) -> Rank:
        try:
            return rank(costs.price(space.plan(values)))
        except ModelError:
            return _NOTHING

    return ranked


def cost_in(space: SearchSpace, costs: Costs) -> Callable[[Values], float]:
    """The cost of values of a space; infinite for widths that do not fit together."""
    ranked = rank_in(space, costs, lambda price: (price.cost, 0.0))
    return lambda values: ranked(values)[0]


def completed(plan: QuantizationPlan, rest: QuantizationPlan) -> QuantizationPlan:
    """A plan, and what the blocks to come add to it; widths that it has decided stay."""
    added = {}
    for name, layer in rest.layers.items():
        own = plan.get(name)
        filters = layer.filters if own is None or own.filters is None else own.filters
        added[name] = replace(layer, filters=filters)
    return QuantizationPlan({**plan.layers, **added})
