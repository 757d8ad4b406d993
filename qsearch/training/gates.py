"""Widths as gates: of each input of a layer with weights, the part of every channel that is there.

    gate[c] = Π_d Σ_k p_dk · [channel c is there where dimension d takes its option k]

A channel that is dropped is 0 for all that reads it, whatever its own activation makes of nothing: where the gates are
0 and 1, a gated model computes what the narrow one does. What mixes channels without weights of its own (a layer
normalization, a softmax over channels) would still count them, so that models are held against narrow ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy
import tensorflow as tf
from numpy.typing import NDArray

from qsearch.graph import operations as ops
from qsearch.graph.channels import channel_maps, first_channels
from qsearch.graph.from_keras import read_model
from qsearch.graph.resize import with_filters
from qsearch.graph.walk import layers_by_path
from qsearch.quantizers.arithmetic.tensors import Tensor
from qsearch.search.space import SearchSpace

Masks = Mapping[str, NDArray[numpy.float32]]
"""By dimension (its options, channels): 1 for the channels that are there with an option."""
Probabilities = Callable[[str], Tensor]
"""Of the options of a dimension."""


def gate_inputs(model: keras.Model, space: SearchSpace, probabilities: Probabilities) -> None:
    """Let every layer that reads channels of a searched width read the part of them that is there.

    Args:
        model: the widest of the space.
    """
    layers = layers_by_path(model)
    for path, masks in masks_of(model, space).items():
        _gate(layers[path], masks, probabilities)


def masks_of(model: keras.Model, space: SearchSpace) -> dict[str, Masks]:
    """The masks of each layer's input, by the layer; layers whose input is of one width are left out."""
    graph = read_model(model)
    channels = {node.name: node.output_shape[-1] for node in graph.nodes}
    readers = {
        node.layer: node.inputs[0] for node in graph.nodes if ops.width_of(node.operation) is not None and node.inputs
    }
    found: dict[str, dict[str, NDArray[numpy.float32]]] = {}
    options = {one.name: one.options for one in space.dimensions}
    for dimension in sorted(space.widths):
        rows: dict[str, list[Any]] = {}
        for option in options[dimension]:
            plan = space.plan({**space.at_widths(max), dimension: option})
            maps = channel_maps(graph, with_filters(graph, plan), {}, first_channels)
            for layer, read in readers.items():
                rows.setdefault(layer, []).append(numpy.isin(numpy.arange(channels[read]), maps[read].source))
        for layer, there in rows.items():
            if not numpy.all(there):
                found.setdefault(layer, {})[dimension] = numpy.array(there, numpy.float32)
    return dict(found)


def _gate(layer: Any, masks: Masks, probabilities: Probabilities) -> None:
    own = layer.call

    def call(inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
        gate: Any = 1.0
        for dimension, there in masks.items():
            gate = gate * tf.linalg.matvec(tf.constant(there), probabilities(dimension), transpose_a=True)
        return own(inputs * tf.cast(gate, inputs.dtype), *args, **kwargs)

    layer.call = call
