"""What a plan costs, and what costs are allowed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Price:
    """The cost of a plan in the goal's unit, its energy in pJ, and what that cost is worth."""

    cost: float
    energy: float
    delta: float


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
