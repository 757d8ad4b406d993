"""How much a layer does in one inference: operations, multiply-accumulates, and the part of them that has a price."""

from __future__ import annotations

import math
from typing import NamedTuple

from qsearch.graph import operations as ops
from qsearch.graph.model_graph import ModelGraph, Node


class Counts(NamedTuple):
    """What one call does.

    Attributes:
        macs: multiply-accumulates; 0 for a layer without weights to multiply.
        operations: multiplications of a layer with one kernel, values handled by any other; 0 where charges have
            counts of their own (see `LayerTypes.charges`).
    """

    macs: int
    operations: int


def counts(node: Node) -> Counts:
    """How much a layer does in one call.

    Transposed convolutions: input positions · kernel area · channels in · channels out, as the zeros that strides put
    in are not multiplied. Attention: projections, Q · K^T and the weighted sum of V.
    """
    values = math.prod(node.output_shape)
    match node.operation:
        case ops.OneKernel():
            products = _products(node, node.operation)
            return Counts(products, products)
        case ops.SeparableTransposed(kernel_size=size):
            return Counts(math.prod(node.input_shapes[0]) * math.prod(size) + values * node.input_shapes[0][-1], 0)
        case ops.ScaleShift():
            return Counts(values, 0)
        case ops.SeparableConvolution():
            window, channels = node.weights["depthwise_kernel"], node.weights["pointwise_kernel"][-2]
            return Counts(math.prod(node.output_shape[:-1]) * channels * math.prod(window[:-2]) + values * channels, 0)
        case ops.Recurrent():
            steps = math.prod(node.input_shapes[0][:-1]) * node.operation.directions
            weights = math.prod(node.weights["kernel"]) + math.prod(node.weights["recurrent_kernel"])
            return Counts(steps * weights, 0)
        case ops.Attention():
            return Counts(sum(projection_macs(node)) + sum(attention_macs(node)), 0)
        case ops.Embedding() | ops.Normalization() | ops.Unknown():
            return Counts(0, 0)
        case ops.AveragePooling():
            return Counts(0, values * pooling_area(node))
        case ops.Affine() | ops.DataMover(move=ops.Move.UP_SAMPLING):
            return Counts(0, values)
    most = max((math.prod(shape) for shape in node.input_shapes), default=0)
    match node.operation:
        case ops.Merge(kind=ops.MergeKind.DOT, terms=terms):
            return Counts(values * terms, most)
    return Counts(0, most)


def _products(node: Node, operation: ops.OneKernel) -> int:
    values, inputs = math.prod(node.output_shape), math.prod(node.input_shapes[0])
    match operation:
        case ops.Dense(units=units):
            return inputs * units
        case ops.DepthwiseConvolution():
            return values * math.prod(node.weights["kernel"][:-2])
        case ops.TransposedConvolution(kernel_size=size, filters=filters):
            return inputs * math.prod(size) * filters
        case ops.DepthwiseTransposed(kernel_size=size, group_size=group):
            return inputs * math.prod(size) * group
        case ops.EinsumDense(terms=terms):
            return values * terms
    return values * math.prod(node.weights["kernel"][:-1])


def projection_macs(node: Node) -> tuple[int, int, int, int]:
    """Of an attention layer's dense layers: query, key, value and output."""
    attention = node.operation
    assert isinstance(attention, ops.Attention)
    if not attention.projected:
        return (0, 0, 0, 0)
    query, key, value = (node.input_shapes[place] for place in attention.places)
    result = math.prod(node.output_shape) * attention.heads * attention.value_dim
    return (
        math.prod(query) * attention.heads * attention.key_dim,
        math.prod(key) * attention.key_heads * attention.key_dim,
        math.prod(value) * attention.key_heads * attention.value_dim,
        result,
    )


def attention_macs(node: Node) -> tuple[int, int]:
    """Of an attention layer's scores and weighted sums."""
    attention = node.operation
    assert isinstance(attention, ops.Attention)
    pairs = score_count(node)
    return pairs * attention.key_dim, pairs * attention.value_dim


def score_count(node: Node) -> int:
    """Pairs of a query and a key that an attention layer compares, in all heads."""
    attention = node.operation
    assert isinstance(attention, ops.Attention)
    query = node.input_shapes[attention.places[0]]
    positions = math.prod(query[:-1]) if attention.projected else math.prod(query) // attention.key_dim
    heads = attention.heads if attention.projected else 1  # unprojected queries have an axis of heads, if any
    return positions * heads * attention.attended


def pooling_area(node: Node) -> int:
    """Values averaged per output value."""
    assert isinstance(node.operation, ops.AveragePooling)
    window = node.operation.pool_size or node.input_shapes[0][:-1]
    return math.prod(window)


def estimated_macs(node: Node) -> int:
    """What a layer without a rule may multiply: every position meets each of its matrices once."""
    kernels = sum(math.prod(shape) for shape in node.weights.values() if len(shape) > 1)
    return math.prod(node.output_shape[:-1]) * kernels


def is_priced(node: Node) -> bool:
    """Whether the energy model has a rule for what the node computes."""
    return not isinstance(node.operation, ops.Unknown)


def macs_of(graph: ModelGraph) -> int:
    """The multiply-accumulates of a sample, those of layers without a rule as estimated."""
    return sum(counts(node).macs if is_priced(node) else estimated_macs(node) for node in graph.nodes)


def priced_share(graph: ModelGraph) -> float:
    """The part of a model's multiply-accumulates that the energy model has a rule for; 1 where there are none."""
    priced = sum(counts(node).macs for node in graph.nodes)
    missing = sum(estimated_macs(node) for node in graph.nodes if not is_priced(node))
    return priced / (priced + missing) if priced + missing else 1.0
