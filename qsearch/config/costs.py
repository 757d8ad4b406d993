"""What goals save and budgets limit: the one list of costs, with the unit of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class CostKind:
    """A cost of one model.

    Attributes:
        name: of a goal's `type` and a budget's key.
        unit: of its figures: pJ, bits, bytes, MACs, BOPs or EBOPs.
        label: for people, as axes and tables have it.
        saving: what a goal of that type saves, in a line.
    """

    name: str
    unit: str
    label: str
    saving: str


COST_KINDS: Mapping[str, CostKind] = {
    kind.name: kind
    for kind in (
        CostKind(name="energy", unit="pJ", label="energy of one inference", saving="save energy, pJ of one inference"),
        CostKind(
            name="bits",
            unit="bits",
            label="bits that the goal counts",
            saving="save bits of parameters and activations",
        ),
        CostKind(
            name="macs",
            unit="MACs",
            label="multiply-accumulates (MACs)",
            saving="save multiply-accumulates; only widths change them",
        ),
        CostKind(
            name="bops",
            unit="BOPs",
            label="bit operations (BOPs)",
            saving="save bit operations: MACs · weight bits · input bits",
        ),
        CostKind(
            name="ebops",
            unit="EBOPs",
            label="effective bit operations (EBOPs), at most",
            saving="save effective bit operations, as formats bound them",
        ),
        CostKind(
            name="weight_memory",
            unit="bytes",
            label="memory of parameters, bit by bit",
            saving="save memory of parameters, stored bit by bit",
        ),
        CostKind(
            name="activation_memory",
            unit="bytes",
            label="memory of all activations, bit by bit",
            saving="save memory of all layers' outputs together",
        ),
        CostKind(
            name="peak_activation",
            unit="bytes",
            label="memory of activations at once, bit by bit",
            saving="save memory of activations that are alive at once",
        ),
        CostKind(
            name="flash",
            unit="bytes",
            label="memory of parameters, whole bytes",
            saving="save memory of parameters, each in 1, 2 or 4 bytes",
        ),
        CostKind(
            name="ram",
            unit="bytes",
            label="memory of activations at once, whole bytes",
            saving="save memory of activations at once, each in 1, 2 or 4 bytes",
        ),
    )
}
COUNTED = tuple(name for name in COST_KINDS if name not in ("energy", "bits"))
"""Those whose goals have the parameters of an energy goal: formats decide them."""
