"""What a copy keeps of its original without any transfer of weights: flags, and state that no training makes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from qsearch.errors import ModelError, reason_of
from qsearch.graph.walk import inner_model, layers_by_path, variable_name
from qsearch.layers import (
    QAdaptiveActivation,
    QConv2DBatchnorm,
    QDenseBatchnorm,
    QDepthwiseConv2DBatchnorm,
)
from qsearch.quantize.copies import LOOKUPS, carry_assets
from qsearch.quantize.transfer import Origin, transfer_chosen

_TRAINED_STATE = (
    keras.layers.BatchNormalization,
    keras.layers.SpectralNormalization,
    QAdaptiveActivation,
    QConv2DBatchnorm,
    QDenseBatchnorm,
    QDepthwiseConv2DBatchnorm,
)
"""Layers whose weights are all made by training, those that no gradient moves too."""


def carry_flags(model: keras.Model, copy: keras.Model) -> None:
    """Let layers of the copy be frozen where the original's are, by path."""
    if copy.trainable != model.trainable:
        copy.trainable = model.trainable  # of all its layers too; these are set right below
    copies = dict(_with_models(copy, ""))
    for path, layer in _with_models(model, ""):
        other = copies.get(path)
        if other is not None and other.trainable != layer.trainable:
            other.trainable = layer.trainable


def _with_models(model: keras.Model, prefix: str) -> Iterator[tuple[str, Any]]:
    """Layers and nested models by path, models before what is in them."""
    for layer in model.layers:
        yield f"{prefix}{layer.name}", layer
        inner = inner_model(layer)
        if inner is not None:
            yield from _with_models(inner, f"{prefix}{layer.name}/")


def carry_state(model: keras.Model, copy: keras.Model) -> None:
    """Copy what training does not make: weights of frozen layers, adapted statistics, what lies in files.

    Weights that are trained, batch statistics of layers that are, and random seeds stay the copy's own.

    Raises:
        ModelError: a frozen layer whose weights do not fit the copy's widths.
    """
    frozen = not model.trainable

    def untrained(origin: Origin) -> bool:
        owner, variable = origin.owner, origin.variable
        if frozen or not owner.trainable:
            return True
        if any(variable is one for one in owner._trainable_variables):
            return not variable.trainable
        moving = variable_name(variable).startswith("moving_")
        return not (moving or isinstance(owner, _TRAINED_STATE))

    originals = layers_by_path(model)
    lost = transfer_chosen(model, copy, untrained)
    for path in lost:
        original = originals.get(path)
        if original is not None and original.weights and (frozen or not original.trainable):
            raise ModelError(
                f"layer {path!r}: is frozen, and its weights do not fit the new widths; name it and the layers before "
                "it in tune_filters_exceptions"
            )
    for path, other in layers_by_path(copy).items():
        if path in originals and type(originals[path]) is type(other):
            _carry_custom(path, originals[path], other)


def _carry_custom(path: str, layer: Any, copy: Any) -> None:
    """What the class' own hooks save beside weights."""
    pairs = zip(layer._flatten_layers(), copy._flatten_layers(), strict=False)
    for part, other in pairs:
        if type(part) is not type(other) or isinstance(part, LOOKUPS) or not hasattr(part, "save_assets"):
            continue
        try:
            carry_assets(part, other)
        except Exception as error:  # hooks of the user's own
            reason = reason_of(error)
            raise ModelError(
                f"layer {path!r}: what {type(part).__name__} saves cannot be loaded into a copy: {reason}; "
                "make its load_assets take what its save_assets writes"
            ) from None
