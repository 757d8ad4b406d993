"""Figures that the field compares beside energy: operations, bits, memory, arithmetic intensity."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from qsearch.energy.counts import counts
from qsearch.energy.footprint import Footprint, activation_bits, footprint_of, layout, parameter_bits
from qsearch.energy.report import EnergyReport, LayerEnergy
from qsearch.graph import operations as ops
from qsearch.graph.model_graph import ModelGraph, Node
from qsearch.plan import QuantizationPlan


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
        footprint: as FPGAs and microcontrollers store it.
    """

    macs: int
    bops: int
    parameter_bits: int
    weight_bytes: int
    activation_bits: int
    peak_activation_bytes: int
    intensity: float
    footprint: Footprint

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
    bops = sum(bit_operations(node, layers[node.name]) for node in graph.nodes if macs[node.name])
    stored = parameter_bits(graph, plan, layers, internal_bits)
    sizes = activation_bits(graph, layers, report.source_formats)
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
        peak_activation_bytes=math.ceil(layout(graph).peak(sizes) / 8),
        intensity=2 * total / (moved / 8) if moved else 0.0,
        footprint=footprint_of(graph, plan, report, internal_bits),
    )


def bit_operations(node: Node, layer: LayerEnergy) -> int:
    """MACs · weight bits · input bits of one call of a layer."""
    macs = counts(node).macs
    if not macs:
        return 0
    inputs = layer.input_formats
    weight = layer.weight_format.bits if layer.weight_format is not None else inputs[-1].bits
    return macs * weight * inputs[0].bits
