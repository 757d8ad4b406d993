"""Linear bottlenecks (Sandler et al. 2018, arXiv:1801.04381): sums that no activation follows before they are computed
with again. Without a quantizer they are handed on as wide as the accumulator."""

from __future__ import annotations

from collections import defaultdict

from qsearch.graph import operations as ops
from qsearch.graph.model_graph import ModelGraph, Node

_SUMS = (ops.MergeKind.ADD, ops.MergeKind.SUBTRACT, ops.MergeKind.MULTIPLY, ops.MergeKind.AVERAGE)
_JOINS = (ops.MergeKind.CONCATENATE, ops.MergeKind.STACK)
_ARITHMETIC = (
    ops.Weighted,
    ops.Merge,
    ops.AveragePooling,
    ops.Attention,
    ops.Normalization,
    ops.Affine,
)


def linear_outputs(graph: ModelGraph) -> tuple[str, ...]:
    """Layers whose sums feed arithmetic with no activation in between, in the graph's order.

    A batch normalization directly behind belongs to its layer, so that it counts and not the layer.
    """
    consumers: dict[str, list[Node]] = defaultdict(list)
    for node in graph.nodes:
        for name in node.inputs:
            consumers[name].append(node)
    sums = (node for node in graph.nodes if node.results == 1 and _is_sum(node))
    linear = (node.layer for node in sums if _feeds_arithmetic(node, consumers))
    return tuple(dict.fromkeys(linear))


def _is_sum(node: Node) -> bool:
    match node.operation:
        case ops.BatchNormalization() | ops.Affine() | ops.Normalization() | ops.Attention():
            return True
        case ops.Merge(kind=kind):
            return kind in _SUMS
        case ops.Weighted(ends_in_activation=True, activation=function):
            return function.is_linear
    return False


def _feeds_arithmetic(node: Node, consumers: dict[str, list[Node]]) -> bool:
    waiting, seen = list(consumers[node.name]), set[str]()
    while waiting:
        reader = waiting.pop()
        if reader.name in seen:
            continue
        seen.add(reader.name)
        match reader.operation:
            case ops.Idle() | ops.DataMover():
                waiting += consumers[reader.name]
            case ops.Merge(kind=kind) if kind in _JOINS:
                waiting += consumers[reader.name]
            case operation if isinstance(operation, _ARITHMETIC):
                return True
    return False
