"""Which channel of a layer with another width comes from which channel of the layer that it was.

Narrower layers keep their most useful channels. Wider ones repeat some, and the layers behind divide what they take
from a repeated channel among its copies, so that the function stays the same (Net2WiderNet: Chen et al. 2016,
arXiv:1511.05641). Channels that the graph adds together are chosen together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

from qsearch.graph import operations as ops
from qsearch.graph.model_graph import ModelGraph, Node

Vector = NDArray[numpy.float64]
Indexes = NDArray[numpy.int64]


@dataclass(frozen=True)
class ChannelMap:
    """Channels of a tensor.

    Attributes:
        source: for each channel, which one of the original it is.
        share: for each channel, the part of the original's outgoing weights that it takes; the shares of one original
            channel add up to 1 where all of it is kept.
    """

    source: Indexes
    share: Vector

    @property
    def identical(self) -> bool:
        return bool(numpy.array_equal(self.source, numpy.arange(len(self.source))) and (self.share == 1).all())

    @classmethod
    def identity(cls, channels: int) -> ChannelMap:
        return cls(numpy.arange(channels), numpy.ones(channels))

    def repeated(self, times: int, channels: int) -> ChannelMap:
        """Of a flattened tensor: `times` positions, each with all of its originally `channels` channels."""
        offsets = numpy.repeat(numpy.arange(times) * channels, len(self.source))
        return ChannelMap(numpy.tile(self.source, times) + offsets, numpy.tile(self.share, times))

    def multiplied(self, multiplier: int) -> ChannelMap:
        """Of a depthwise kernel's output, `multiplier` channels for each; of a tensor flattened channel by channel."""
        source = self.source[:, None] * multiplier + numpy.arange(multiplier)
        return ChannelMap(source.reshape(-1), numpy.repeat(self.share, multiplier))


Choose = Callable[[Node, Node, Sequence[Vector]], ChannelMap]
"""Given a layer before and after, and the usefulness of its group's channels: which of them it has."""


def channel_maps(
    before: ModelGraph, after: ModelGraph, usefulness: Mapping[str, Vector], choose: Choose | None = None
) -> dict[str, ChannelMap]:
    """The map of every node's output.

    Args:
        before, after: graphs with the same nodes, and other widths.
        usefulness: by layer, how much each of its output channels matters.
        choose: which channels the layers of a group have; None: the most useful ones, or repeated ones.
    """
    choose = _choose if choose is None else choose
    tied = _owners(before)
    groups: dict[str, list[str]] = {}
    for layer, group in tied.items():
        groups.setdefault(group, []).append(layer)
    sizes = {node.layer: node for node in after.nodes}
    chosen: dict[str, ChannelMap] = {}
    maps: dict[str, ChannelMap] = {}
    for node in before.nodes:
        other = sizes.get(node.layer, node)  # an input may have another name in a copy
        if ops.width_of(node.operation) is not None:
            group = tied[node.layer]
            if group not in chosen:
                chosen[group] = choose(node, other, [usefulness[name] for name in groups[group] if name in usefulness])
            mapped = chosen[group]
        else:
            mapped = _passed(node, [maps[name] for name in node.inputs])
        # what does not fit (a reshaped tensor, sums of joined branches) starts afresh from the first channels
        fits = len(mapped.source) == other.output_shape[-1] and (mapped.source < node.output_shape[-1]).all()
        maps[node.name] = mapped if fits else _first(node.output_shape[-1], other.output_shape[-1])
    return maps


def first_channels(node: Node, other: Node, scores: Sequence[Vector]) -> ChannelMap:
    """Of a group of layers: the first channels, so that those of a narrow layer are among those of a wider one."""
    return _first(node.output_shape[-1], other.output_shape[-1])


def most_useful_first(filters: Mapping[str, int]) -> Choose:
    """All channels of the layers that are named, the most useful ones first; others keep their order.

    Args:
        filters: by layer, how many channels are ordered; those behind are copies of some of them, and stay behind.
    """

    def choose(node: Node, other: Node, scores: Sequence[Vector]) -> ChannelMap:
        channels, own = node.output_shape[-1], filters.get(node.layer, 0)
        if own > channels or (isinstance(node.operation, ops.Recurrent) and node.operation.directions > 1):
            return ChannelMap.identity(channels)
        order = numpy.argsort(-_total(scores, channels)[:own], kind="stable")
        return ChannelMap(numpy.concatenate([order, numpy.arange(own, channels)]), numpy.ones(channels))

    return choose


def _total(scores: Sequence[Vector], channels: int) -> Vector:
    """Each layer of a group has a say of 1 in all."""
    fitting = [score / (score.sum() or 1.0) for score in scores if len(score) == channels]
    return numpy.asarray(sum(fitting, numpy.zeros(channels)))


