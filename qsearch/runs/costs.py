"""costs.json: what is known of a run while it goes on, beside its trials; what trials cost beside energy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qsearch.energy.metrics import ModelMetrics
from qsearch.runs.figures import Energies, Part, Reference


class PlanCosts(Part):
    """One inference of a plan.

    Attributes:
        macs: multiply-accumulates; bops: bit operations; see `energy.metrics.ModelMetrics`.
        ebops: effective bit operations at most: zeros and short codes of trained weights make them fewer.
        parameter_bits, activation_bits: of all parameters, of all layers' outputs.
        weight_bytes: parameters, bit by bit.
        peak_activation_bytes: activations that are alive at once.
        flash, ram: parameters, and activations at once, in whole bytes; None of versions that did not tell.
    """

    macs: int
    bops: int
    ebops: int
    parameter_bits: int
    activation_bits: int
    weight_bytes: int
    peak_activation_bytes: int
    flash: int | None = None
    ram: int | None = None

    @classmethod
    def of(cls, metrics: ModelMetrics, ebops: int) -> PlanCosts:
        """What a plan was priced at."""
        return cls(
            macs=metrics.macs,
            bops=metrics.bops,
            ebops=ebops,
            parameter_bits=metrics.parameter_bits,
            activation_bits=metrics.activation_bits,
            weight_bytes=metrics.weight_bytes,
            peak_activation_bytes=metrics.peak_activation_bytes,
            flash=metrics.footprint.weights,
            ram=metrics.footprint.activations,
        )

    def of_kind(self, name: str) -> float | None:
        """A cost by its name in `config.costs`; None of what is not told here."""
        match name:
            case "weight_memory":
                return float(self.weight_bytes)
            case "peak_activation":
                return float(self.peak_activation_bytes)
            case "activation_memory":
                return float(-(-self.activation_bits // 8))
            case "macs" | "bops" | "ebops" | "flash" | "ram":
                found = getattr(self, name)
                return None if found is None else float(found)
            case _:
                return None


class RunCosts(Part):
    """The content of costs.json.

    Attributes:
        unit: of costs; energies are in pJ.
        direction: "max" or "min", of the target metric.
        reference: the trained reference.
        energies: of the reference and of the best plan so far, per layer.
        reference_costs: of the reference.
        trials: by number, of the trials that have a price.
    """

    model: str
    dataset: str
    unit: str
    target_metric: str
    direction: str
    validation: str | float
    reference: Reference
    reference_costs: PlanCosts
    energies: Energies
    trials: Mapping[int, PlanCosts]

    def to_dict(self) -> dict[str, Any]:
        """The content of costs.json."""
        return self.model_dump(mode="json", by_alias=True)
