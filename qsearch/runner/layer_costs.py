"""What each layer adds to a goal's cost, where that is no energy."""

from __future__ import annotations

from qsearch.goal import CostReport
from qsearch.goal.pricer import Costs
from qsearch.plan import QuantizationPlan
from qsearch.runs.figures import LayerCosts


def layer_costs(costs: Costs, goal: str, plan: QuantizationPlan | None) -> LayerCosts | None:
    """Of the reference and of the best plan; None where the goal is energy, which has tables of its own.

    Args:
        goal: its type.
    """
    if costs.goal is costs.energy_goal:
        return None

    def of(report: CostReport) -> dict[str, float]:
        return {name: round(layer.total, 2) for name, layer in report.layers.items()}

    best = None if plan is None else of(costs.cost(plan))
    return LayerCosts(goal=goal, unit=costs.unit, reference=of(costs.reference), best=best)
