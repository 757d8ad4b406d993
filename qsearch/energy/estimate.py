"""Graph + plan -> energy. Nothing here needs a Keras model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from qsearch.energy.charges import Charge, LayerTypes, Unquantized
from qsearch.energy.counts import counts, priced_share
from qsearch.energy.memory import Memory, MemoryModel
from qsearch.energy.operators import addition_energy, operation_energy
from qsearch.energy.process import PROCESSES, Process
from qsearch.energy.report import Counted, EnergyReport, LayerEnergy
from qsearch.energy.rules import layer_types
from qsearch.errors import ConfigError, ModelError, did_you_mean, shown
from qsearch.graph import operations as ops
from qsearch.graph.built import built
from qsearch.graph.model_graph import ModelGraph, Node
from qsearch.plan import LayerPlan, QuantizationPlan, Role
from qsearch.quantizers.formats import DEFAULT_FORMAT, SOURCE_FORMATS
from qsearch.quantizers.number_types import Kind, NumberFormat


@dataclass(frozen=True, kw_only=True)
class EnergySettings:
    """The design that a model is priced for.

    Attributes:
        sources: formats of the model's inputs; one stands for all, None means 8 bits.
        internal, accumulator, activations, unquantized_norm, fused_activation: what numbers without a quantizer are;
            see `Unquantized`.
        min_sram_size: bits.

    Raises:
        ConfigError: an unknown memory.
    """

    process: Process = PROCESSES["horowitz"]
    weights_on_memory: Memory = "sram"
    activations_on_memory: Memory = "sram"
    min_sram_size: int = 0
    rd_wr_on_io: bool = False
    sources: tuple[NumberFormat, ...] | None = None
    internal: NumberFormat = SOURCE_FORMATS["int8"]
    accumulator: NumberFormat = SOURCE_FORMATS["int32"]
    activations: Literal["internal", "accumulator"] = "internal"
    unquantized_norm: Literal["accumulator", "fp32"] = "accumulator"
    fused_activation: Literal["separate", "inline"] = "separate"

    def __post_init__(self) -> None:
        allowed = get_args(Memory)
        for name, found in (("weights", self.weights_on_memory), ("activations", self.activations_on_memory)):
            if found not in allowed:
                near = did_you_mean(str(found), allowed)
                raise ConfigError(f"{name}_on_memory: found {shown(found)}, allowed: {', '.join(allowed)}{near}")


def price_reference(graph: ModelGraph, settings: EnergySettings) -> EnergyReport:
    """The energy of a model without any quantizer: all its numbers are as `settings` says.

    Raises:
        ConfigError: the number of source formats is neither one nor that of the model's inputs.
    """
    return _Pricer(graph, QuantizationPlan(), settings, reference=True).report()


def price_plan(graph: ModelGraph, plan: QuantizationPlan, settings: EnergySettings) -> EnergyReport:
    """The energy of a model with a plan's quantizers and filters.

    Args:
        graph: the reference model; or a quantized one together with the plan read from it.

    Raises:
        ConfigError: as `price_reference`.
        ModelError: the plan names a layer that the graph lacks, or its filters do not fit together.
    """
    known = {node.layer for node in graph.nodes}
    for name in plan:
        if name not in known:
            raise ModelError(f"plan: {graph.name} has no layer {shown(name)}{did_you_mean(name, known)}")
    return _Pricer(*built(graph, plan), settings, reference=False).report()


class NodePricer:
    """The price of one call of a layer, for given formats of its inputs."""

    def __init__(self, settings: EnergySettings, reference: bool) -> None:
        self.settings = settings
        self.reference = reference
        self.rest = Unquantized(
            internal=settings.internal,
            accumulator=settings.accumulator,
            activations=settings.activations,
            norm=settings.unquantized_norm,
            fused=settings.fused_activation,
        )
        self.memory = MemoryModel(settings.process, settings.min_sram_size, settings.rd_wr_on_io)

    def price(
        self, node: Node, inputs: tuple[NumberFormat, ...], plan: LayerPlan | None, outside: bool, last: bool
    ) -> LayerEnergy:
        """
        Args:
            outside: whether it reads an input of the model.
            last: whether its output leaves the model.
        """
        types = layer_types(node, inputs, plan, self.rest, self.reference)
        count = counts(node).operations
        return LayerEnergy(
            name=node.name,
            class_name=_class_name(node, plan is not None),
            inputs=_rounded(self._reads(node, types, outside)),
            parameters=_rounded(self._parameters(node, types)),
            op_cost=_rounded(self._operations(node, types, count)),
            outputs=_rounded(self._writes(node, types, last)),
            counted=self._counted(node, plan),
            operations=count or sum(charge.count for charge in types.charges),
            input_formats=inputs,
            output_format=types.output,
            weight_format=types.weight,
            bias_format=types.bias,
            accumulator_format=types.accumulator,
        )

    def _counted(self, node: Node, plan: LayerPlan | None) -> Counted:
        counted = _counted(node)
        if isinstance(node.operation, ops.Activation) and node.operation.function.is_linear and plan is None:
            return Counted(0)  # it does nothing
        if (
            isinstance(node.operation, ops.Weighted)
            and node.operation.ends_in_activation
            and self.rest.fused == "separate"
        ):
            quantized = plan is not None and Role.ACTIVATION in plan.quantizers
            if quantized or not node.operation.activation.is_linear:
                counted |= Counted.OUTPUTS
        return counted

    def _reads(self, node: Node, types: LayerTypes, outside: bool) -> float:
        memory = self.memory.io if outside else self.settings.activations_on_memory
        return sum(
            self.memory.access(math.prod(shape) * item.bits, memory)
            for shape, item in zip(node.input_shapes, types.inputs, strict=True)
        )

    def _writes(self, node: Node, types: LayerTypes, last: bool) -> float:
        memory = self.memory.io if last else self.settings.activations_on_memory
        return self.memory.access(math.prod(node.output_shape) * types.output.bits, memory)

    def _parameters(self, node: Node, types: LayerTypes) -> float:
        memory = self.settings.weights_on_memory
        if types.stored:
            return sum(self.memory.access(elements * item.bits, memory) for elements, item in types.stored)
        if types.constants:
            channels = next(iter(node.weights.values()))[0]
            return sum(self.memory.access(channels * item.bits, memory) for item in types.constants)
        if types.weight is None:
            return 0.0
        energy = self.memory.access(math.prod(node.weights["kernel"]) * types.weight.bits, memory)
        if types.bias is not None:
            energy += self.memory.access(math.prod(node.weights["bias"]) * types.bias.bits, memory)
        return energy

    def _operations(self, node: Node, types: LayerTypes, count: int) -> float:
        process = self.settings.process
        each = sum(operation_energy(operator, carried, process) for operator, carried in types.operators)
        if isinstance(node.operation, ops.OneKernel | ops.AveragePooling) and types.accumulator is not None:
            each += addition_energy(types.accumulator, process)
        if isinstance(node.operation, ops.Merge):
            each *= len(node.inputs) - 1
        return count * each + sum(_charged(charge, process) for charge in types.charges)


class _Pricer:
    """One walk over a graph, producers before consumers."""

    def __init__(self, graph: ModelGraph, plan: QuantizationPlan, settings: EnergySettings, reference: bool) -> None:
        self.graph = graph
        self.plan = plan
        self.reference = reference
        self.settings = settings
        self.nodes = NodePricer(settings, reference)
        self.formats: dict[str, NumberFormat] = {}

    def report(self) -> EnergyReport:
        sources = iter(source_formats(self.graph, self.settings))
        outside, last = from_outside(self.graph), last_nodes(self.graph)
        layers: dict[str, LayerEnergy] = {}
        notes: list[str] = []
        for node in self.graph.nodes:
            if isinstance(node.operation, ops.Input):
                self.formats[node.name] = next(sources)
            elif isinstance(node.operation, ops.Idle):
                self.formats[node.name] = self.formats[node.inputs[0]]
            else:
                plan = None if self.reference else self.plan.quantized(node.layer)
                inputs = tuple(self.formats[name] for name in node.inputs)
                reads_input = any(name in outside for name in node.inputs)
                layer = self.nodes.price(node, inputs, plan, reads_input, node.name in last)
                self.formats[node.name] = layer.output_format
                layers[node.name] = layer
                notes.extend(self._notes(node))
        given = {
            node.name: self.formats[node.name] for node in self.graph.nodes if isinstance(node.operation, ops.Input)
        }
        total = math.fsum(layer.total for layer in layers.values())  # whatever the order of branches
        return EnergyReport(
            layers=layers, total=total, notes=tuple(notes), source_formats=given, priced_share=priced_share(self.graph)
        )

    def _notes(self, node: Node) -> Iterator[str]:
        operation, plan = node.operation, self.plan.quantized(node.layer)
        if isinstance(operation, ops.DataMover):
            yield f"{node.name}: passes its input's format through"
        elif isinstance(operation, ops.Unknown) and (plan is None or self.reference):
            yield f"{node.name}: no rule for {operation.kind}; only the reading of its inputs is priced"
        elif isinstance(operation, ops.BatchNormalization) and plan is not None and not self.reference:
            yield from self._norm_note(node)

    def _norm_note(self, node: Node) -> Iterator[str]:
        if self.formats[node.name].kind is Kind.FLOAT:
            yield f"{node.name}: batch norm without quantizers hands on {self.formats[node.name]}"


def _charged(charge: Charge, process: Process) -> float:
    each = 0.0 if charge.operator is None else operation_energy(*charge.operator, process)
    if charge.addition is not None:
        each += addition_energy(charge.addition, process)
    return charge.count * each


def _class_name(node: Node, quantized: bool) -> str:
    """The same for a plan on the reference model and for the quantized model that it makes."""
    if quantized and isinstance(node.operation, ops.Activation):
        return "QActivation"
    return f"Q{node.class_name.removeprefix('Q')}" if quantized else node.class_name


def _counted(node: Node) -> Counted:
    match node.operation:
        case ops.Activation():
            return Counted.OUTPUTS
        case ops.BatchNormalization():
            return Counted.PARAMETERS
        case ops.Merge(kind=ops.MergeKind.ADD | ops.MergeKind.SUBTRACT) | ops.DataMover(move=ops.Move.MAX_POOLING):
            return Counted.OPERATIONS
        case _:
            return Counted.INPUTS | Counted.PARAMETERS | Counted.OPERATIONS


def source_formats(graph: ModelGraph, settings: EnergySettings) -> tuple[NumberFormat, ...]:
    """The formats of a graph's inputs, in their order.

    Raises:
        ConfigError: their number is neither one nor that of the inputs.
    """
    count = sum(isinstance(node.operation, ops.Input) for node in graph.nodes)
    sources = settings.sources or (DEFAULT_FORMAT,)
    if len(sources) == 1:
        return sources * count
    if len(sources) != count:
        raise ConfigError(
            f"source_quantizers: found {len(sources)} formats, but {graph.name} has {count} inputs; "
            "give one for each, or one for all"
        )
    return sources


def from_outside(graph: ModelGraph) -> frozenset[str]:
    """Inputs of the model, and what dropout makes of them."""
    outside: set[str] = set()
    for node in graph.nodes:
        if isinstance(node.operation, ops.Input) or (
            isinstance(node.operation, ops.Idle) and node.inputs[0] in outside
        ):
            outside.add(node.name)
    return frozenset(outside)


def last_nodes(graph: ModelGraph) -> frozenset[str]:
    """Nodes whose output leaves the model, seen through dropout."""
    nodes: Mapping[str, Node] = {node.name: node for node in graph.nodes}
    last = set()
    for name in graph.outputs:
        while isinstance(nodes[name].operation, ops.Idle):
            name = nodes[name].inputs[0]
        last.add(name)
    return frozenset(last)


def _rounded(energy: float) -> float:
    return float(f"{energy:.2f}")
