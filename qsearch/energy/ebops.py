"""Effective bit operations (Sun et al. 2024, arXiv:2405.00645), as far as formats alone tell them."""

from __future__ import annotations

import math

from qsearch.energy.parameters import stored_parameters
from qsearch.energy.report import EnergyReport, LayerEnergy
from qsearch.graph import operations as ops
from qsearch.graph.model_graph import ModelGraph, Node
from qsearch.plan import LayerPlan, QuantizationPlan, Role
from qsearch.quantizers.formats import number_format
from qsearch.quantizers.number_types import Kind
from qsearch.quantizers.spec import QuantizerSpec

_KERNELS = {Role.KERNEL: "kernel", Role.POINTWISE: "pointwise", Role.RECURRENT: "recurrent"}


def most_effective_bit_operations(
    graph: ModelGraph, plan: QuantizationPlan, report: EnergyReport, internal_bits: int = 8
) -> int:
    """What `effective_bit_operations` of a model with this plan can come to at most, whatever its weights are.

    Args:
        graph: with the plan's widths, as the report has priced it.
        internal_bits: of a weight of a layer without a plan.
    """
    return sum(
        most_of_call(node, plan.quantized(node.layer), report.layers[node.name], internal_bits)
        for node in graph.nodes
        if node.name in report.layers
    )


def most_of_call(node: Node, plan: LayerPlan | None, layer: LayerEnergy, internal_bits: int) -> int:
    """The same of one call of a layer: the sum of weights · their most bits · the bits of an input · its uses."""
    total = 0
    for elements, role in stored_parameters(node):
        kind = None if role is None else _KERNELS.get(role)
        if kind is None or role is None:
            continue
        spec = None if plan is None else plan.quantizers.get(role)
        bits = _most(spec) if spec is not None else internal_bits - 1 if plan is None else 32
        total += elements * bits * input_bits(node, kind, layer) * uses(node, kind)
    return total


def _most(spec: QuantizerSpec) -> int:
    """The most bits that a code can have from its first to its last one that is set."""
    form = number_format(spec)
    match form.kind:
        case Kind.FIXED:
            return max(form.bits - form.signed, 1)
        case Kind.FLOAT:
            return form.bits
        case _:
            return 1


def input_bits(node: Node, kind: str, layer: LayerEnergy) -> int:
    """Bits of what a kernel is multiplied with, without the sign; 1 of what has nothing else, as +1 and -1 are.

    Args:
        kind: "kernel", "depthwise", "pointwise", "recurrent" or "weight".
    """
    form = layer.input_formats[0]
    if kind == "recurrent":
        form = layer.output_format
    elif kind == "pointwise" and layer.accumulator_format is not None:
        form = layer.accumulator_format
    return max(form.bits - form.signed, 1)


def uses(node: Node, kind: str) -> int:
    """How many values each weight is multiplied with."""
    match node.operation:
        case ops.Recurrent():
            return node.input_shapes[0][-2]
        case ops.ScaleShift():
            return math.prod(node.output_shape)
        case ops.SeparableTransposed() if kind == "pointwise":
            return math.prod(node.output_shape[:-1])
        case ops.TransposedConvolution() | ops.DepthwiseTransposed() | ops.SeparableTransposed():
            return math.prod(node.input_shapes[0][:-1])
        case _:
            return math.prod(node.output_shape[:-1])
