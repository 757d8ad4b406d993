"""Residual blocks (He et al. 2016, arXiv:1512.03385): what lies between a fork of the graph and the merge behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qsearch.graph import operations as ops
from qsearch.graph.model_graph import ModelGraph, Node


@dataclass(frozen=True)
class ResidualBlock:
    """Branches that start from one tensor and are merged value by value.

    An identity block has one branch with layers and one without, a convolution block has layers on both.

    Attributes:
        merge: the layer that closes it.
        layers: the layers between, in the graph's order.
    """

    merge: str
    layers: tuple[str, ...]


def residual_blocks(graph: ModelGraph) -> tuple[ResidualBlock, ...]:
    """The residual blocks of a model; of nested ones the innermost.

    Branches that are concatenated are none, as they need no common width.
    """
    nodes = {node.name: node for node in graph.nodes}
    above: dict[str, frozenset[str]] = {}
    for node in graph.nodes:
        above[node.name] = frozenset({node.name}).union(*(above[name] for name in node.inputs))
    between = {node.name: _between(graph, node, above) for node in graph.nodes if _joins(node)}
    return tuple(
        ResidualBlock(nodes[merge].layer, _layers(names, nodes))
        for merge, names in between.items()
        if names and not any(other in names for other in between if between[other])
    )


def _joins(node: Node) -> bool:
    if not isinstance(node.operation, ops.Merge) or len(set(node.inputs)) < 2:
        return False
    return node.operation.kind not in (ops.MergeKind.CONCATENATE, ops.MergeKind.STACK, ops.MergeKind.DOT)


def _between(graph: ModelGraph, merge: Node, above: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    """Nodes on the way from the fork to the merge; none where the branches have no common origin."""
    branches = [above[name] for name in merge.inputs]
    common = branches[0].intersection(*branches)
    if not common:
        return ()
    fork = next(node.name for node in reversed(graph.nodes) if node.name in common)
    inside = frozenset().union(*branches) - above[fork]
    return tuple(node.name for node in graph.nodes if node.name in inside)


def _layers(names: tuple[str, ...], nodes: Mapping[str, Node]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(nodes[name].layer for name in names))
