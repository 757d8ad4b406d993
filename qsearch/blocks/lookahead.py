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

Choose = Callable[[SearchSpace, Callable[[Values], float]], dict[str, Choice]]


@dataclass(frozen=True)
class LookaheadPricer:
    """Prices of the plans of a stage.

    Saving half of a block's energy hardly counts while all other blocks cost what they cost in the reference, and much
    once they are quantized. So a plan is worth what the whole network would be with it, each choice of the blocks to
    come being the middle one by its cost. In the last block, that is the plan's own cost.

    Attributes:
        typical: what the blocks to come will be like; None where they are priced as the reference.
        least: their cheapest plan; None where there is no budget, or nothing to come.
    """

    costs: Costs
    constraints: Constraints
    typical: QuantizationPlan | None = None
    least: QuantizationPlan | None = None

    def price(self, plan: QuantizationPlan) -> Price:
        """Cost and energy of a plan of the stage as it is, with the delta of what it is worth."""
        price = self.costs.price(plan)
        ahead = price if self.typical is None else self.ahead(plan)
        return replace(price, delta=ahead.delta, final_cost=ahead.cost, objection=self._objection(plan, price))

    def ahead(self, plan: QuantizationPlan) -> Price:
        """The price of the whole network with the plan, once the blocks to come are quantized too."""
        return self.costs.price(plan if self.typical is None else completed(plan, self.typical))

    def _objection(self, plan: QuantizationPlan, price: Price) -> str | None:
        """Why a plan is outside the budget, which is for the whole model, whatever the blocks to come choose."""
        if self.least is None:
            return self.constraints.objection(price)
        told = self.constraints.objection(self.costs.price(completed(plan, self.least)))
        return None if told is None else f"with the cheapest of the blocks to come, {told}"


def lookahead(
    costs: Costs, constraints: Constraints, schedule: Schedule, stage: Stage, space: SearchSpace, ahead: bool
) -> LookaheadPricer:
    """The pricer of a stage whose part of the space is `space`; ahead: whether blocks to come count as quantized."""
    if not stage.later:
        return LookaheadPricer(costs, constraints)

    def rest(choose: Choose) -> QuantizationPlan:
        chosen = space.plan(choose(space, cost_in(space, costs)))
        part = schedule.space.part(stage.later, chosen)
        plan = part.plan(choose(part, cost_in(part, costs)))
        return QuantizationPlan({name: plan.layers[name] for name in plan if name in stage.later})

    return LookaheadPricer(
        costs, constraints, rest(middle) if ahead else None, rest(cheapest) if constraints.limits_cost else None
    )


def cost_in(space: SearchSpace, costs: Costs) -> Callable[[Values], float]:
    """The cost of values of a space; infinite for widths that do not fit together."""

    def cost(values: Values) -> float:
        try:
            return costs.price(space.plan(values)).cost
        except ModelError:
            return math.inf

    return cost


def completed(plan: QuantizationPlan, rest: QuantizationPlan) -> QuantizationPlan:
    """A plan, and what the blocks to come add to it; widths that it has decided stay."""
    added = {}
    for name, layer in rest.layers.items():
        own = plan.get(name)
        filters = layer.filters if own is None or own.filters is None else own.filters
        added[name] = replace(layer, filters=filters)
    return QuantizationPlan({**plan.layers, **added})
