"""Linear bottlenecks (Sandler et al. 2018, arXiv:1801.04381): sums that no activation follows before they are computed
with again. Without a quantizer they are handed on as wide as the accumulator."""

from __future__ import annotations

from collections import defaultdict

from qsearch.graph.model_graph import (
    Affine,
    Attention,
    AveragePooling,
    BatchNormalization,
    Convolution,
    DataMover,
    Dense,
    DepthwiseConvolution,
    DepthwiseTransposed,
    EinsumDense,
    Idle,
    Merge,
    MergeKind,
    ModelGraph,
    Node,
    Normalization,
    Recurrent,
    ScaleShift,
    SeparableConvolution,
    SeparableTransposed,
    TransposedConvolution,
)

_WITH_ACTIVATION = (
    Dense,
    Convolution,
    DepthwiseConvolution,
    TransposedConvolution,
    SeparableConvolution,
    DepthwiseTransposed,
    SeparableTransposed,
    ScaleShift,
    EinsumDense,
)
_SUMS = (MergeKind.ADD, MergeKind.SUBTRACT, MergeKind.MULTIPLY, MergeKind.AVERAGE)
_JOINS = (MergeKind.CONCATENATE, MergeKind.STACK)
_ARITHMETIC = (*_WITH_ACTIVATION, Merge, AveragePooling, Recurrent, Attention, Normalization, Affine)


def linear_outputs(graph: ModelGraph) -> tuple[str, ...]:
    """Layers whose sums feed arithmetic with no activation in between, in the graph's order.

    A batch normalization directly behind belongs to its layer, so that it counts and not the layer.
    """
    consumers: dict[str, list[Node]] = defaultdict(list)
    for node in graph.nodes:
        for name in node.inputs:
            consumers[name].append(node)
    sums = (node for node in graph.nodes if node.results == 1 and _is_sum(node))
    found = (node.layer for node in sums if _feeds_arithmetic(node, consumers))
    return tuple(dict.fromkeys(found))


def _is_sum(node: Node) -> bool:
    match node.operation:
        case BatchNormalization() | Affine() | Normalization() | Attention():
            return True
        case Merge(kind=kind):
            return kind in _SUMS
        case operation if isinstance(operation, _WITH_ACTIVATION):
            return operation.activation.is_linear
    return False


def _feeds_arithmetic(node: Node, consumers: dict[str, list[Node]]) -> bool:
    waiting, seen = list(consumers[node.name]), set[str]()
    while waiting:
        reader = waiting.pop()
        if reader.name in seen:
            continue
        seen.add(reader.name)
        match reader.operation:
            case Idle() | DataMover():
                waiting += consumers[reader.name]
            case Merge(kind=kind) if kind in _JOINS:
                waiting += consumers[reader.name]
            case operation if isinstance(operation, _ARITHMETIC):
                return True
    return False
