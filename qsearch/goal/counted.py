"""Goals that count operations or memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qsearch.config.costs import COST_KINDS
from qsearch.energy.estimate import EnergySettings, price_plan, price_reference
from qsearch.energy.footprint import layout
from qsearch.energy.measures import Measure, Sum, measures
from qsearch.energy.report import EnergyReport
from qsearch.goal.forgiving_factor import ForgivingFactor
from qsearch.graph import operations as ops
from qsearch.graph.built import built
from qsearch.graph.model_graph import ModelGraph
from qsearch.plan import NO_QUANTIZERS, QuantizationPlan


@dataclass(frozen=True)
class LayerCount:
    """What one layer adds to a cost."""

    total: float

    def to_dict(self) -> dict[str, float]:
        return {"total": self.total}


@dataclass(frozen=True)
class CountReport:
    """A cost by layer, and in all; of memory at once, by layer what is alive at the peak.

    Bytes are rounded up in all, and not by layer.
    """

    layers: Mapping[str, LayerCount]
    total: float

    def to_dict(self) -> dict[str, Any]:
        return {"total": self.total, "layers": {name: layer.to_dict() for name, layer in self.layers.items()}}


@dataclass(frozen=True, kw_only=True)
class CountedGoal:
    """Save one of `COUNTED`: operations, or memory.

    Attributes:
        kind: its name.
        reference_settings, trial_settings: which formats numbers have; those of the energy that is told beside.
    """

    kind: str
    forgiving: ForgivingFactor
    reference_settings: EnergySettings
    trial_settings: EnergySettings

    @property
    def unit(self) -> str:
        return COST_KINDS[self.kind].unit

    @property
    def measure(self) -> Measure:
        """How `PlanPricer` reckons it."""
        return measures(self.trial_settings.internal.bits)[self.kind]

    def reference(self, graph: ModelGraph, plan: QuantizationPlan = NO_QUANTIZERS) -> CountReport:
        if plan.layers:
            return self._of_plan(graph, plan, self.reference_settings)
        return self._report(graph, plan, price_reference(graph, self.reference_settings))

    def trial(self, graph: ModelGraph, plan: QuantizationPlan) -> CountReport:
        return self._of_plan(graph, plan, self.trial_settings)

    def _of_plan(self, graph: ModelGraph, plan: QuantizationPlan, settings: EnergySettings) -> CountReport:
        return self._report(*built(graph, plan), price_plan(graph, plan, settings))

    def _report(self, graph: ModelGraph, plan: QuantizationPlan, priced: EnergyReport) -> CountReport:
        measure, parts, seen = self.measure, dict[str, int](), set[str]()
        if isinstance(measure, Sum):
            for node in graph.nodes:
                layer = priced.layers.get(node.name)
                parts[node.name] = measure.of(node, plan.quantized(node.layer), layer, node.layer not in seen)
                seen.add(node.layer)
            whole = sum(parts.values())
        else:
            sizes = {}
            for node in graph.nodes:
                if not isinstance(node.operation, ops.Idle):
                    layer = priced.layers.get(node.name)
                    form = priced.source_formats[node.name] if layer is None else layer.output_format
                    sizes[node.name] = measure.size(node, form)
            parts = layout(graph, measure.in_place).at_peak(sizes)
            whole = sum(parts.values())
            parts = {node.name: parts.get(node.name, 0) for node in graph.nodes}
        layers = {name: LayerCount(found / measure.part) for name, found in parts.items()}
        return CountReport(layers, float(math.ceil(whole / measure.part)))
