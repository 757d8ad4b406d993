"""A plan applied to a Keras model: same graph, Q layers where the plan has one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras

from qsearch.errors import ModelError, reason_of
from qsearch.graph.call import shape_of
from qsearch.graph.einsum import dense_units
from qsearch.graph.from_keras import read_model
from qsearch.graph.model_graph import Node, Shape
from qsearch.graph.resize import with_filters
from qsearch.graph.walk import core_of, operations_by_path
from qsearch.layers import QActivation, QAdaptiveActivation, QBidirectional
from qsearch.layers.roles import serialized_activation
from qsearch.models.custom import is_given
from qsearch.plan import Fold, LayerPlan, QuantizationPlan, Role, output_layer
from qsearch.quantize.copies import Config, base_config, copied, custom_objects_of, live_config, made
from qsearch.quantize.fold import foldable
from qsearch.quantize.kinds import LayerKind, kind_of
from qsearch.quantize.names import names_from_the_start
from qsearch.quantize.rebuild import CallError, Rebuild, reshapes
from qsearch.quantize.state import carry_flags, carry_state
from qsearch.quantizers.spec import QuantizerSpec


def apply_plan(model: keras.Model, plan: QuantizationPlan) -> keras.Model:
    """A new model of the same class in which the plan's layers are Q layers, with freshly initialised weights.

    State that no training makes is the original's: the weights of frozen layers, adapted normalizations and
    vocabularies, and all other weights that are not trained, but for batch statistics and random seeds.

    A layer that already is a Q layer is rebuilt with the plan's quantizers; a role that the plan leaves out is
    unquantized there, but an activation stays what it is. Nested models are entered ("outer/inner"), shared
    layers stay shared, folded batch normalizations disappear. Raw operations (`ops.relu(x)`) can be planned as
    activation layers are. The given model is not changed.

    Raises:
        ModelError: the plan names a layer that the model lacks or that has no quantized form, its filters do not
            fit together, or a layer or the model's own class cannot be copied.
    """
    known = operations_by_path(model)
    for name in plan:
        if name not in known:
            raise ModelError(f"plan: {model.name} has no layer {name!r}")
    plan = _requantized(known, plan)
    plans = {id(operation): plan.layers[path] for path, operation in known.items() if path in plan}

    def absorbed(inner: keras.Model) -> set[str]:
        found = {layer.name: plans.get(id(layer)) for layer in inner.layers}
        return _absorbed(inner, {name: one.fold for name, one in found.items() if one is not None and one.fold})

    try:
        shapes = _new_shapes(model, known, plan)
        with names_from_the_start():
            copy = Rebuild(model, plans, _made, absorbed, shapes).whole(model)
    except (ValueError, TypeError, CallError) as error:
        with_filters(read_model(model), plan)  # names the layers, where widths are to blame
        raise ModelError(f"plan does not fit {model.name}: {reason_of(error)}") from error
    carry_flags(model, copy)
    carry_state(model, copy)
    return copy


def _requantized(known: dict[str, Any], plan: QuantizationPlan) -> QuantizationPlan:
    """An output that is quantized already gets the new quantizer, not a second one."""
    layers = dict(plan.layers)
    for name, one in plan.layers.items():
        behind = output_layer(name)
        if one.output is None or not isinstance(known.get(behind), QActivation):
            continue
        rest: dict[Role, QuantizerSpec] = {role: spec for role, spec in one.quantizers.items() if role != Role.OUTPUT}
        layers.setdefault(behind, LayerPlan({Role.ACTIVATION: one.output}))
        layers[name] = replace(one, quantizers=rest)
        if not (rest or one.filters or one.fold or one.adaptive):
            del layers[name]
    return QuantizationPlan(layers)


def _new_shapes(model: keras.Model, known: dict[str, Any], plan: QuantizationPlan) -> dict[str, Shape]:
    """The shapes that layers and operations that reshape give, where widths change them."""
    reshaping = {path for path, operation in known.items() if reshapes(operation)}
    if not reshaping or all(plan.layers[name].filters is None for name in plan):
        return {}
    try:
        before = read_model(model)
        after = with_filters(before, plan)
    except ModelError:
        if any(not isinstance(known[path], keras.layers.Layer) for path in reshaping):
            raise  # an operation would make fewer samples of what does not fit, and say nothing
        return {}
    pairs = zip(before.nodes, after.nodes, strict=True)
    return {
        old.layer: _widened(known[old.layer], new)
        for old, new in pairs
        if old.layer in reshaping and old.output_shape != new.output_shape
    }


def _widened(operation: Any, node: Node) -> Shape:
    """The shape that it gives, with the node's channels: without axes of time, and in the model's order."""
    shape = list(shape_of(operation._inbound_nodes[0].outputs[0], node.layer))
    shape[node.channel_axis] = node.output_shape[-1]
    return tuple(shape)


def _made(operation: Any, plan: LayerPlan | None, model: keras.Model) -> Any:
    """What takes the place of a layer or a raw operation; None where it stays what it is."""
    if plan is None or (plan.output is not None and not plan.quantizes and plan.filters is None):
        return None
    if not isinstance(operation, keras.layers.Layer):
        return _activation({"name": operation.name}, plan)
    return quantized_layer(operation, plan, None if plan.fold is None else model.get_layer(plan.fold.norm))


def _absorbed(model: keras.Model, folds: dict[str, Fold]) -> set[str]:
    """The batch normalizations that disappear."""
    if not folds:
        return set()
    pairs, reasons = foldable(model)
    for name, fold in folds.items():
        if pairs.get(name) != fold.norm:
            why = reasons.get(fold.norm, f"it is not directly behind {name}")
            raise ModelError(f"plan: {fold.norm} cannot be folded into {name}: {why}")
    return {fold.norm for fold in folds.values()}


def can_quantize(layer: Any) -> bool:
    """Whether the layer has a quantized form."""
    return kind_of(layer) is not None


def quantized_layer(layer: Any, plan: LayerPlan, norm: Any = None) -> Any:
    """The Q layer that a plan makes of a layer, unbuilt; the same kind of layer where the plan is a width alone.

    Args:
        norm: the batch normalization that it takes in.

    Raises:
        ModelError: the layer has no quantized form, or not the one that the plan asks for.
    """
    kind = kind_of(layer)
    if kind is None:
        raise ModelError(f"layer {layer.name!r}: {type(layer).__name__} has no quantized form")
    if core_of(layer) is not layer:
        return keras.layers.TimeDistributed(quantized_layer(layer.layer, plan), **base_config(layer))
    if not plan.quantizes:
        if kind.entry.width is None or plan.filters is None:
            raise ModelError(f"layer {layer.name!r}: {type(layer).__name__} has no width of its own")
        if dense_units(layer) is not None:
            return copied(layer, {"output_shape": (*layer.partial_output_shape[:-1], plan.filters)})
        return copied(layer, {kind.entry.width: plan.filters})
    if kind.quantized is QActivation:
        own = live_config(layer) if plan.adaptive and isinstance(layer, QAdaptiveActivation) else {}
        return _activation({**own, **base_config(layer)}, plan)
    if kind.quantized is QBidirectional:
        return _bidirectional(layer, plan)
    if norm is not None:
        if kind.folded is None:
            raise ModelError(f"layer {layer.name!r}: {type(layer).__name__} takes in no batch normalization")
        return made(layer, kind.folded, _folded(_configured(layer, kind, plan), norm, plan))
    return made(layer, kind.quantized, _configured(layer, kind, plan))


_DENSE = ("activation", "activity_regularizer", "name", "trainable", "dtype")
_PARTS = ("initializer", "regularizer", "constraint")
_OF_EINSUM = frozenset({*_DENSE, *(f"{weight}_{part}" for weight in ("kernel", "bias") for part in _PARTS)})
"""What an EinsumDense layer and a dense layer are both told."""


def _configured(layer: Any, kind: LayerKind, plan: LayerPlan) -> Config:
    config = live_config(layer)
    units = dense_units(layer)
    if units is not None:
        config = {key: value for key, value in config.items() if key in _OF_EINSUM}
        config |= {"units": units, "use_bias": layer.bias_axes is not None}
    config |= {name: _spec(plan, role) for role, name in kind.entry.arguments.items()}
    for name, role in kind.entry.functions.items():
        if hasattr(layer, name):
            function = getattr(layer, name)
            # Written as Q layers read it: the field's hard_sigmoid is not Keras'.
            kept = function if is_given(function) else serialized_activation(function)
            config[name] = _spec(plan, role) or kept
        elif role in plan.quantizers:
            config[name] = _spec(plan, role)
    if kind.entry.width is not None and plan.filters is not None:
        config[kind.entry.width] = plan.filters
    return config


def _folded(config: Config, norm: Any, plan: LayerPlan) -> Config:
    assert plan.fold is not None
    own = norm.get_config()
    parts = [key for key in own if key.startswith(("beta_", "gamma_", "moving_"))]
    kept = {key: own[key] for key in ("axis", "momentum", "epsilon", "center", "scale", *parts)}
    fold = {
        "folding_mode": plan.fold.mode,
        "ema_freeze_delay": plan.fold.freeze_delay,
        "fused": False,  # the moving variance is the biased one, as in the layer that disappears
        "folded_norm": norm.name,
    }
    return {**config, **kept, **fold}


def _activation(config: Config, plan: LayerPlan) -> Any:
    spec = plan.quantizers.get(Role.ACTIVATION)
    if spec is None:
        raise ModelError(f"layer {config['name']!r}: an activation needs an activation quantizer")
    if not plan.adaptive:
        return QActivation(str(spec), **config)
    return QAdaptiveActivation.from_config({**config, "activation": spec.name, "total_bits": spec.arguments["bits"]})


def _bidirectional(layer: Any, plan: LayerPlan) -> Any:
    directions = []
    for inner in (layer.forward_layer, layer.backward_layer):
        kind = kind_of(inner)
        if kind is None:
            raise ModelError(f"layer {layer.name!r}: {type(inner).__name__} inside it has no quantized form")
        directions.append(made(inner, kind.quantized, _configured(inner, kind, plan)))
    with custom_objects_of(layer):  # Keras makes the layers that it is given once more
        return QBidirectional(
            directions[0], merge_mode=layer.merge_mode, backward_layer=directions[1], **base_config(layer)
        )


def _spec(plan: LayerPlan, role: Role) -> str | None:
    spec = plan.quantizers.get(role)
    return None if spec is None else str(spec)