def _choose(node: Node, other: Node, scores: Sequence[Vector]) -> ChannelMap:
    sides = node.operation.directions if isinstance(node.operation, ops.Recurrent) else 1
    channels, wanted = node.output_shape[-1], other.output_shape[-1]
    if sides > 1 or channels == wanted:
        return _first(channels, wanted)
    order = numpy.argsort(-_total(scores, channels), kind="stable")
    if wanted < channels:
        return ChannelMap(numpy.sort(order[:wanted]), numpy.ones(wanted))
    source = numpy.concatenate([numpy.arange(channels), numpy.resize(order, wanted - channels)])
    # Uneven shares, as equal copies would get equal gradients and stay one channel.
    weights = numpy.random.default_rng(channels).uniform(0.5, 1.5, wanted)
    weights[numpy.bincount(source, minlength=channels)[source] == 1] = 1.0
    return ChannelMap(source, weights / numpy.bincount(source, weights)[source])


def _first(channels: int, wanted: int) -> ChannelMap:
    source = numpy.resize(numpy.arange(channels), wanted)
    return ChannelMap(source, 1.0 / numpy.bincount(source)[source])


def _passed(node: Node, inputs: Sequence[ChannelMap]) -> ChannelMap:
    if not inputs:
        return ChannelMap.identity(node.output_shape[-1])
    match node.operation:
        case ops.DepthwiseConvolution(depth_multiplier=multiplier):
            return inputs[0].multiplied(multiplier)
        case ops.DataMover(move=ops.Move.FLATTEN | ops.Move.RESHAPE, keeps_channels=keeps) if (
            len(node.output_shape) == 1
        ):
            *positions, channels = node.input_shapes[0]
            times = math.prod(positions)
            return inputs[0].repeated(times, channels) if keeps else inputs[0].multiplied(times)
        case ops.Merge(kind=ops.MergeKind.CONCATENATE, axis=axis) if axis in (-1, len(node.output_shape)):
            starts = numpy.cumsum([0, *(shape[-1] for shape in node.input_shapes)])
            parts = [part.source + start for part, start in zip(inputs, starts, strict=False)]
            return ChannelMap(numpy.concatenate(parts), numpy.concatenate([part.share for part in inputs]))
        case ops.Merge():
            return max(inputs, key=lambda part: len(part.source))  # the others are equal, or of one channel
    return inputs[0]


def keeps_last_axis(node: Node) -> bool:
    """Whether a reshaped tensor has the channels that it had: axes are added, dropped or joined before the last."""
    return node.input_shapes[0][-1:] == node.output_shape[-1:]


def tied_layers(graph: ModelGraph) -> dict[str, tuple[str, ...]]:
    """Layers with channels of their own, each with all that must have as many, itself included, in order."""
    owners = _owners(graph)
    groups: dict[str, list[str]] = {}
    for layer, owner in owners.items():
        groups.setdefault(owner, []).append(layer)
    return {layer: tuple(groups[owner]) for layer, owner in owners.items()}


def _owners(graph: ModelGraph) -> dict[str, str]:
    """Layers with channels of their own, and the first of those that must choose theirs together."""
    parents: dict[str, str] = {}

    def root(name: str) -> str:
        while parents[name] != name:
            name = parents[name]
        return name

    makers: dict[str, str | None] = {}
    """By node, the one layer that has made its channels; None where several have, or none."""
    for node in graph.nodes:
        before = [makers[name] for name in node.inputs]
        match node.operation:
            case operation if ops.width_of(operation) is not None:
                makers[node.name] = node.layer
                parents.setdefault(node.layer, node.layer)
            case (
                ops.Merge(kind=ops.MergeKind.DOT | ops.MergeKind.STACK)
                | ops.Attention()
                | ops.EinsumDense()
                | ops.Unknown()
            ):
                makers[node.name] = None
            case ops.SeparableTransposed():
                makers[node.name] = None
            case ops.DataMover(keeps_channels=False) | ops.AveragePooling(keeps_channels=False):
                makers[node.name] = None
            case ops.DataMover(move=ops.Move.FLATTEN | ops.Move.RESHAPE) if not keeps_last_axis(node):
                makers[node.name] = None
            case ops.Merge(kind=ops.MergeKind.CONCATENATE, axis=axis) if axis in (-1, len(node.output_shape)):
                makers[node.name] = None
            case ops.DepthwiseConvolution(depth_multiplier=multiplier) if multiplier > 1:
                makers[node.name] = None
            case ops.Merge():
                widest = max(shape[-1] for shape in node.input_shapes)
                sides = [
                    name for name, shape in zip(before, node.input_shapes, strict=True) if name and shape[-1] == widest
                ]
                for name in sides[1:]:
                    parents[root(name)] = root(sides[0])
                makers[node.name] = sides[0] if sides else None
            case _:
                makers[node.name] = before[0] if len(before) == 1 else None
    return {name: root(name) for name in parents}
