"""Narrow models inside the widest one: which part of each of its weights is the weight of a plan.

A layer of n channels has the first n of the widest, so that plans share what they have in common (slimmable networks:
Yu et al. 2019, arXiv:1812.08928). Before, channels are put in the order of their usefulness, once (Cai et al. 2020,
arXiv:1908.09791).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy

from qsearch.errors import ModelError
from qsearch.graph.channels import ChannelMap, Choose, channel_maps, first_channels, most_useful_first
from qsearch.graph.from_keras import read_model
from qsearch.graph.model_graph import ModelGraph, Node
from qsearch.graph.resize import with_filters
from qsearch.graph.walk import layers_by_path, variable_name
from qsearch.plan import QuantizationPlan
from qsearch.quantize.transfer import mapped, usefulness

Part = Any
"""Indexes into a weight of the widest model, laid flat, in the shape of the plan's own weight; None: all of it."""


class NestedWeights:
    """Where the weights of plans are in those of the widest model.

    Args:
        widest: of a space; a plan's filters are at most its own.
    """

    def __init__(self, widest: keras.Model) -> None:
        self.graph: ModelGraph = read_model(widest)
        self._nodes: dict[str, Node] = {}
        for node in self.graph.nodes:
            self._nodes.setdefault(node.layer, node)
        self._channels = {node.name: node.output_shape[-1] for node in self.graph.nodes}
        layers = layers_by_path(widest)
        useful = {path: usefulness(layers[path], node) for path, node in self._nodes.items() if path in layers}
        self._useful = {path: vector for path, vector in useful.items() if vector is not None}
        places: dict[int, tuple[str, str]] = {}
        for path, layer in layers.items():
            for weight in layer.weights:
                places.setdefault(id(weight), (path, variable_name(weight)))
        self._places = [places.get(id(weight)) for weight in widest.weights]
        self.names = [weight.path for weight in widest.weights]
        self.shapes = [tuple(weight.shape) for weight in widest.weights]

    def parts(self, plan: QuantizationPlan) -> list[Part]:
        """The part of each weight, in the order of the model's weights.

        Raises:
            ModelError: widths that do not fit together, or a weight of which no rule says how it follows them.
        """
        graph = with_filters(self.graph, plan)
        if graph is self.graph:
            return [None] * len(self._places)
        return self._followed(graph, first_channels)

    def ordered(self, arrays: Sequence[Any], filters: Mapping[str, int]) -> list[Any]:
        """Weights of the widest model with the most useful channels of some layers first; its function is the same.

        Args:
            filters: by layer, how many of its channels are put in order; the others are copies of these.
        """
        parts = self._followed(self.graph, most_useful_first(filters))
        return [taken(array, part) for array, part in zip(arrays, parts, strict=True)]

    def _followed(self, graph: ModelGraph, choose: Choose) -> list[Part]:
        maps = channel_maps(self.graph, graph, self._useful, choose)
        return [self._part(index, maps) for index in range(len(self._places))]

    def _part(self, index: int, maps: Mapping[str, ChannelMap]) -> Part:
        place, shape = self._places[index], self.shapes[index]
        node = None if place is None else self._nodes.get(place[0])
        if place is None or node is None or not node.inputs:
            return None
        if all(
            maps[name].identical and len(maps[name].source) == self._channels[name]
            for name in (node.name, *node.inputs)
        ):
            return None
        # real numbers of 64 bits hold every index, and shares of channels that are dropped are 1
        flat = numpy.arange(numpy.prod(shape, dtype=int), dtype=numpy.float64).reshape(shape)
        part = mapped(node, place[1], flat, maps[node.inputs[0]], maps[node.name])
        if part is None:
            raise ModelError(f"layer {node.layer!r}: how its {place[1]} follows another width is not known")
        return numpy.asarray(part).astype(numpy.int64)


def taken(array: Any, part: Part) -> Any:
    """The part of a weight."""
    return array if part is None else numpy.take(array, part)


def put(array: Any, part: Part, value: Any) -> None:
    """Write the part of a weight in place."""
    if part is None:
        array[...] = value
    else:
        numpy.put(array, part, value)
