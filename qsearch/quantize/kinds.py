"""Which Keras layers have a quantized form: the class, and where its quantizers go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import keras

from qsearch import layers
from qsearch.graph.einsum import dense_units
from qsearch.graph.walk import core_of
from qsearch.layers.table import LAYERS, Entry


@dataclass(frozen=True)
class LayerKind:
    """A kind of layer that can be quantized: its row of the table, and the classes that this names."""

    entry: Entry
    quantized: type[Any]
    folded: type[Any] | None = None


def _kind(name: str, entry: Entry) -> LayerKind:
    return LayerKind(entry, getattr(layers, name), None if entry.folded is None else getattr(layers, entry.folded))


_BY_NAME = {name: _kind(name, entry) for name, entry in LAYERS.items()}

KINDS: Mapping[type[Any], LayerKind] = MappingProxyType(
    {
        **{getattr(keras.layers, of): _BY_NAME[name] for name, entry in LAYERS.items() for of in entry.replaces},
        **{kind.quantized: kind for kind in _BY_NAME.values()},
        layers.QAdaptiveActivation: _BY_NAME["QActivation"],  # whose quantizer is fixed then
    }
)
"""By the exact class: a subclass may compute something else."""


def kind_of(layer: Any) -> LayerKind | None:
    """How the layer can be quantized, or None; a TimeDistributed as the layer inside it."""
    core = core_of(layer)
    kind = _BY_NAME["QDense"] if dense_units(core) is not None else KINDS.get(type(core))
    return kind if kind is None or core is layer else replace(kind, folded=None)


def function_of(layer: Any) -> str:
    """The name of the activation function that a layer applies, as dictionaries of quantizers call it.

    ReLU with a slope is `leakyrelu`, as LeakyReLU is.
    """
    layer = core_of(layer)
    if isinstance(layer, keras.layers.LeakyReLU):
        return "leakyrelu"
    if isinstance(layer, keras.layers.ReLU):
        return "leakyrelu" if layer.negative_slope else "relu"
    if isinstance(layer, keras.layers.Bidirectional):
        layer = layer.forward_layer
    if isinstance(layer, layers.QAdaptiveActivation):
        return str(layer.kind)
    return getattr(getattr(layer, "activation", None), "__name__", "")
