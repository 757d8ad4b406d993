"""Prices of thousands of plans a second: every layer is priced once for each combination that it meets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from qsearch.energy.estimate import (
    EnergySettings,
    NodePricer,
    from_outside,
    last_nodes,
    price_plan,
    source_formats,
)
from qsearch.graph import operations as ops
from qsearch.graph.built import output_node
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
    """

    node: Node
    layer: str
    inputs: tuple[int, ...]
    output: int
    producers: tuple[Shape, ...]
    outside: bool
    last: bool


class PlanPricer:
    """The totals of many plans for one graph; equal to `price_plan(...).total`, to the last bit.

    A layer's price depends on its plan and on the formats and shapes of its inputs alone, so it is worked out once
    for each such combination. Memory grows with the number of combinations met.
    """

    def __init__(
        self, graph: ModelGraph, settings: EnergySettings, folds: frozenset[tuple[str, Fold]] = frozenset()
    ) -> None:
        """folds: of the plans that it prices; `graph` has them already."""
        self._graph = graph
        self._folds = folds
        self._settings = settings
        self._nodes = NodePricer(settings, reference=False)
        self._signals: list[tuple[NumberFormat, Shape]] = []
        self._signal_ids: dict[tuple[NumberFormat, Shape], int] = {}
        self._start, self._steps = self._compile()
        self._known = {step.layer for step in self._steps}
        self._prices: list[dict[tuple[object, ...], tuple[int, tuple[float, ...]]]] = [{} for _ in self._steps]
        self._folded: dict[frozenset[tuple[str, Fold]], PlanPricer] = {}

    def _compile(self) -> tuple[list[int], list[Step]]:
        """(signals of the model's inputs, then room for the others; the nodes to price)."""
        graph, places = self._graph, dict[str, int]()
        sources = iter(source_formats(graph, self._settings))
        outside, last = from_outside(graph), last_nodes(graph)
        shapes = {node.name: node.output_shape for node in graph.nodes}
        start: list[int] = []
        steps: list[Step] = []
        for node in graph.nodes:
            if isinstance(node.operation, ops.Idle):
                places[node.name] = places[node.inputs[0]]
                continue
            places[node.name] = len(start)
            if isinstance(node.operation, ops.Input):
                start.append(self._signal(next(sources), node.output_shape))
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
                )
            )
        return start, steps

    def _signal(self, form: NumberFormat, shape: Shape) -> int:
        key = (form, shape)
        if key not in self._signal_ids:
            self._signal_ids[key] = len(self._signals)
            self._signals.append(key)
        return self._signal_ids[key]

    def total(self, plan: QuantizationPlan) -> float:
        """The energy of one inference, pJ.

        Raises:
            ModelError: as `price_plan`.
        """
        return self.folded(plan)._total(plan)

    @property
    def steps(self) -> Sequence[Step]:
        """The calls that are priced, producers before consumers."""
        return tuple(self._steps)

    @property
    def sources(self) -> Sequence[int]:
        """The list of signals before anything is priced: that of each of the model's inputs, -1 elsewhere."""
        return tuple(self._start)

    def term(self, place: int, plan: LayerPlan | None, inputs: tuple[int, ...]) -> tuple[int, float]:
        """One of the terms that `total` adds up: (the signal that a step hands on, its energy in pJ).

        Args:
            place: of the step in `steps`.
            plan: of its layer.
            inputs: the signals that it reads, as other terms gave them.

        Raises:
            ModelError: shapes that do not fit together.
        """
        key = (plan, *inputs)
        prices = self._prices[place]
        if key not in prices:
            prices[key] = self._price(self._steps[place], plan, inputs)
        signal, parts = prices[key]
        return signal, math.fsum(parts)

    def folded(self, plan: QuantizationPlan) -> PlanPricer:
        """The pricer of plans that fold the normalizations that this one does; itself where that is so already."""
        folds = frozenset((name, layer.fold) for name, layer in plan.layers.items() if layer.fold is not None)
        return self if folds == self._folds else self._for(folds, plan)

    def _for(self, folds: frozenset[tuple[str, Fold]], plan: QuantizationPlan) -> PlanPricer:
        """The pricer of the graph in which these normalizations are part of the layers before them."""
        if folds not in self._folded:
            self._folded[folds] = PlanPricer(with_folds(self._graph, plan), self._settings, folds)
        return self._folded[folds]

    def _total(self, plan: QuantizationPlan) -> float:
        layers = plan.layers
        if not layers.keys() <= self._known:
            # a layer that is not there, which is told by its name
            return price_plan(self._graph, plan, self._settings).total
        signals = self._start.copy()
        parts: list[float] = []
        for step, prices in zip(self._steps, self._prices, strict=True):
            layer = layers.get(step.layer)
            key = (layer, *[signals[place] for place in step.inputs])
            price = prices.get(key)
            if price is None:
                price = prices[key] = self._price(step, layer, key[1:])
            signals[step.output] = price[0]
            parts += price[1]
        return math.fsum(parts)

    def _price(self, step: Step, plan: LayerPlan | None, inputs: tuple[object, ...]) -> tuple[int, tuple[float, ...]]:
        """(the signal that the layer hands on, its energy and that of its output's quantizer)."""
        signals = [self._signals[int(place)] for place in inputs]  # type: ignore[call-overload]
        forms = tuple(form for form, _ in signals)
        given = zip(step.node.input_shapes, step.producers, signals, strict=True)
        shapes = tuple(as_read(own, before, after) for own, before, (_, after) in given)
        node = resize(step.node, shapes, None if plan is None else plan.filters)
        quantized = plan if plan is not None and plan.quantizes else None
        spec = None if plan is None else plan.output
        layer = self._nodes.price(node, forms, quantized, step.outside, step.last and spec is None)
        if spec is None:
            return self._signal(layer.output_format, node.output_shape), (layer.total,)
        quantizer = LayerPlan({Role.ACTIVATION: spec})
        behind = self._nodes.price(output_node(node), (layer.output_format,), quantizer, False, step.last)
        return self._signal(behind.output_format, node.output_shape), (layer.total, behind.total)
