"""The bits goal: the size of parameters and activations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from qsearch.energy.measures import Sum
from qsearch.energy.parameters import stored_parameters
from qsearch.functions import SIGMOID, SOFTMAX, Function
from qsearch.goal.forgiving_factor import ForgivingFactor
from qsearch.graph import operations as ops
from qsearch.graph.built import built
from qsearch.graph.model_graph import ModelGraph, Node
from qsearch.plan import NO_QUANTIZERS, LayerPlan, QuantizationPlan, Role
from qsearch.quantizers.formats import number_format


@dataclass(frozen=True)
class LayerBits:
    """Bits of one layer that count."""

    parameters: int
    activations: int

    @property
    def bits(self) -> int:
        """Both together."""
        return self.parameters + self.activations

    @property
    def total(self) -> float:
        return float(self.bits)

    def to_dict(self) -> dict[str, float]:
        return {"parameters": self.parameters, "activations": self.activations, "total": self.total}


@dataclass(frozen=True)
class BitsReport:
    """Bits by layer and in all."""

    layers: Mapping[str, LayerBits]

    @property
    def total(self) -> float:
        return sum(layer.total for layer in self.layers.values())

    def to_dict(self) -> dict[str, Any]:
        return {"total": self.total, "layers": {name: layer.to_dict() for name, layer in self.layers.items()}}


@dataclass(frozen=True, kw_only=True)
class BitsGoal:
    """Save bits.

    Attributes:
        input_bits, output_bits: of a value of the model's inputs, and of softmax or sigmoid outputs.
        ref_bits: of every number without a quantizer.
        counted: by class name ("Dense", "QDense", ...) or "default", which of "parameters" and "activations"
            count. A class without an entry falls to "default"; without that the layer is left out.
    """

    unit: ClassVar[str] = "bits"
    kind: ClassVar[str] = "bits"
    forgiving: ForgivingFactor
    counted: Mapping[str, tuple[str, ...]]
    input_bits: int = 8
    output_bits: int = 8
    ref_bits: int = 8

    def reference(self, graph: ModelGraph, plan: QuantizationPlan = NO_QUANTIZERS) -> BitsReport:
        return self._report(graph, plan)

    def trial(self, graph: ModelGraph, plan: QuantizationPlan) -> BitsReport:
        return self._report(*built(graph, plan))

    @property
    def measure(self) -> Sum:
        """How `PlanPricer` reckons it."""
        return Sum(lambda node, plan, layer, first: self._layer(node, plan, first).bits)

    def _report(self, graph: ModelGraph, plan: QuantizationPlan) -> BitsReport:
        stored: set[str] = set()
        layers: dict[str, LayerBits] = {}
        for node in graph.nodes:
            layers[node.name] = self._layer(node, plan.quantized(node.layer), node.layer not in stored)
            stored.add(node.layer)
        return BitsReport(layers)

    def _layer(self, node: Node, plan: LayerPlan | None, first_call: bool) -> LayerBits:
        """A layer that is called several times stores its parameters once."""
        counted = self._counted(node, plan)
        return LayerBits(
            self._parameters(node, plan) if "parameters" in counted and first_call else 0,
            self._activations(node, plan) if "activations" in counted else 0,
        )

    def _counted(self, node: Node, plan: LayerPlan | None) -> tuple[str, ...]:
        names = node.classes or (node.class_name.removeprefix("Q"),)
        keys = names if plan is None else [f"Q{name}" for name in names]
        counted = next((self.counted[key] for key in keys if key in self.counted), None)
        return self.counted.get("default", ()) if counted is None else counted

    def _parameters(self, node: Node, plan: LayerPlan | None) -> int:
        return sum(elements * self._bits(plan, role) for elements, role in stored_parameters(node))

    def _activations(self, node: Node, plan: LayerPlan | None) -> int:
        values = math.prod(node.output_shape)
        match node.operation:
            case ops.Input():
                return values * self.input_bits
            case ops.EinsumDense():
                return 0  # AutoQKeras knows no such layer
            case ops.Weighted(activation=function):
                return values * self._function_bits(function, plan)
            case ops.AveragePooling() if plan is not None and Role.ACTIVATION in plan.quantizers:
                return values * number_format(plan.quantizers[Role.ACTIVATION]).bits
            case ops.Activation(function=function):
                short = function.name in (SOFTMAX, SIGMOID) and (plan is None or Role.ACTIVATION not in plan.quantizers)
                return values * (self.output_bits if short else self._function_bits(function, plan))
            case _:
                return 0

    def _function_bits(self, function: Function, plan: LayerPlan | None) -> int:
        """A convention of AutoQKeras: an inline softmax has output_bits only where its layer is quantized."""
        if plan is not None and Role.ACTIVATION in plan.quantizers:
            return number_format(plan.quantizers[Role.ACTIVATION]).bits
        if function.is_linear:
            return 0
        return self.output_bits if function.name == SOFTMAX and plan is not None else self.ref_bits

    def _bits(self, plan: LayerPlan | None, role: Role | None) -> int:
        spec = None if plan is None or role is None else plan.quantizers.get(role)
        return self.ref_bits if spec is None else number_format(spec).bits
