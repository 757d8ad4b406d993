"""Weights from a model to its quantized form."""

from __future__ import annotations

from typing import Any

import keras
import numpy

from qsearch.graph.walk import layers_by_path


def transfer_weights(source: keras.Model, target: keras.Model) -> tuple[str, ...]:
    """Copy weights between layers of one path wherever all shapes agree.

    A layer of the target that took in a batch normalization gets that layer's weights too.

    Returns:
        Paths of the target's layers with weights that kept their own, in order.
    """
    sources = layers_by_path(source)
    kept: list[str] = []
    for path, layer in layers_by_path(target).items():
        if not layer.weights:
            continue
        values = _values(path, layer, sources)
        if [value.shape for value in values] == [tuple(weight.shape) for weight in layer.weights]:
            layer.set_weights(values)
        else:
            kept.append(path)
    return tuple(kept)


def _values(path: str, layer: Any, sources: dict[str, Any]) -> list[Any]:
    origin = sources.get(path)
    if origin is None:
        return []
    values: list[Any] = origin.get_weights()
    norm = getattr(layer, "folded_norm", None)
    if norm is None or type(origin) is type(layer):
        return values
    place = path.rpartition("/")[0]
    batch_norm = sources.get(f"{place}/{norm}" if place else norm)
    if batch_norm is None:
        return []
    parts = batch_norm.get_weights()
    # gamma and beta, as far as they are there, then the count of calls, then the statistics
    return [*values, *parts[:-2], numpy.asarray(-1, "int64"), *parts[-2:]]
