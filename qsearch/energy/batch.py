"""Prices of thousands of plans a second: every layer is priced once for each combination that it meets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from qsearch.energy.estimate import (
    EnergySettings,
    NodePricer,
    from_outside,
    last_nodes,
    price_plan,
    source_formats,
)
from qsearch.energy.footprint import Layout, layout
from qsearch.energy.measures import Measure, Peak, Sum
from qsearch.graph import operations as ops
from qsearch.graph.built import built, output_node
from qsearch.graph.model_graph import ModelGraph, Node, Shape
from qsearch.graph.resize import as_read, resize, with_folds
from qsearch.plan import Fold, LayerPlan, QuantizationPlan, Role
from qsearch.quantizers.number_types import NumberFormat


@dataclass(frozen=True, kw_only=True)
class Step:
    """A node to price: where its inputs and its output stand in the list of signals.

    Attributes:
        layer: the one whose plan counts.
        producers: the shapes that its inputs' nodes give without any plan.
        first: whether it is the first call of its layer.
    """

    node: Node
    layer: str
    inputs: tuple[int, ...]
    output: int
    producers: tuple[Shape, ...]
    outside: bool
    last: bool
    first: bool


class _Priced(NamedTuple):
    """A call of a layer with a plan: what it hands on, and what it adds to each cost."""

    signal: int
    energies: tuple[float, ...]
    sums: tuple[int, ...]
    sizes: tuple[dict[str, int], ...]


class PlanPricer:
    """The totals of many plans for one graph; equal to `price_plan(...).total`, to the last bit.

    Further costs (`measures`) are sums and peaks over the same layers; what is not asked for is not reckoned. A layer's
    share depends on its plan and on the formats and shapes of its inputs alone, so it is worked out once for each such
    combination. Memory grows with the number of combinations met.
    """

    def __init__(
        self,
        graph: ModelGraph,
        settings: EnergySettings,
        folds: frozenset[tuple[str, Fold]] = frozenset(),
        *,
        measures: Sequence[Measure] = (),
        unfolded: ModelGraph | None = None,
    ) -> None:
        """
        Args:
            folds: of the plans that it prices; `graph` has them already, and `unfolded` has not.
            measures: further costs, in the order of `totals`.
        """
        self._graph = graph
        self._unfolded = graph if unfolded is None else unfolded
        self._measures = tuple(measures)
        self._sums = tuple(one for one in self._measures if isinstance(one, Sum))
        self._peaks = tuple(one for one in self._measures if isinstance(one, Peak))
        self._folds = folds
        self._settings = settings
        self._nodes = NodePricer(settings, reference=False)
        self._signals: list[tuple[NumberFormat, Shape]] = []
        self._shapes: dict[Shape, int] = {}
        self._shape_of: list[int] = []
        """The number of the shape of each signal."""
        self._layouts: dict[tuple[object, ...], tuple[Layout, ...]] = {}
        self._constant = [0 for _ in self._sums]
        """What nodes without a price add."""
        self._start_sizes: list[dict[str, int]] = [{} for _ in self._peaks]
        self._signal_ids: dict[tuple[NumberFormat, Shape], int] = {}
        self._start, self._steps = self._compile()
        self._known = {step.layer for step in self._steps}
        self._prices: list[dict[tuple[object, ...], _Priced]] = [{} for _ in self._steps]
        self._folded: dict[frozenset[tuple[str, Fold]], PlanPricer] = {}

    def _compile(self) -> tuple[list[int], list[Step]]:
        """(signals of the model's inputs, then room for the others; the nodes to price)."""
        graph, places = self._graph, dict[str, int]()
        sources = iter(source_formats(graph, self._settings))
        outside, last = from_outside(graph), last_nodes(graph)
        shapes = {node.name: node.output_shape for node in graph.nodes}
        start: list[int] = []
        steps: list[Step] = []
        seen: set[str] = set()
        for node in graph.nodes:
            if isinstance(node.operation, ops.Idle | ops.Input):
                parts = (one.of(node, None, None, node.layer not in seen) for one in self._sums)
                self._constant = [before + part for before, part in zip(self._constant, parts, strict=True)]
            first = node.layer not in seen
            seen.add(node.layer)
            if isinstance(node.operation, ops.Idle):
                places[node.name] = places[node.inputs[0]]
                continue
            places[node.name] = len(start)
            if isinstance(node.operation, ops.Input):
                form = next(sources)
                start.append(self._signal(form, node.output_shape))
                for sizes, one in zip(self._start_sizes, self._peaks, strict=True):
                    sizes[node.name] = one.size(node, form)
                continue
            start.append(-1)
            inputs = tuple(places[name] for name in node.inputs)
            reads_input = any(name in outside for name in node.inputs)
            producers = tuple(shapes[name] for name in node.inputs)
            steps.append(
                Step(
                    node=node,
                    layer=node.layer,
                    inputs=inputs,
                    output=places[node.name],
                    producers=producers,
                    outside=reads_input,
                    last=node.name in last,
                    first=first,
                )
            )
        return start, steps

    def _signal(self, form: NumberFormat, shape: Shape) -> int:
        key = (form, shape)
        if key not in self._signal_ids:
            self._signal_ids[key] = len(self._signals)
            self._signals.append(key)
            self._shape_of.append(self._shapes.setdefault(shape, len(self._shapes)))
        return self._signal_ids[key]

    def total(self, plan: QuantizationPlan) -> float:
        """The energy of one inference, pJ.

        Raises:
            ModelError: as `price_plan`.
        """
        return self.totals(plan)[0]

    def totals(self, plan: QuantizationPlan) -> tuple[float, tuple[int, ...]]:
        """(the energy of one inference, pJ; each measure's total).

        Raises:
            ModelError: as `price_plan`.
        """
        return self.folded(plan)._totals(plan)

    @property
    def steps(self) -> Sequence[Step]:
        """The calls that are priced, producers before consumers."""
        return tuple(self._steps)

    @property
    def sources(self) -> Sequence[int]:
        """The list of signals before anything is priced: that of each of the model's inputs, -1 elsewhere."""
        return tuple(self._start)

    @property
    def constants(self) -> Sequence[int]:
        """What calls without a price add to each measure that is a sum, in its parts."""
        return tuple(self._constant)

    def term(self, place: int, plan: LayerPlan | None, inputs: tuple[int, ...]) -> tuple[int, float, tuple[int, ...]]:
        """One of the terms that `totals` adds up.

        Args:
            place: of the step in `steps`.
            plan: of its layer.
            inputs: the signals that it reads, as other terms gave them.

        Returns:
            (the signal that the step hands on; its energy in pJ; its part of each measure that is a sum).

        Raises:
            ModelError: shapes that do not fit together.
        """
        key = (plan, *inputs)
        prices = self._prices[place]
        if key not in prices:
            prices[key] = self._price(self._steps[place], plan, inputs)
        return prices[key].signal, math.fsum(prices[key].energies), prices[key].sums

    def folded(self, plan: QuantizationPlan) -> PlanPricer:
        """The pricer of plans that fold the normalizations that this one does; itself where that is so already."""
        folds = frozenset((name, layer.fold) for name, layer in plan.layers.items() if layer.fold is not None)
        return self if folds == self._folds else self._for(folds, plan)

    def _for(self, folds: frozenset[tuple[str, Fold]], plan: QuantizationPlan) -> PlanPricer:
        """The pricer of the graph in which these normalizations are part of the layers before them."""
        if folds not in self._folded:
            folded = with_folds(self._graph, plan)
            self._folded[folds] = PlanPricer(
                folded, self._settings, folds, measures=self._measures, unfolded=self._unfolded
            )
        return self._folded[folds]

    def _totals(self, plan: QuantizationPlan) -> tuple[float, tuple[int, ...]]:
        layers = plan.layers
        if not layers.keys() <= self._known:
            price_plan(self._graph, plan, self._settings)  # tells a layer that is not there by its name
        signals = self._start.copy()
        parts: list[float] = []
        calls: list[_Priced] = []
        for step, prices in zip(self._steps, self._prices, strict=True):
            layer = layers.get(step.layer)
            key = (layer, *[signals[place] for place in step.inputs])
            price = prices.get(key)
            if price is None:
                price = prices[key] = self._price(step, layer, key[1:])
            signals[step.output] = price[0]
            parts += price[1]
            calls.append(price)
        energy = math.fsum(parts)
        return (energy, self._further(plan, signals, calls)) if self._measures else (energy, ())

    def _further(self, plan: QuantizationPlan, signals: list[int], calls: list[_Priced]) -> tuple[int, ...]:
        """Each measure's total."""
        sums = map(sum, zip(self._constant, *[call.sums for call in calls], strict=True))
        peaks = iter(self._in_memory(plan, signals, calls) if self._peaks else ())
        return tuple(one.total(next(sums) if isinstance(one, Sum) else next(peaks)) for one in self._measures)

    def _in_memory(self, plan: QuantizationPlan, signals: list[int], calls: list[_Priced]) -> list[int]:
        """The bits at each peak; what is alive together depends on shapes and on output quantizers alone."""
        outputs = [name for name, layer in plan.layers.items() if layer.output is not None]
        key = (*sorted(outputs), *[self._shape_of[signal] for signal in signals])
        layouts = self._layouts.get(key)
        if layouts is None:
            graph, _ = built(self._unfolded, plan)
            layouts = self._layouts[key] = tuple(layout(graph, one.in_place) for one in self._peaks)
        found = []
        for place, one in enumerate(layouts):
            sizes = self._start_sizes[place].copy()
            for call in calls:
                sizes.update(call.sizes[place])
            found.append(one.peak(sizes))
        return found

    def _price(self, step: Step, plan: LayerPlan | None, inputs: tuple[object, ...]) -> _Priced:
        """A call of a layer, together with its output's quantizer."""
        signals = [self._signals[int(place)] for place in inputs]  # type: ignore[call-overload]
        forms = tuple(form for form, _ in signals)
        given = zip(step.node.input_shapes, step.producers, signals, strict=True)
        shapes = tuple(as_read(own, before, after) for own, before, (_, after) in given)
        node = resize(step.node, shapes, None if plan is None else plan.filters)
        quantized = plan if plan is not None and plan.quantizes else None
        spec = None if plan is None else plan.output
        layer = self._nodes.price(node, forms, quantized, step.outside, step.last and spec is None)
        calls = [(node, quantized, layer, step.first)]
        if spec is not None:
            quantizer, own = LayerPlan({Role.ACTIVATION: spec}), output_node(node)
            behind = self._nodes.price(own, (layer.output_format,), quantizer, False, step.last)
            calls.append((own, quantizer, behind, step.first))
        return _Priced(
            signal=self._signal(calls[-1][2].output_format, node.output_shape),
            energies=tuple(priced.total for _, _, priced, _ in calls),
            sums=tuple(sum(one.of(*call) for call in calls) for one in self._sums),
            sizes=tuple(
                {own.name: one.size(own, priced.output_format) for own, _, priced, _ in calls} for one in self._peaks
            ),
        )
