"""A plan applied to a Keras model: same graph, Q layers where the plan has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from qsearch.errors import ModelError
from qsearch.graph.from_keras import read_model
from qsearch.graph.resize import with_filters
from qsearch.graph.walk import layers_by_path
from qsearch.layers import QActivation, QAdaptiveActivation, QBidirectional
from qsearch.layers.roles import serialized_activation
from qsearch.plan import Fold, LayerPlan, QuantizationPlan, Role
from qsearch.quantize.fold import foldable
from qsearch.quantize.kinds import LayerKind, kind_of

Config = dict[str, Any]


def apply_plan(model: keras.Model, plan: QuantizationPlan) -> keras.Model:
    """A new model with freshly initialised weights in which the plan's layers are Q layers.

    A layer that already is a Q layer is rebuilt with the plan's quantizers; a role that the plan leaves out is
    unquantized there, but an activation stays what it is. Nested models are entered ("outer/inner"), shared
    layers stay shared, folded batch normalizations disappear. The given model is not changed.

    Raises:
        ModelError: the plan names a layer that the model lacks or that has no quantized form,
            or its filters do not fit together.
    """
    known = layers_by_path(model)
    for name in plan:
        if name not in known:
            raise ModelError(f"plan: {model.name} has no layer {name!r}")
    plans = {id(layer): plan.layers[path] for path, layer in known.items() if path in plan}
    try:
        return _Rebuild(plans).model(model)
    except (ValueError, TypeError) as error:
        with_filters(read_model(model), plan)  # names the layers, where widths are to blame
        raise ModelError(f"plan does not fit {model.name}: {_first_line(error)}") from error


class _Rebuild:
    """One copy of every layer and nested model, so that what is shared stays shared."""

    def __init__(self, plans: Mapping[int, LayerPlan]) -> None:
        self.plans = plans
        self.copies: dict[int, Any] = {}

    def model(self, model: keras.Model, tensors: Sequence[Any] | None = None) -> keras.Model:
        """The copy; `tensors`: what it is called with, where it is nested and widths before it may have changed."""
        if not isinstance(model, keras.Sequential) and not hasattr(model, "_nodes_by_depth"):
            raise ModelError(f"{model.name}: is a subclassed model, whose layers are not known; use the functional API")
        absorbed = self._absorbed(model)
        if isinstance(model, keras.Sequential):
            return self._sequential(model, tensors, absorbed)

        def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(layer, keras.Model):
                layer = self._nested(layer, keras.tree.flatten(args))
            return args[0] if layer.name in absorbed else layer(*args, **kwargs)

        def copied(layer: Any) -> Any:
            return layer if isinstance(layer, keras.Model) else self._copy(layer, model)

        inputs = None
        if tensors is not None:
            fresh = [
                keras.Input(batch_shape=tensor.shape, dtype=own.dtype, name=own.name)
                for own, tensor in zip(model.inputs, tensors, strict=True)
            ]
            inputs = keras.tree.pack_sequence_as(model.input, fresh)
        # A compiled model would have its compilation cloned too, which metrics of the user's own do not survive.
        plain = keras.Model(model.input, model.output, name=model.name) if model.compiled else model
        return keras.models.clone_model(plain, input_tensors=inputs, clone_function=copied, call_function=call)

    def _sequential(
        self, model: keras.Sequential, tensors: Sequence[Any] | None, absorbed: set[str]
    ) -> keras.Sequential:
        layers: list[Any] = []
        if getattr(model, "_functional", None) is not None:
            own = model.inputs[0]
            shape = own.shape if tensors is None else tensors[0].shape
            layers.append(keras.Input(batch_shape=shape, dtype=own.dtype, name=own.name))
        for layer in model.layers:
            if isinstance(layer, keras.Model):
                so_far = keras.Sequential(layers)
                layers.append(self._nested(layer, so_far.outputs if so_far.built else None))
            elif layer.name not in absorbed:
                layers.append(self._copy(layer, model))
        return keras.Sequential(layers, name=model.name, trainable=model.trainable)

    def _nested(self, model: keras.Model, tensors: Sequence[Any] | None) -> keras.Model:
        if id(model) not in self.copies:
            self.copies[id(model)] = self.model(model, tensors)
        return self.copies[id(model)]

    def _copy(self, layer: Any, model: keras.Model) -> Any:
        if id(layer) not in self.copies:
            self.copies[id(layer)] = self._layer(layer, model)
        return self.copies[id(layer)]

    def _layer(self, layer: Any, model: keras.Model) -> Any:
        plan = self.plans.get(id(layer))
        if plan is None:
            return layer.__class__.from_config(layer.get_config())
        return quantized_layer(layer, plan, None if plan.fold is None else model.get_layer(plan.fold.norm))

    def _absorbed(self, model: keras.Model) -> set[str]:
        plans = {layer.name: self.plans.get(id(layer)) for layer in model.layers}
        return _absorbed(model, {name: plan.fold for name, plan in plans.items() if plan and plan.fold})


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
    if not plan.quantizes:
        if kind.width is None:
            raise ModelError(f"layer {layer.name!r}: {type(layer).__name__} has no width of its own")
        return layer.__class__.from_config({**layer.get_config(), kind.width: plan.filters})
    if kind.quantized is QActivation:
        return _activation(layer, plan)
    if kind.quantized is QBidirectional:
        return _bidirectional(layer, plan)
    if norm is not None:
        if kind.folded is None:
            raise ModelError(f"layer {layer.name!r}: {type(layer).__name__} takes in no batch normalization")
        return kind.folded.from_config(_folded(_configured(layer, kind, plan), norm, plan))
    return kind.quantized.from_config(_configured(layer, kind, plan))


def _configured(layer: Any, kind: LayerKind, plan: LayerPlan) -> Config:
    config = {**layer.get_config(), **{name: _spec(plan, role) for role, name in kind.arguments.items()}}
    for name, role in (("activation", Role.ACTIVATION), ("recurrent_activation", Role.RECURRENT_ACTIVATION)):
        if hasattr(layer, name):
            # Written as Q layers read it: the field's hard_sigmoid is not Keras'.
            config[name] = _spec(plan, role) or serialized_activation(getattr(layer, name))
        elif role in plan.quantizers:
            config[name] = _spec(plan, role)
    if kind.width is not None and plan.filters is not None:
        config[kind.width] = plan.filters
    return config


def _folded(config: Config, norm: Any, plan: LayerPlan) -> Config:
    assert plan.fold is not None
    own = norm.get_config()
    parts = [key for key in own if key.startswith(("beta_", "gamma_", "moving_"))]
    kept = {key: own[key] for key in ("axis", "momentum", "epsilon", "center", "scale", *parts)}
    # fused=False: the moving variance is the biased one, as in the layer that disappears.
    fold = {
        "folding_mode": plan.fold.mode,
        "ema_freeze_delay": plan.fold.freeze_delay,
        "fused": False,
        "folded_norm": norm.name,
    }
    return {**config, **kept, **fold, "fused": False}


def _activation(layer: Any, plan: LayerPlan) -> Any:
    spec = plan.quantizers.get(Role.ACTIVATION)
    if spec is None:
        raise ModelError(f"layer {layer.name!r}: an activation layer needs an activation quantizer")
    given = layer.get_config()
    config = {key: given[key] for key in ("name", "trainable", "dtype") if key in given}
    if not plan.adaptive:
        return QActivation.from_config({**config, "activation": str(spec)})
    return QAdaptiveActivation.from_config({**config, "activation": spec.name, "total_bits": spec.arguments["bits"]})


def _bidirectional(layer: Any, plan: LayerPlan) -> Any:
    directions = []
    for inner in (layer.forward_layer, layer.backward_layer):
        kind = kind_of(inner)
        if kind is None:
            raise ModelError(f"layer {layer.name!r}: {type(inner).__name__} inside it has no quantized form")
        directions.append(kind.quantized.from_config(_configured(inner, kind, plan)))
    return QBidirectional(
        directions[0],
        merge_mode=layer.merge_mode,
        backward_layer=directions[1],
        name=layer.name,
        trainable=layer.trainable,
        dtype=layer.dtype_policy,
    )


def _spec(plan: LayerPlan, role: Role) -> str | None:
    spec = plan.quantizers.get(role)
    return None if spec is None else str(spec)


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
