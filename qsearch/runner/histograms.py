"""The weights of a model as figures: how they spread over the levels of their quantizers."""

from __future__ import annotations

import math

import keras
import numpy
from numpy.typing import NDArray

from qsearch.goal.pricer import Costs
from qsearch.graph.built import built
from qsearch.hardware.ebops import effective_bit_operations
from qsearch.hardware.weights import QuantizedWeight, quantized_weights
from qsearch.plan import QuantizationPlan
from qsearch.runs.weights import BestWeights, WeightHistogram

MOST_LEVELS = 64
"""Levels that are counted one by one."""
FEWEST_BINS, MOST_BINS = 8, 48


def best_weights(model: keras.Model, costs: Costs, plan: QuantizationPlan) -> BestWeights:
    """The content of best/weights.json of a trained model with this plan."""
    weights = quantized_weights(model)
    graph, _ = built(costs.graph, plan)
    return BestWeights(
        ebops=effective_bit_operations(model, graph, costs.energy(plan)),
        weights=tuple(
            histogram(layer, name, weight)
            for layer, parts in weights.items()
            for name, weight in parts.items()
            if weight.values.size
        ),
    )


def histogram(layer: str, name: str, weight: QuantizedWeight) -> WeightHistogram:
    """One weight, counted."""
    values = numpy.nan_to_num(weight.values.astype("float64").ravel(), posinf=0.0, neginf=0.0)
    levels, counts = numpy.unique(values, return_counts=True)
    binned = len(levels) > (MOST_LEVELS if weight.quantizer is not None else 1)
    if binned:
        counts, edges = numpy.histogram(values, _bins(values.size))
        levels = (edges[:-1] + edges[1:]) / 2
    ends, trained = _trained(weight, values)
    return WeightHistogram(
        layer=layer,
        weight=name,
        quantizer=weight.quantizer,
        bits=weight.bits,
        count=int(values.size),
        zeros=int((values == 0.0).sum()),
        levels=tuple(float(f"{level:.6g}") for level in levels),
        counts=tuple(map(int, counts)),
        binned=binned,
        edges=ends,
        trained=trained,
    )


def _bins(count: int) -> int:
    """As many as so many values fill."""
    return min(max(FEWEST_BINS, 2 * math.isqrt(count)), MOST_BINS)


def _trained(
    weight: QuantizedWeight, values: NDArray[numpy.float64]
) -> tuple[tuple[float, float] | None, tuple[int, ...]]:
    """The floats that training left, over a range that holds the levels too."""
    if weight.stored is None or weight.quantizer is None or weight.is_stored_on_grid:
        return None, ()
    stored = weight.stored.astype("float64").ravel()
    stored = stored[numpy.isfinite(stored)]
    if not stored.size:
        return None, ()
    low, high = min(stored.min(), values.min()), max(stored.max(), values.max())
    if not low < high:
        return None, ()
    counts, _ = numpy.histogram(stored, _bins(stored.size), (low, high))
    return (float(f"{low:.6g}"), float(f"{high:.6g}")), tuple(map(int, counts))
