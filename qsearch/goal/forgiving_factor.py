"""How much of the metric a saving is worth: the forgiving factor of AutoQKeras (Coelho et al. 2021)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from qsearch.graph.model_graph import ModelGraph
from qsearch.plan import NO_QUANTIZERS, QuantizationPlan


@dataclass(frozen=True)
class ForgivingFactor:
    """delta = d/100 · ln(stress · reference / trial) / ln(rate).

    Attributes:
        delta_p: d in percent where the trial costs less than stress · reference.
        delta_n: d in percent where it costs more.
        rate: the factor in cost that is worth d percent; > 1.
        stress: scales the reference; below 1 it asks for savings before anything is gained.
    """

    delta_p: float
    delta_n: float
    rate: float
    stress: float = 1.0

    def delta(self, reference: float, trial: float) -> float:
        """What a cost is worth, as a fraction of the metric.

        A trial without cost counts as the smallest cost there is, 1 (pJ, bit, byte or so), and so does a reference.
        """
        saving = math.log(self.stress * max(reference, 1.0) / max(trial, 1.0)) / math.log(self.rate)
        return (self.delta_p if saving >= 0 else self.delta_n) / 100 * saving

    def reference(self, delta: float, trial: float) -> float | None:
        """The reference's cost, reckoned back from what the cost of a trial is worth; None where it cannot be."""
        percent = self.delta_p if delta >= 0 else self.delta_n
        if not percent or not delta:
            return None
        return max(trial, 1.0) * math.exp(delta * 100 / percent * math.log(self.rate)) / self.stress

    @staticmethod
    def score(metric: float, delta: float) -> float:
        """metric · (1 + delta)."""
        return metric * (1 + delta)


class LayerCost(Protocol):
    @property
    def total(self) -> float: ...


class CostReport(Protocol):
    """A model's cost in a goal's unit, by layer."""

    @property
    def layers(self) -> Mapping[str, LayerCost]: ...

    @property
    def total(self) -> float: ...

    def to_dict(self) -> dict[str, Any]: ...


class Goal(Protocol):
    """What a search saves."""

    @property
    def unit(self) -> str:
        """Of its costs: `pJ`, `bits`, ...; see `config.costs`."""

    @property
    def forgiving(self) -> ForgivingFactor: ...

    def reference(self, graph: ModelGraph, plan: QuantizationPlan = NO_QUANTIZERS) -> CostReport:
        """The cost of the model that a search starts from, with the quantizers that it has, if any."""

    def trial(self, graph: ModelGraph, plan: QuantizationPlan) -> CostReport:
        """The cost of a plan."""
