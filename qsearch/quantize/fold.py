"""Which batch normalizations can become part of the layer before them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import keras

from qsearch.graph.walk import calls_of, inner_model
from qsearch.quantize.kinds import function_of, kind_of


def foldable(model: keras.Model) -> tuple[dict[str, str], dict[str, str]]:
    """Pairs of a layer and the batch normalization behind it, within one model (nested ones are not entered).

    Returns:
        Names {layer: norm} of those that fold, and {norm: reason} of those that do not.
    """
    if isinstance(model, keras.Sequential) and not model.built:
        return {}, {}
    producers: dict[int, list[Any]] = defaultdict(list)
    uses: dict[int, int] = defaultdict(int)
    resting: set[int] = set()
    for call in calls_of(model):
        if False in (call.arguments.kwargs.get("training"), *call.arguments.args[1:2]):
            resting.add(id(call.operation))
        for parent in call.parent_nodes:
            producers[id(call.operation)].append(parent.operation)
            uses[id(parent.operation)] += 1
    for tensor in model.outputs:
        uses[id(tensor._keras_history.operation)] += 1
    pairs: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for norm in model.layers:
        if type(norm) is not keras.layers.BatchNormalization:
            continue
        before = producers[id(norm)]
        reason = _at_rest(norm, before, resting) or _obstacle(norm, before, uses[id(before[0])] if before else 0)
        if reason is None:
            pairs[before[0].name] = norm.name
        else:
            reasons[norm.name] = reason
    return pairs, reasons


def foldable_paths(model: keras.Model, prefix: str = "") -> tuple[dict[str, str], dict[str, str]]:
    """`foldable` of a model and those nested in it: layers as "outer/inner", normalizations by their own name."""
    pairs, reasons = foldable(model)
    pairs = {f"{prefix}{name}": norm for name, norm in pairs.items()}
    reasons = {f"{prefix}{name}": reason for name, reason in reasons.items()}
    for layer in model.layers:
        nested = inner_model(layer)
        if nested is not None:
            inner = foldable_paths(nested, f"{prefix}{layer.name}/")
            pairs, reasons = pairs | inner[0], reasons | inner[1]
    return pairs, reasons


def _at_rest(norm: Any, producers: list[Any], resting: set[int]) -> str | None:
    """Why its statistics do not move in training; those of a folded layer would."""
    # A layer that is frozen too keeps its statistics when it is folded.
    if not norm.trainable and any(getattr(before, "trainable", False) for before in producers):
        return "it is frozen"
    return "it is called with training=False" if id(norm) in resting else None


def _obstacle(norm: Any, producers: list[Any], uses: int) -> str | None:
    before = producers[0] if len(producers) == 1 else None
    kind = None if before is None else kind_of(before)
    if before is None or kind is None or kind.folded is None or type(before) is kind.quantized:
        return "there is no convolution or dense layer directly before it"
    if before.activation is not keras.activations.linear:
        return f"{before.name} has an activation of its own ({function_of(before)}) before it"
    if uses > 1:
        return f"{before.name} has other consumers too"
    rank = len(before.output.shape)
    channel_axis = 1 if getattr(before, "data_format", None) == "channels_first" else rank - 1
    if norm.axis % rank != channel_axis:
        return "it normalizes another axis than the channels"
    return None
