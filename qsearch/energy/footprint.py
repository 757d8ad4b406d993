"""What a model keeps in memory: its parameters, and the tensors that are alive at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from qsearch.energy.parameters import stored_parameters
from qsearch.energy.report import EnergyReport, LayerEnergy
from qsearch.graph import operations as ops
from qsearch.graph.model_graph import ModelGraph, Node
from qsearch.plan import QuantizationPlan
from qsearch.quantizers.formats import number_format
from qsearch.quantizers.number_types import NumberFormat

Width = Callable[[int], int]
"""Bits of a number -> bits that it is stored in."""
_WIDTHS = (8, 16, 32, 64)


def packed(bits: int) -> int:
    """As FPGAs and ASICs store numbers, and C exports with `packed`: bit by bit."""
    return bits


def aligned(bits: int) -> int:
    """As processors do: in 1, 2, 4 or 8 bytes."""
    return next((width for width in _WIDTHS if bits <= width), bits)


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """Bytes of one model.

    Attributes:
        weights_packed: all parameters, bit by bit.
        weights: each parameter in 1, 2 or 4 bytes: flash on a microcontroller. 4 bits save nothing over 8 there.
        activations: the most that is alive at once, each value in 1, 2 or 4 bytes: RAM on a microcontroller.
            Normalizations, activations and sums write over what they read where nothing else reads it, so that
            sums are never stored before they are rounded. No runtime's own memory is counted.
    """

    weights_packed: int
    weights: int
    activations: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def footprint_of(graph: ModelGraph, plan: QuantizationPlan, report: EnergyReport, internal_bits: int = 8) -> Footprint:
    """The memory of a model that was priced.

    Args:
        graph: with the plan's widths, as the report has priced it.
        internal_bits: as in `model_metrics`.
    """
    sizes = activation_bits(graph, report.layers, report.source_formats, aligned)
    return Footprint(
        weights_packed=math.ceil(parameter_bits(graph, plan, report.layers, internal_bits, packed) / 8),
        weights=math.ceil(parameter_bits(graph, plan, report.layers, internal_bits, aligned) / 8),
        activations=math.ceil(peak(graph, *_in_place(graph, sizes)) / 8),
    )


def parameter_bits(
    graph: ModelGraph,
    plan: QuantizationPlan,
    layers: Mapping[str, LayerEnergy],
    internal_bits: int,
    width: Width = packed,
) -> int:
    """Bits of everything stored; see `stored_parameters`."""
    total, seen = 0, set()
    for node in graph.nodes:
        if node.layer in seen or node.name not in layers:
            continue
        seen.add(node.layer)
        own = plan.quantized(node.layer)
        for elements, role in stored_parameters(node):
            spec = None if own is None or role is None else own.quantizers.get(role)
            unquantized = internal_bits if own is None else 32
            total += elements * width(unquantized if spec is None else number_format(spec).bits)
    return total


def activation_bits(
    graph: ModelGraph, layers: Mapping[str, LayerEnergy], sources: Mapping[str, NumberFormat], width: Width = packed
) -> dict[str, int]:
    """Bits of every node's output; dropout is nothing at inference and has its input's."""
    sizes: dict[str, int] = {}
    for node in graph.nodes:
        if node.name in layers:
            sizes[node.name] = math.prod(node.output_shape) * width(layers[node.name].output_format.bits)
        elif node.inputs:
            sizes[node.name] = sizes[node.inputs[0]]
        else:
            sizes[node.name] = math.prod(node.output_shape) * width(sources[node.name].bits)
    return sizes


def peak(graph: ModelGraph, sizes: Mapping[str, int], buffers: Mapping[str, str] | None = None) -> int:
    """The most that is alive at once when layers run one after the other.

    Args:
        sizes: of each node's output, or of each buffer.
        buffers: by node, the buffer that its output lies in; one of its own where it is left out.
    """
    of = {node.name: node.name for node in graph.nodes} if buffers is None else buffers
    end = len(graph.nodes)
    last_use = {of[name]: end for name in graph.outputs}
    for place, node in reversed(list(enumerate(graph.nodes))):
        # what dropout gives is what it got, so that stays as long
        until = last_use.get(of[node.name], place) if isinstance(node.operation, ops.Idle) else place
        for name in node.inputs:
            last_use[of[name]] = max(last_use.get(of[name], 0), until)
    alive: dict[str, int] = {}
    most = 0
    for place, node in enumerate(graph.nodes):
        if not isinstance(node.operation, ops.Idle):
            alive[of[node.name]] = sizes[of[node.name]]
        most = max(most, sum(alive.values()))
        alive = {name: size for name, size in alive.items() if last_use.get(name, place) > place}
    return most


def _in_place(graph: ModelGraph, sizes: Mapping[str, int]) -> tuple[dict[str, int], dict[str, str]]:
    """(the size of each buffer, the buffer of each node) where layers write over what they read."""
    readers = dict.fromkeys(graph.outputs, 1)
    for node in graph.nodes:
        for name in node.inputs:
            readers[name] = readers.get(name, 0) + 1
    nodes = {node.name: node for node in graph.nodes}
    buffers: dict[str, str] = {}
    stored: dict[str, int] = {}
    for node in graph.nodes:
        over = _written_over(node, nodes, readers)
        buffers[node.name] = node.name if over is None else buffers[over]
        if over is not None and not isinstance(node.operation, ops.Merge):
            stored.pop(over, None)  # what a sum adds to lies there; all else is made as the layer before computes it
        stored[node.name] = sizes[node.name]
    room: dict[str, int] = {}
    for name, size in stored.items():
        room[buffers[name]] = max(room.get(buffers[name], 0), size)
    return room, buffers


def _written_over(node: Node, nodes: Mapping[str, Node], readers: Mapping[str, int]) -> str | None:
    """The input that a node's output can take the place of."""
    match node.operation:
        case ops.Activation() | ops.BatchNormalization() | ops.Affine():
            pass
        case ops.Merge(kind=ops.MergeKind.ADD | ops.MergeKind.SUBTRACT):
            pass
        case ops.DataMover(move=ops.Move.FLATTEN | ops.Move.RESHAPE):
            pass
        case _:
            return None
    for name in node.inputs:
        alone = readers[name] == 1 and not isinstance(nodes[name].operation, ops.Idle | ops.Input)
        if alone and math.prod(nodes[name].output_shape) == math.prod(node.output_shape):
            return name
    return None
