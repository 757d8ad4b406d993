"""The search space: named choices, and how a set of chosen values becomes a plan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from qsearch.plan import LayerPlan, QuantizationPlan, Role
from qsearch.quantizers.spec import QuantizerSpec, parse

Choice = str | int | float
Values = Mapping[str, Choice]
"""One option per dimension, as written to trials.jsonl."""

FILTER_FACTORS: tuple[float, ...] = (0.5, 0.75, 1.0, 1.5, 2.0)
LEARNING_RATE = "learning_rate_step"
LEARNING_RATE_STEPS = 5


@dataclass(frozen=True)
class Dimension:
    """One choice of the search; layers that share it are always quantized alike."""

    name: str
    options: tuple[Choice, ...]

    def __post_init__(self) -> None:
        if not self.options:
            raise ValueError(f"dimension {self.name!r} must have an option")


@dataclass(frozen=True)
class SearchedLayer:
    """A layer that a plan quantizes.

    Attributes:
        key: the entry of `limit` that governs it.
        dimensions: by role, the dimension that chooses its quantizer.
        fixed: by role, a quantizer that is not searched.
        filters: its filters in the reference, when they are searched; else None.
        filters_dimension: the dimension that chooses the factor.
    """

    name: str
    key: str
    dimensions: Mapping[Role, str] = field(default_factory=dict)
    fixed: Mapping[Role, QuantizerSpec] = field(default_factory=dict)
    filters: int | None = None
    filters_dimension: str | None = None


@dataclass(frozen=True)
class SearchSpace:
    """All dimensions, all searched layers, and notes about layers that stay as they are and why."""

    dimensions: tuple[Dimension, ...]
    layers: tuple[SearchedLayer, ...]
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """The number of different sets of values."""
        return math.prod(len(dimension.options) for dimension in self.dimensions)

    def plan(self, values: Values) -> QuantizationPlan:
        """The plan that these values mean; filters are max(int(reference * factor), 1)."""
        plans: dict[str, LayerPlan] = {}
        for layer in self.layers:
            chosen = {role: parse(str(values[name])) for role, name in layer.dimensions.items()}
            filters = None
            if layer.filters is not None and layer.filters_dimension is not None:
                filters = max(int(layer.filters * float(values[layer.filters_dimension])), 1)
            plans[layer.name] = LayerPlan({**layer.fixed, **chosen}, filters)
        return QuantizationPlan(plans)

    def candidates(self, layer: SearchedLayer) -> int:
        """The number of different plans of one layer alone."""
        names = {*layer.dimensions.values()} | ({layer.filters_dimension} if layer.filters_dimension else set())
        return math.prod(len(dimension.options) for dimension in self.dimensions if dimension.name in names)
