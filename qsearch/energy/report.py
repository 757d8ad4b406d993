"""The energy of one inference, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Flag, auto
from functools import cached_property
from typing import Any

from qsearch.quantizers.number_types import NumberFormat


class Counted(Flag):
    """Which energies of a layer enter the total; the others are charged to its neighbours."""

    INPUTS = auto()
    PARAMETERS = auto()
    OPERATIONS = auto()
    OUTPUTS = auto()


_NAMES = (
    (Counted.INPUTS, "inputs"),
    (Counted.PARAMETERS, "parameters"),
    (Counted.OPERATIONS, "op_cost"),
    (Counted.OUTPUTS, "outputs"),
)


@dataclass(frozen=True, kw_only=True)
class LayerEnergy:
    """One layer. Energies in pJ, rounded to 0.01 as QTools does.

    Attributes:
        inputs, parameters, outputs: reading and writing them.
        op_cost: its operations.
        counted: which of the four enter the total.
        operations: how many multiplications (or additions, comparisons) it does.
        input_formats, weight_format, bias_format, accumulator_format, output_format: None where it has none.
    """

    name: str
    class_name: str
    inputs: float
    parameters: float
    op_cost: float
    outputs: float
    counted: Counted
    operations: int
    input_formats: tuple[NumberFormat, ...]
    output_format: NumberFormat
    weight_format: NumberFormat | None = None
    bias_format: NumberFormat | None = None
    accumulator_format: NumberFormat | None = None

    @cached_property
    def total(self) -> float:
        """The layer's part of the model's energy, pJ; not rounded again, so that int(report.total) is QTools' total."""
        parts = {
            "inputs": self.inputs,
            "parameters": self.parameters,
            "op_cost": self.op_cost,
            "outputs": self.outputs,
        }
        return sum(parts[name] for name in self.counted_names)

    @property
    def counted_names(self) -> tuple[str, ...]:
        """The same as `counted`, by the names of this record's energies."""
        return tuple(name for part, name in _NAMES if part in self.counted)

    def to_dict(self) -> dict[str, Any]:
        formats = {
            "input": [str(item) for item in self.input_formats],
            "weight": _text(self.weight_format),
            "bias": _text(self.bias_format),
            "accumulator": _text(self.accumulator_format),
            "output": str(self.output_format),
        }
        return {
            "class": self.class_name,
            "inputs": self.inputs,
            "parameters": self.parameters,
            "op_cost": self.op_cost,
            "outputs": self.outputs,
            "total": round(self.total, 2),
            "counted": list(self.counted_names),
            "operations": self.operations,
            "formats": {role: text for role, text in formats.items() if text is not None},
        }


@dataclass(frozen=True, kw_only=True)
class EnergyReport:
    """A model's energy.

    Attributes:
        layers: by node name, in topological order; inputs and dropout, which do nothing, are left out.
        total: sum of the layers' totals, pJ.
        notes: what was treated in a way worth knowing.
        source_formats: of the model's inputs, by name.
        priced_share: the part of the multiply-accumulates that is priced; the rest is in layers without a rule.
    """

    layers: Mapping[str, LayerEnergy]
    total: float
    notes: tuple[str, ...] = ()
    source_formats: Mapping[str, NumberFormat] = field(default_factory=dict)
    priced_share: float = 1.0

    def to_dict(self) -> dict[str, Any]:
        return {
            "total": round(self.total, 2),
            "priced_share": round(self.priced_share, 4),
            "layers": {name: layer.to_dict() for name, layer in self.layers.items()},
            "notes": list(self.notes),
        }


def _text(item: NumberFormat | None) -> str | None:
    return None if item is None else str(item)
