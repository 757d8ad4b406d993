"""The layer classes that a layer counts as in `limit`, whatever it is wrapped in or spelt as."""

from __future__ import annotations

from typing import Any

from keras import layers

from qsearch.config.limits import ACTIVATION
from qsearch.functions import RELU, SOFTMAX
from qsearch.graph import operations as ops
from qsearch.graph.einsum import dense_units
from qsearch.graph.walk import core_of


def limit_classes(layer: Any, operation: ops.Operation) -> tuple[str, ...]:
    """The nearest first: (TimeDistributed, Dense), (Bidirectional, LSTM), (ReLU, Activation), (Conv2D,) of QConv2D."""
    inner = core_of(layer)
    if isinstance(inner, layers.Layer) and type(inner).__module__.partition(".")[0] not in ("keras", "qsearch"):
        return (f"{type(inner).__module__}.{type(inner).__name__}",)  # it may compute something else
    classes = [type(layer).__name__.removeprefix("Q")]
    if inner is not layer:
        classes.append(type(inner).__name__.removeprefix("Q"))
    if isinstance(inner, layers.Bidirectional):
        classes.append(type(inner.forward_layer).__name__.removeprefix("Q"))
    if isinstance(inner, layers.EinsumDense) and dense_units(inner) is not None:
        classes.append("Dense")
    classes += [name.removesuffix("Batchnorm") for name in classes if name.endswith("Batchnorm")]
    if isinstance(operation, ops.Activation):
        classes += [*_spelt(operation), ACTIVATION]
    return tuple(dict.fromkeys(classes))


def _spelt(activation: ops.Activation) -> list[str]:
    """The layer class that computes the same."""
    function = activation.function
    if function.name == RELU:
        return ["LeakyReLU"] if function.slope else ["ReLU"]
    return ["Softmax"] if function.name == SOFTMAX else []
