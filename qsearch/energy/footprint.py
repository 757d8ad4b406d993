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
from qsearch.plan import LayerPlan, QuantizationPlan
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
        activations=math.ceil(layout(graph, in_place=True).peak(sizes) / 8),
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
        total += stored_bits(node, plan.quantized(node.layer), internal_bits, width)
    return total


def stored_bits(node: Node, plan: LayerPlan | None, internal_bits: int, width: Width = packed) -> int:
    """Bits of all that one layer stores."""
    unquantized = internal_bits if plan is None else 32
    total = 0
    for elements, role in stored_parameters(node):
        spec = None if plan is None or role is None else plan.quantizers.get(role)
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


@dataclass(frozen=True)
class Layout:
    """Which outputs are in memory together when layers run one after the other.

    Attributes:
        alive: the buffers that are in use while each layer runs.
        rooms: by buffer, the layers whose outputs lie in it, one after the other.
    """

    alive: tuple[tuple[str, ...], ...]
    rooms: Mapping[str, tuple[str, ...]]

    def peak(self, sizes: Mapping[str, int]) -> int:
        """The most that is in use at once, given the size of each output."""
        room = self._room(sizes)
        return max((sum([room[name] for name in names]) for names in self.alive), default=0)

    def at_peak(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """What is in use then, by buffer; at the first of several such moments."""
        room = self._room(sizes)
        names = max(self.alive, key=lambda alive: sum(room[name] for name in alive), default=())
        return {name: room[name] for name in names}

    def _room(self, sizes: Mapping[str, int]) -> dict[str, int]:
        return {name: max([sizes[one] for one in inside]) for name, inside in self.rooms.items()}


def layout(graph: ModelGraph, in_place: bool = False) -> Layout:
    """
    Args:
        in_place: whether layers write over what they read, where that is exact.
    """
    own = {node.name: node.name for node in graph.nodes}
    rooms, of = _in_place(graph) if in_place else ({name: (name,) for name in own}, own)
    end = len(graph.nodes)
    last_use = {of[name]: end for name in graph.outputs}
    for place, node in reversed(list(enumerate(graph.nodes))):
        # what dropout gives is what it got, so that stays as long
        until = last_use.get(of[node.name], place) if isinstance(node.operation, ops.Idle) else place
        for name in node.inputs:
            last_use[of[name]] = max(last_use.get(of[name], 0), until)
    alive: list[str] = []
    moments: list[tuple[str, ...]] = []
    for place, node in enumerate(graph.nodes):
        if not isinstance(node.operation, ops.Idle) and of[node.name] not in alive:
            alive.append(of[node.name])
        moments.append(tuple(alive))
        alive = [name for name in alive if last_use.get(name, place) > place]
    used = {name for names in moments for name in names}
    return Layout(tuple(moments), {name: inside for name, inside in rooms.items() if name in used})


def _in_place(graph: ModelGraph) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """(the outputs in each buffer, the buffer of each node) where layers write over what they read."""
    readers = dict.fromkeys(graph.outputs, 1)
    for node in graph.nodes:
        for name in node.inputs:
            readers[name] = readers.get(name, 0) + 1
    nodes = {node.name: node for node in graph.nodes}
    buffers: dict[str, str] = {}
    stored: dict[str, None] = {}
    for node in graph.nodes:
        over = _written_over(node, nodes, readers)
        buffers[node.name] = node.name if over is None else buffers[over]
        if over is not None and not isinstance(node.operation, ops.Merge):
            stored.pop(over, None)  # what a sum adds to lies there; all else is made as the layer before computes it
        stored[node.name] = None
    rooms: dict[str, tuple[str, ...]] = {}
    for name in stored:
        rooms[buffers[name]] = (*rooms.get(buffers[name], ()), name)
    return rooms, buffers


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
