"""The search space: named choices, and how a set of chosen values becomes a plan."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from qsearch.plan import Fold, LayerPlan, QuantizationPlan, Role
from qsearch.quantizers.spec import QuantizerSpec

Choice = QuantizerSpec | int | float
"""A quantizer, a factor of a width, or a step of the learning rate."""
Values = Mapping[str, Choice]
"""One option per dimension."""

FILTER_FACTORS: tuple[float, ...] = (0.5, 0.75, 1.0, 1.5, 2.0)
LEARNING_RATE = "learning_rate_step"
LEARNING_RATE_STEPS = 5
_NOTHING = LayerPlan()


def number(choice: Choice) -> float:
    """A choice that is a factor or a step."""
    assert not isinstance(choice, QuantizerSpec)
    return float(choice)


def _quantizer(choice: Choice) -> QuantizerSpec:
    assert isinstance(choice, QuantizerSpec)
    return choice


@dataclass(frozen=True)
class Dimension:
    """One choice of the search; layers that share it are always quantized alike."""

    name: str
    options: tuple[Choice, ...]

    def __post_init__(self) -> None:
        if not self.options:
            raise ValueError(f"dimension {self.name!r} must have an option")


@dataclass(frozen=True, kw_only=True)
class SearchedLayer:
    """A layer that a plan quantizes.

    Attributes:
        key: the entry of `limit` that governs it.
        dimensions: by role, the dimension that chooses its quantizer.
        fixed: by role, a quantizer that is not searched.
        filters: its filters in the reference, when they are searched; else None.
        filters_dimension: the dimension that chooses the factor.
        tied: the layers that must have one width, itself included, as their channels are added.
        fold: the batch normalization that it takes in.
    """

    name: str
    key: str
    dimensions: Mapping[Role, str] = field(default_factory=dict)
    fixed: Mapping[Role, QuantizerSpec] = field(default_factory=dict)
    filters: int | None = None
    filters_dimension: str | None = None
    tied: tuple[str, ...] = ()
    fold: Fold | None = None


@dataclass(frozen=True)
class Unsearched:
    """A layer, or an activation inside one, that stays as it is, and why."""

    layer: str
    class_name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """All dimensions, all searched layers, and notes about them.

    Attributes:
        base: what is decided already, of these layers or of others; a choice replaces it.
        order: in which plans list the layers of the whole network; empty for that of `layers`.
        unsearched: what is left out of the search.
    """

    dimensions: tuple[Dimension, ...]
    layers: tuple[SearchedLayer, ...]
    notes: tuple[str, ...] = ()
    base: QuantizationPlan = field(default_factory=QuantizationPlan)
    order: tuple[str, ...] = ()
    unsearched: tuple[Unsearched, ...] = ()

    @property
    def size(self) -> int:
        """The number of different sets of values."""
        return math.prod(len(dimension.options) for dimension in self.dimensions)

    @property
    def widths(self) -> frozenset[str]:
        """The dimensions that choose factors of widths."""
        return frozenset(layer.filters_dimension for layer in self.layers if layer.filters_dimension is not None)

    def has(self, values: Values) -> bool:
        """Whether these are values of this space: one of each dimension's options."""
        options = {one.name: one.options for one in self.dimensions}
        return values.keys() == options.keys() and all(values[name] in options[name] for name in values)

    def at_widths(self, choose: Callable[..., Choice]) -> dict[str, Choice]:
        """The first quantizers, and the greatest (`max`) or the least (`min`) widths."""
        widths = self.widths
        return {
            one.name: choose(one.options, key=number) if one.name in widths else one.options[0]
            for one in self.dimensions
        }

    def plan(self, values: Values) -> QuantizationPlan:
        """The plan that these values mean; filters are max(int(reference * factor), 1).

        Where a dimension has no value, what it chooses stays as it is; so does a layer of which nothing is chosen.
        """
        plans = dict(self.base.layers)
        for layer in self.layers:
            made = self.layer_plan(layer, values)
            undecided = layer.dimensions and not made.quantizers and made.filters is None and made.fold is None
            if not undecided:
                plans[layer.name] = made
        ordered = {name: plans[name] for name in self.order if name in plans}
        return QuantizationPlan(ordered | plans)

    def layer_plan(self, layer: SearchedLayer, values: Values) -> LayerPlan:
        """The plan of one of its layers, which the values of that layer's own dimensions decide.

        A role or a width whose dimension is not among the values stays as `base` has it: unquantized, mostly.
        """
        before = self.base.get(layer.name) or _NOTHING
        roles = {role: _quantizer(values[name]) for role, name in layer.dimensions.items() if name in values}
        chosen = {**layer.fixed, **roles}
        filters = before.filters
        factor = None if layer.filters_dimension is None else values.get(layer.filters_dimension)
        if layer.filters is not None and factor is not None:
            filters = max(int(layer.filters * number(factor)), 1)
        adaptive = before.adaptive and Role.ACTIVATION not in chosen
        fold = layer.fold or before.fold
        return LayerPlan({**before.quantizers, **chosen}, filters, fold, adaptive)

    def part(self, names: Collection[str], base: QuantizationPlan) -> SearchSpace:
        """The space of some of its layers, where `base` is decided already.

        A width that is decided stays. One that is not is chosen for all layers that are tied by it: those outside
        of the part follow, and stay unquantized.
        """
        decided = {name for name, plan in base.layers.items() if plan.filters is not None}
        inside = [
            replace(layer, filters=None, filters_dimension=None) if decided & {layer.name, *layer.tied} else layer
            for layer in self.layers
            if layer.name in names
        ]
        tied = {other for layer in inside if layer.filters_dimension is not None for other in layer.tied}
        following = [
            replace(layer, dimensions={}, fixed={}, fold=None)
            for layer in self.layers
            if layer.name in tied and layer.name not in names
        ]
        layers = (*inside, *following)
        used = {LEARNING_RATE}.union(*({*layer.dimensions.values(), layer.filters_dimension} for layer in layers))
        dimensions = tuple(dimension for dimension in self.dimensions if dimension.name in used)
        order = tuple(layer.name for layer in self.layers)
        return SearchSpace(
            dimensions=dimensions, layers=layers, notes=self.notes, base=base, order=order, unsearched=self.unsearched
        )

    def candidates(self, layer: SearchedLayer) -> int:
        """The number of different plans of one layer alone."""
        names = {*layer.dimensions.values()} | ({layer.filters_dimension} if layer.filters_dimension else set())
        return math.prod(len(dimension.options) for dimension in self.dimensions if dimension.name in names)
