"""Figures that the field compares beside energy: operations, bits, memory, arithmetic intensity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from qsearch.energy.counts import counts
from qsearch.energy.parameters import stored_parameters
from qsearch.energy.report import EnergyReport, LayerEnergy
from qsearch.graph import operations as ops
from qsearch.graph.model_graph import ModelGraph, Node
from qsearch.plan import QuantizationPlan
from qsearch.quantizers.formats import number_format
from qsearch.quantizers.number_types import NumberFormat


@dataclass(frozen=True, kw_only=True)
class ModelMetrics:
    """One inference of a model.

    Attributes:
        macs: multiply-accumulates of layers with weights (and of Dot); zero padding is counted as QTools does.
        bops: bit operations: the sum of MACs · weight bits · input bits (Baskin et al. 2021,
            doi:10.1145/3444943, without the accumulator's share).
        parameter_bits: of everything stored; see `stored_parameters`.
        weight_bytes: the same in bytes, rounded up.
        activation_bits: of all layers' outputs together.
        peak_activation_bytes: the most that is alive at once when layers run one after the other: a layer's
            inputs, its output, and what later layers still read.
        intensity: 2 · MACs for each byte of parameters, layer inputs and layer outputs moved once; the x axis of
            a roofline (Williams et al. 2009, doi:10.1145/1498765.1498785).
    """

    macs: int
    bops: int
    parameter_bits: int
    weight_bytes: int
    activation_bits: int
    peak_activation_bytes: int
    intensity: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def model_metrics(
    graph: ModelGraph, plan: QuantizationPlan, report: EnergyReport, internal_bits: int = 8
) -> ModelMetrics:
    """The metrics of a model that was priced.

    Args:
        graph: with the plan's widths, as the report has priced it.
        internal_bits: of every parameter of a layer without a plan, as in `EnergySettings.internal`; a quantized
            layer's parameter without a quantizer is a float of 32 bits.
    """
    layers = report.layers
    macs = {node.name: counts(node).macs for node in graph.nodes}
    bops = sum(_bit_operations(node, macs[node.name], layers[node.name]) for node in graph.nodes if macs[node.name])
    stored = _parameter_bits(graph, plan, layers, internal_bits)
    sizes = _activation_sizes(graph, layers, report.source_formats)
    moved = stored + sum(
        sizes[node.name] + sum(sizes[name] for name in node.inputs)
        for node in graph.nodes
        if not isinstance(node.operation, ops.Input | ops.Idle)
    )
    total = sum(macs.values())
    return ModelMetrics(
        macs=total,
        bops=bops,
        parameter_bits=stored,
        weight_bytes=math.ceil(stored / 8),
        activation_bits=sum(sizes[name] for name in layers),
        peak_activation_bytes=math.ceil(_peak(graph, sizes) / 8),
        intensity=2 * total / (moved / 8) if moved else 0.0,
    )


def _bit_operations(node: Node, macs: int, layer: LayerEnergy) -> int:
    inputs = layer.input_formats
    weight = layer.weight_format.bits if layer.weight_format is not None else inputs[-1].bits
    return macs * weight * inputs[0].bits


def _parameter_bits(
    graph: ModelGraph, plan: QuantizationPlan, layers: Mapping[str, LayerEnergy], internal_bits: int
) -> int:
    total, seen = 0, set()
    for node in graph.nodes:
        if node.layer in seen or node.name not in layers:
            continue
        seen.add(node.layer)
        own = plan.quantized(node.layer)
        for elements, role in stored_parameters(node):
            spec = None if own is None or role is None else own.quantizers.get(role)
            unquantized = internal_bits if own is None else 32
            total += elements * (unquantized if spec is None else number_format(spec).bits)
    return total


def _activation_sizes(
    graph: ModelGraph, layers: Mapping[str, LayerEnergy], sources: Mapping[str, NumberFormat]
) -> dict[str, int]:
    """Bits of every node's output; dropout is nothing at inference and has its input's."""
    sizes: dict[str, int] = {}
    for node in graph.nodes:
        if node.name in layers:
            sizes[node.name] = math.prod(node.output_shape) * layers[node.name].output_format.bits
        elif node.inputs:
            sizes[node.name] = sizes[node.inputs[0]]
        else:
            sizes[node.name] = math.prod(node.output_shape) * sources[node.name].bits
    return sizes


def _peak(graph: ModelGraph, sizes: Mapping[str, int]) -> int:
    end = len(graph.nodes)
    last_use = dict.fromkeys(graph.outputs, end)
    for place, node in reversed(list(enumerate(graph.nodes))):
        # what dropout gives is what it got, so that stays as long
        until = last_use.get(node.name, place) if isinstance(node.operation, ops.Idle) else place
        for name in node.inputs:
            last_use[name] = max(last_use.get(name, 0), until)
    alive: dict[str, int] = {}
    peak = 0
    for place, node in enumerate(graph.nodes):
        if not isinstance(node.operation, ops.Idle):
            alive[node.name] = sizes[node.name]
        peak = max(peak, sum(alive.values()))
        alive = {name: size for name, size in alive.items() if last_use.get(name, place) > place}
    return peak
