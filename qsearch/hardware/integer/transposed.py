"""Transposed convolutions: zeros between the positions, then a convolution with the kernel turned round."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy

from qsearch.graph import operations as ops
from qsearch.graph.model_graph import Node
from qsearch.hardware.integer.formats import Format
from qsearch.hardware.integer.linear import Geometry, Made, pointwise, sums, weights_of
from qsearch.hardware.integer.operations import Stuff
from qsearch.hardware.weights import QuantizedWeight


def transposed_steps(node: Node, layer: Any, form: Format) -> Iterator[Made]:
    """The steps of a transposed convolution, of a separable one without the pointwise part.

    Raises:
        ExportError: weights without a quantizer, or channels first.
    """
    weights = weights_of(node, layer)
    channels = node.input_shapes[0][-1]
    bias = None
    match node.operation:
        case ops.DepthwiseTransposed(group_size=size):
            weight, groups = turned(weights["depthwise"], swaps=True), channels // size
        case ops.SeparableTransposed():
            weight, groups = turned(weights["depthwise"], swaps=False), channels
        case _:
            weight, groups, bias = turned(weights["kernel"], swaps=True), 1, weights.get("bias")
    strides = tuple(layer.strides)
    if any(stride > 1 for stride in strides):
        form = replace(form, least=min(form.least, 0), greatest=max(form.greatest, 0))
        yield ":stuffed", Stuff(strides), form
    yield from sums(node, weight, bias, form, _geometry(node, layer, weight, groups))


def pointwise_steps(node: Node, layer: Any, form: Format) -> Iterator[Made]:
    """The second part of a separable transposed convolution."""
    weights = weights_of(node, layer)
    weight = turned(weights["pointwise"], swaps=True)
    yield from sums(node, weight, weights.get("bias"), form, pointwise(weight), ":pointwise")


def _geometry(node: Node, layer: Any, weight: QuantizedWeight, groups: int) -> Geometry:
    """The padding that gives the output's size, as TensorFlow takes it from the convolution that this turns."""
    dilation = tuple(layer.dilation_rate)
    padding = []
    axes = zip(node.input_shapes[0], node.output_shape, weight.values.shape[:-2], layer.strides, dilation, strict=False)
    for size, wanted, side, stride, step in axes:
        reach, stuffed = (side - 1) * step + 1, (size - 1) * stride + 1
        cut = max(stuffed + reach - 1 - wanted, 0) // 2 if layer.padding == "same" else 0
        before = reach - 1 - cut
        padding.append((before, wanted + reach - 1 - stuffed - before))
    return Geometry(strides=(1,) * len(padding), padding=tuple(padding), dilation=dilation, groups=groups)


def turned(weight: QuantizedWeight, *, swaps: bool) -> QuantizedWeight:
    """A kernel from its end; `swaps`: its inputs are last, and become the axis before."""

    def one(array: Any) -> Any:
        if array is None:
            return None
        full = numpy.asarray(array)
        full = full.reshape((1,) * (weight.values.ndim - full.ndim) + full.shape)
        full = numpy.flip(full, tuple(range(full.ndim - 2)))
        return numpy.ascontiguousarray(full.swapaxes(-1, -2) if swaps else full)

    return replace(
        weight,
        values=one(weight.values),
        codes=one(weight.codes),
        scale=one(weight.scale),
        signs=one(weight.signs),
        stored=None,
    )
