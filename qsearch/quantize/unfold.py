"""Folded models with ordinary layers again, for tools that know no folded ones."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import keras

from qsearch import layers
from qsearch.graph.walk import layers_by_path
from qsearch.plan import LayerPlan
from qsearch.quantize.copies import live_config, made
from qsearch.quantize.rebuild import Rebuild
from qsearch.quantize.state import carry_flags

_UNFOLDED: Mapping[type[Any], type[Any]] = MappingProxyType(
    {
        layers.QConv2DBatchnorm: layers.QConv2D,
        layers.QDepthwiseConv2DBatchnorm: layers.QDepthwiseConv2D,
        layers.QDenseBatchnorm: layers.QDense,
    }
)


def unfold_model(model: keras.Model) -> keras.Model:
    """A copy whose folded layers are QConv2D, QDepthwiseConv2D and QDense with the folded weights; same outputs.

    With the moving statistics (μ, v) these weights are γ/√(v + ε) · W and γ/√(v + ε) · (b − μ) + β, floats that the
    layer's quantizers quantize as before. A BatchNormalization behind the layer could not give the same outputs: the
    quantizers act on the product. Layers inside a TimeDistributed stay as they are.

    Raises:
        ModelError: a layer or the model's own class cannot be copied.
    """
    copy = Rebuild(model, {}, _made, lambda inner: set(), {}).model(model)
    carry_flags(model, copy)
    originals = layers_by_path(model)
    for path, layer in layers_by_path(copy).items():
        original = originals.get(path)
        if original is None:
            continue
        if type(original) in _UNFOLDED:
            layer.set_weights([part.value for part in original.weight_parts().values()])
        elif original.weights:
            layer.set_weights(original.get_weights())
    return copy


def _made(operation: Any, plan: LayerPlan | None, model: keras.Model) -> Any:
    kind = _UNFOLDED.get(type(operation))
    if kind is None:
        return None
    config = {key: value for key, value in live_config(operation).items() if key not in operation.norm}
    return made(operation, kind, {**config, "use_bias": True})
