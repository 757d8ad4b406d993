"""What a plan costs, and what costs are allowed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from qsearch.config.budget import BudgetConfig
from qsearch.config.costs import COST_KINDS


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a plan costs.

    Attributes:
        cost: in the goal's unit.
        energy: in pJ, whatever the goal is.
        delta: what its cost is worth: score = metric · (1 + delta).
        final_cost: the cost that delta is reckoned from: that of the whole network with it, once the blocks to come
            are quantized too. The same as `cost` where none are to come.
        spent: further costs that a budget limits, by their names in `config.costs`.
        objection: why it is outside the budget, or None.
        excess: how far it is outside; see `Constraints.excess`.
    """

    cost: float
    energy: float
    delta: float
    final_cost: float
    spent: Mapping[str, float] = field(default_factory=dict, hash=False)
    objection: str | None = None
    excess: float = 0.0

    def of(self, key: str) -> float:
        """What a key of the budget limits: `energy`, `cost`, or one of `spent`."""
        return {"energy": self.energy, "cost": self.cost, **self.spent}[key]


@dataclass(frozen=True)
class Constraints:
    """What the best model must keep to.

    Attributes:
        energy: at most, pJ; cost: at most, in the goal's unit.
        metric: at least as good as this.
        further: at most, by names in `config.costs`; prices tell them in `spent`.
    """

    energy: float | None = None
    cost: float | None = None
    metric: float | None = None
    further: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def limits(self) -> dict[str, float]:
        """What is limited, by the budget's key, and to what."""
        own = {"energy": self.energy, "cost": self.cost}
        return {**{key: most for key, most in own.items() if most is not None}, **self.further}

    @property
    def limits_cost(self) -> bool:
        return bool(self.limits)

    def objection(self, price: Price) -> str | None:
        """Why a plan of this price is outside the budget, or None."""
        broken = [
            f"{told_cost(key, price.of(key))} is above the budget of {told_amount(key, most)}"
            for key, most in self.limits.items()
            if price.of(key) > most
        ]
        return "; ".join(broken) or None

    def excess(self, price: Price) -> float:
        """How far a price is outside the budget: the sum of ln(cost / limit) of what is above; 0 inside."""
        return math.fsum(math.log(price.of(key) / most) for key, most in self.limits.items() if price.of(key) > most)


def budget_of(config: BudgetConfig) -> Constraints:
    """What `run.budget` allows."""
    return Constraints(config.energy, config.cost, further=config.further)


def told_cost(key: str, amount: float) -> str:
    """`energy 12.34`, `weight_memory 1,234 bytes`."""
    return f"{key} {told_amount(key, amount)}"


def told_amount(key: str, amount: float) -> str:
    """A limit, or what is held against it: to 0.01 of pJ and of the goal's cost, of all others with their unit."""
    if key in ("energy", "cost"):
        return f"{amount:,.2f}"
    return f"{amount:,.10g} {COST_KINDS[key].unit}"
