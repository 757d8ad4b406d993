"""The quantizers of a layer by role: reading arguments, writing configs, the layer's plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from qsearch.errors import ConfigError, did_you_mean
from qsearch.plan import LayerPlan, Role
from qsearch.quantizers import SIGNATURES, get
from qsearch.quantizers.base import Quantizer
from qsearch.quantizers.spec import QuantizerSpec


def activation_of(identifier: Any) -> Any:
    """A quantizer where `identifier` names one, else the Keras activation.

    Raises:
        ConfigError: it names neither.
    """
    if isinstance(identifier, Quantizer | QuantizerSpec):
        return get(identifier)
    if isinstance(identifier, str) and identifier.partition("(")[0].strip() in SIGNATURES:
        return get(identifier)
    if isinstance(identifier, Mapping) and identifier.get("class_name") in SIGNATURES:
        return get(identifier)
    try:
        return keras.activations.get(identifier)
    except (ValueError, TypeError):
        # Keras' message prints whole configurations.
        near = did_you_mean(str(identifier).partition("(")[0], [*SIGNATURES, *_activation_names()])
        raise ConfigError(
            f"activation: found {identifier!r}, expected a quantizer or a Keras activation{near}"
        ) from None


def _activation_names() -> list[str]:
    return [name for name in dir(keras.activations) if not name.startswith("_")]


def apply_activation(activation: Any, x: Any, training: bool | None) -> Any:
    """activation(x); a quantizer is told whether it is training."""
    if isinstance(activation, Quantizer):
        return activation(x, training=training)
    return x if activation is None else activation(x)


def serialized_activation(activation: Any) -> Any:
    """A quantizer's string, or Keras' form; whole where a quantizer has the same name."""
    if isinstance(activation, Quantizer):
        return str(activation)
    form = keras.activations.serialize(activation)
    if isinstance(form, str) and form in SIGNATURES:
        # Keras' hard_sigmoid has another slope than the field's.
        return {"module": "keras.activations", "class_name": "function", "config": form, "registered_name": form}
    return form


def text(quantizer: Quantizer | None) -> str | None:
    """What a config holds."""
    return None if quantizer is None else str(quantizer)


def plan_of(quantizers: Mapping[Role, Any]) -> LayerPlan:
    """The plan of a layer with these quantizers; anything that is no quantizer is left out."""
    return LayerPlan({role: item.spec for role, item in quantizers.items() if isinstance(item, Quantizer)})
