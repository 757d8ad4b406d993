"""What a plan costs, and what costs are allowed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a plan costs.

    Attributes:
        cost: in the goal's unit.
        energy: in pJ, whatever the goal is.
        delta: what its cost is worth: score = metric · (1 + delta).
        final_cost: the cost that delta is reckoned from: that of the whole network with it, once the blocks to come
            are quantized too. The same as `cost` where none are to come.
        objection: why it is outside the budget, or None.
    """

    cost: float
    energy: float
    delta: float
    final_cost: float
    objection: str | None = None


@dataclass(frozen=True)
class Constraints:
    """What the best model must keep to.

    Attributes:
        energy: at most, pJ; cost: at most, in the goal's unit.
        metric: at least as good as this.
    """

    energy: float | None = None
    cost: float | None = None
    metric: float | None = None

    @property
    def limits_cost(self) -> bool:
        return self.energy is not None or self.cost is not None

    def objection(self, price: Price) -> str | None:
        """Why a plan of this price is outside the budget, or None."""
        for what, found, most in (("energy", price.energy, self.energy), ("cost", price.cost, self.cost)):
            if most is not None and found > most:
                return f"{what} {found:,.2f} is above the budget of {most:,.2f}"
        return None
