"""Effective bit operations, as HGQ defines them (Sun et al. 2024, arXiv:2405.00645)."""

from __future__ import annotations

import keras
import numpy

from qsearch.energy.ebops import input_bits, uses
from qsearch.energy.report import EnergyReport
from qsearch.graph.model_graph import ModelGraph
from qsearch.hardware.weights import QuantizedWeight, quantized_weights

_KERNELS = ("kernel", "depthwise", "pointwise", "recurrent", "weight")


def effective_bit_operations(model: keras.Model, graph: ModelGraph, report: EnergyReport) -> int | None:
    """The sum over all multiplications by a weight of (bits of the weight) · (bits of the input).

    A weight's bits are those of its code from the first to the last one that is set: 0 for a zero, 1 for a power
    of two. An input's are those of its format without the sign. Floats count with all their 32 bits. None where
    weights are no finite numbers.
    """
    weights = quantized_weights(model)
    if not all(numpy.isfinite(weight.values).all() for parts in weights.values() for weight in parts.values()):
        return None
    total = 0
    for node in graph.nodes:
        for name, weight in weights.get(node.layer, {}).items():
            kind = name.removeprefix("forward_").removeprefix("backward_")
            if kind in _KERNELS and node.name in report.layers:
                total += int(_bits(weight).sum()) * input_bits(node, kind, report.layers[node.name]) * uses(node, kind)
    return total


def _bits(weight: QuantizedWeight) -> numpy.ndarray:
    if weight.codes is None:
        return numpy.full(weight.values.shape, 32)
    if weight.signs is not None:
        return numpy.ones(weight.values.shape, int)
    codes = numpy.abs(weight.codes)
    lowest = codes & -codes
    found = numpy.where(codes == 0, 1, codes // numpy.maximum(lowest, 1))
    bits = numpy.floor(numpy.log2(found)).astype(int) + 1
    return numpy.where(codes == 0, 0, bits)
