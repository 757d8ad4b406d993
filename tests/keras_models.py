"""The golden architectures as Keras models, with filters of one's choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from golden_models import energies
from keras import layers

FLOAT_ARCHITECTURES = [name for name in energies()["archs"] if name != "q_direct"]

_CLASSES: Mapping[str, type[keras.layers.Layer]] = {
    "Activation": layers.Activation,
    "Add": layers.Add,
    "AveragePooling2D": layers.AveragePooling2D,
    "BatchNormalization": layers.BatchNormalization,
    "Concatenate": layers.Concatenate,
    "Conv2D": layers.Conv2D,
    "Dense": layers.Dense,
    "DepthwiseConv2D": layers.DepthwiseConv2D,
    "Dropout": layers.Dropout,
    "Flatten": layers.Flatten,
    "GlobalAveragePooling2D": layers.GlobalAveragePooling2D,
    "MaxPooling2D": layers.MaxPooling2D,
    "Reshape": layers.Reshape,
}


def build(name: str, widths: Mapping[str, int] | None = None) -> keras.Model:
    """The model; `widths` replaces filters or units of layers by name."""
    arch = energies()["archs"][name]
    tensors: dict[str, Any] = {}
    made: list[Any] = []
    for layer, kind, options, inputs in arch["layers"]:
        if kind == "Input":
            tensors[layer] = keras.Input(options["shape"], name=layer)
            made.append(tensors[layer])
            continue
        changed = dict(options)
        if widths and layer in widths:
            changed["units" if kind == "Dense" else "filters"] = widths[layer]
        built = _CLASSES[kind](**changed, name=layer)
        made.append(built)
        if not arch["sequential"]:
            read = [tensors[source] for source in inputs]
            tensors[layer] = built(read if len(read) > 1 else read[0])
    if arch["sequential"]:
        return keras.Sequential(made, name=name)
    sources = [tensors[layer] for layer, kind, _, _ in arch["layers"] if kind == "Input"]
    return keras.Model(sources, [tensors[output] for output in arch["outputs"]], name=name)
