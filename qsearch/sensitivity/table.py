"""What quantizing one thing alone costs: a figure for each option of each choice."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qsearch.quantizers.spec import QuantizerSpec
from qsearch.search.space import Choice, SearchSpace


@dataclass(frozen=True, kw_only=True)
class Alone:
    """One option, everything else as it is in the reference.

    Attributes:
        layers: those that the choice quantizes together.
        part: what of them: "kernel", "activation", "filters", ...
        option: as plans show it.
        increase: of the loss per sample on the calibration set, measured; infinite where the loss was no number.
        fisher: the same as the diagonal of the empirical Fisher information estimates it; None where that says nothing,
            as for widths.
    """

    dimension: str
    layers: tuple[str, ...]
    part: str
    option: str
    increase: float
    fisher: float | None

    def to_dict(self) -> dict[str, Any]:
        return {
            "dimension": self.dimension,
            "layers": list(self.layers),
            "part": self.part,
            "option": self.option,
            "increase": self.increase if math.isfinite(self.increase) else None,
            "fisher": self.fisher,
        }

    @classmethod
    def from_dict(cls, shown: Mapping[str, Any]) -> Alone:
        """What `to_dict` gave."""
        increase = math.inf if shown["increase"] is None else shown["increase"]
        return cls(**{**shown, "layers": tuple(shown["layers"]), "increase": increase})


@dataclass(frozen=True, kw_only=True)
class SensitivityTable:
    """All of a space.

    Attributes:
        loss: per sample, of the model with none of its choices quantized.
        samples: of the calibration set.
        shared: whether one model measured all of it; else each option had a model of its own.
    """

    loss: float
    samples: int
    shared: bool
    rows: tuple[Alone, ...]

    def losses(self, space: SearchSpace) -> dict[str, dict[Choice, float]]:
        """The increases by dimension and option, finite: what gave no number stands for a thousand times the worst.

        Raises:
            KeyError: an option of the space that was not measured.
        """
        found = {(row.dimension, row.option): row.increase for row in self.rows}
        worst = max((abs(value) for value in found.values() if math.isfinite(value)), default=1.0) or 1.0
        return {
            dimension.name: {
                option: value if math.isfinite(value := found[dimension.name, shown(option)]) else 1e3 * worst
                for option in dimension.options
            }
            for dimension in space.dimensions
            if dimension.name in plan_dimensions(space)
        }

    def by_dimension(self) -> Iterator[tuple[str, Sequence[Alone]]]:
        """The rows of each choice, in order."""
        names = dict.fromkeys(row.dimension for row in self.rows)
        for name in names:
            yield name, [row for row in self.rows if row.dimension == name]

    def to_dict(self) -> dict[str, Any]:
        rows = [row.to_dict() for row in self.rows]
        return {"loss": self.loss, "samples": self.samples, "shared": self.shared, "rows": rows}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> SensitivityTable:
        """What `to_dict` gave."""
        return cls(**{**given, "rows": tuple(Alone.from_dict(row) for row in given["rows"])})


def shown(option: Choice) -> str:
    """An option as tables show it: a quantizer's text, or the factor of a width."""
    return str(option) if isinstance(option, QuantizerSpec) else f"{float(option):g}"


def plan_dimensions(space: SearchSpace) -> dict[str, tuple[tuple[str, ...], str]]:
    """(layers, part of them) by the name of each dimension that plans depend on; a learning rate is none of these."""
    found: dict[str, tuple[tuple[str, ...], str]] = {}
    for layer in space.layers:
        parts = [(name, role.value) for role, name in layer.dimensions.items()]
        if layer.filters is not None and layer.filters_dimension is not None:
            parts.append((layer.filters_dimension, "filters"))
        for name, part in parts:
            layers, _ = found.get(name, ((), part))
            found[name] = (*layers, layer.name) if layer.name not in layers else layers, part
    return found
