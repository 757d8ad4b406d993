"""Blocks for a model, from the structure of its graph."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from qsearch.graph import operations as ops
from qsearch.graph.model_graph import ModelGraph, Node
from qsearch.graph.residual import residual_blocks

MAX_CONVOLUTIONS = 3
"""In a block that is no residual block: as many as VGG-16 has at one size (Simonyan and Zisserman 2015)."""

_CONVOLUTIONS = (ops.Convolution, ops.TransposedConvolution, ops.SeparableConvolution, ops.DepthwiseConvolution)
_SEPARATORS = "_/.-"


@dataclass(frozen=True)
class SuggestedBlock:
    """Layers that belong together, and a pattern for `run.blocks` that takes them.

    Attributes:
        pattern: takes all searched layers of the block and none of another.
        layers: the block's, in the model's order.
    """

    pattern: str
    layers: tuple[str, ...]


def suggest(graph: ModelGraph, searched: Collection[str], names: Sequence[str]) -> tuple[SuggestedBlock, ...]:
    """Cut a model into blocks.

    A residual block is one; residual blocks that share a layer are one together. Of the rest, consecutive
    convolutions that work on one image size are a block, at most three of them, where a depthwise convolution and
    the one behind it count as one; every dense or recurrent layer is one. All other layers go with the layer before.
    Blocks without a searched layer are left out.

    Args:
        searched: the layers that the search quantizes.
        names: the layers that patterns are matched with, in the model's order.
    """
    groups = _Cut(graph).groups()
    inside = [[name for name in names if name in group] for group in groups]
    wanted = [group for group in inside if any(name in searched for name in group)]
    return tuple(SuggestedBlock(_pattern(group, searched, names), tuple(group)) for group in wanted)


@dataclass
class _Open:
    """The block that the next convolution may join."""

    group: int
    size: tuple[int, ...]
    count: int
    depthwise: bool


class _Cut:
    """One pass over the graph that gives every layer a group."""

    def __init__(self, graph: ModelGraph) -> None:
        self.graph = graph
        self.residual = _united([frozenset({*block.layers, block.merge}) for block in residual_blocks(graph)])
        self.by_residual: dict[int, int] = {}
        self.group_of: dict[str, int] = {}
        self.count = 0
        self.open: _Open | None = None

    def groups(self) -> list[set[str]]:
        """The layers of each group, in the graph's order."""
        nodes = {node.name: node for node in self.graph.nodes}
        waiting: list[str] = []
        for node in self.graph.nodes:
            if node.layer in self.group_of:
                continue
            before = [self.group_of.get(nodes[name].layer, -1) for name in node.inputs]
            group = self._group(node, max(before, default=-1))
            if group < 0:
                waiting.append(node.layer)  # in front of the first block: it goes with that
            else:
                self.group_of[node.layer] = group
        found: list[set[str]] = [set() for _ in range(self.count)]
        for layer, group in [*self.group_of.items(), *((layer, 0) for layer in waiting if found)]:
            found[group].add(layer)
        return found

    def _group(self, node: Node, before: int) -> int:
        residual = self.residual.get(node.layer)
        if residual is not None:
            self.open = None
            if residual not in self.by_residual:
                self.by_residual[residual] = self._new()
            return self.by_residual[residual]
        if isinstance(node.operation, _CONVOLUTIONS):
            return self._convolution(node, before)
        if isinstance(node.operation, ops.Dense | ops.Recurrent):
            self.open = None
            return self._new()
        return before

    def _convolution(self, node: Node, before: int) -> int:
        size = node.input_shapes[0][:-1]
        depthwise = isinstance(node.operation, ops.DepthwiseConvolution)
        last = self.open
        if last is not None and last.group == before:
            if last.depthwise and not depthwise:
                last.depthwise = False
                return before
            if last.size == size and last.count < MAX_CONVOLUTIONS:
                last.count, last.depthwise = last.count + 1, depthwise
                return before
        self.open = _Open(self._new(), size, 1, depthwise)
        return self.open.group

    def _new(self) -> int:
        self.count += 1
        return self.count - 1


def _united(blocks: Sequence[frozenset[str]]) -> Mapping[str, int]:
    """By layer, a number; sets with a common layer have one number."""
    united: list[frozenset[str]] = []
    for block in blocks:
        touching = [other for other in united if other & block]
        united = [other for other in united if not other & block] + [block.union(*touching)]
    return {layer: number for number, block in enumerate(united) for layer in block}


def _pattern(group: Sequence[str], searched: Collection[str], names: Sequence[str]) -> str:
    """A common beginning or end, or else all names."""
    core = [name for name in group if name in searched]
    foreign = [name for name in names if name in searched and name not in group]
    for part in (group, core):
        others = [name for name in names if name not in group] if part is group else foreign
        for pattern in _affixes(part):
            if all(re.match(pattern, name) for name in part) and not any(re.match(pattern, name) for name in others):
                return pattern
    return f"^({'|'.join(map(re.escape, group))})$"


def _affixes(names: Sequence[str]) -> list[str]:
    """Patterns of what the names have in common, cut where their words are."""
    if len(names) == 1:
        return [f"^{re.escape(names[0])}$"]
    ends = [name[::-1] for name in names]
    shorter = [re.sub(r"^\d+(?=_)", "", end) for end in ends]
    start, end, inner = _shared(names), _shared(ends)[::-1], _shared(shorter)[::-1]
    patterns = ((start, f"^{re.escape(start)}"), (end, f"^.*{re.escape(end)}$"), (inner, rf"^.*{re.escape(inner)}\d+$"))
    return [pattern for part, pattern in patterns if part]


def _shared(names: Sequence[str]) -> str:
    """The whole words that all names begin with."""
    start = ""
    for letters in zip(*names, strict=False):
        if len(set(letters)) > 1:
            break
        start += letters[0]
    while start and start[-1] not in _SEPARATORS:
        start = start[:-1]
    return start
