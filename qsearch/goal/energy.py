"""The energy goal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from qsearch.energy.estimate import EnergySettings, price_plan, price_reference
from qsearch.energy.report import EnergyReport
from qsearch.goal.forgiving_factor import ForgivingFactor
from qsearch.graph.model_graph import ModelGraph
from qsearch.plan import NO_QUANTIZERS, QuantizationPlan


@dataclass(frozen=True)
class EnergyGoal:
    """Save energy. The reference and the trials may be priced for different memories."""

    unit: ClassVar[str] = "pJ"
    forgiving: ForgivingFactor
    reference_settings: EnergySettings
    trial_settings: EnergySettings

    def reference(self, graph: ModelGraph, plan: QuantizationPlan = NO_QUANTIZERS) -> EnergyReport:
        if plan.layers:
            return price_plan(graph, plan, self.reference_settings)
        return price_reference(graph, self.reference_settings)

    def trial(self, graph: ModelGraph, plan: QuantizationPlan) -> EnergyReport:
        return price_plan(graph, plan, self.trial_settings)
