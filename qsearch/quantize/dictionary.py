"""`quantize_model` and its dictionary of quantizers, as QKeras' users write it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from qsearch.errors import ConfigError, did_you_mean
from qsearch.plan import LayerPlan, QuantizationPlan, Role
from qsearch.quantize.activations import automatic
from qsearch.quantize.apply import apply_plan, can_quantize
from qsearch.quantize.apply import transfer_weights as transfer
from qsearch.quantizers.spec import QuantizerSpec, parse

_WEIGHT_KEYS: Mapping[str, Role] = {
    "bias_quantizer": Role.BIAS,
    "activation": Role.ACTIVATION,
    "activation_quantizer": Role.ACTIVATION,
}
_KERNEL_KEYS: Mapping[str, Role] = {"kernel_quantizer": Role.KERNEL, **_WEIGHT_KEYS}
_DEPTHWISE_KEYS: Mapping[str, Role] = {
    "depthwise_quantizer": Role.KERNEL,
    "kernel_quantizer": Role.KERNEL,
    **_WEIGHT_KEYS,
}
_BATCH_NORM_KEYS: Mapping[str, Role] = {
    "gamma_quantizer": Role.GAMMA,
    "beta_quantizer": Role.BETA,
    "mean_quantizer": Role.MEAN,
    "variance_quantizer": Role.VARIANCE,
}


def quantize_model(
    model: keras.Model,
    quantizers: QuantizationPlan | Mapping[str, Any],
    activation_bits: int = 4,
    transfer_weights: bool = False,
) -> keras.Model:
    """A quantized copy of a model.

    Args:
        model: functional or Sequential, built. It is not changed.
        quantizers: a plan, or a dictionary by layer name ("conv2d_0") or by class ("QConv2D") of
            `{"kernel_quantizer": ..., "bias_quantizer": ..., "activation": ...}`; for an Activation
            layer a quantizer, or `{"relu": quantizer}`; for batch normalization `{}` leaves its
            parameters unquantized. A name's entry hides its class's entry.
        activation_bits: bits of the quantizer that an activation inside a quantized layer gets when
            its entry names none: relu -> quantized_relu, tanh -> quantized_tanh, sigmoid -> quantized_sigmoid.
        transfer_weights: copy the float weights wherever shapes agree.

    Raises:
        ConfigError: an entry for a layer that is not there, an unknown key, a string that does not parse.
        ModelError: a layer that has no quantized form.
    """
    if isinstance(quantizers, QuantizationPlan):
        plan = quantizers
    else:
        plan = read_dictionary(model, quantizers, activation_bits)
    quantized = apply_plan(model, plan)
    if transfer_weights:
        transfer(model, quantized)
    return quantized


def read_dictionary(model: keras.Model, entries: Mapping[str, Any], activation_bits: int = 4) -> QuantizationPlan:
    """The plan that a dictionary of quantizers states for a model."""
    layers = {layer.name: layer for layer in model.layers}
    classes = {_class_key(layer) for layer in model.layers if can_quantize(layer)}
    for key in entries:
        if key not in layers and key not in classes and not (key.startswith("Q") and hasattr(keras.layers, key[1:])):
            allowed = [*(name for name in layers if can_quantize(layers[name])), *sorted(classes)]
            raise ConfigError(f"{key}: {model.name} has no such layer or class{did_you_mean(key, allowed)}")
    plans: dict[str, LayerPlan] = {}
    for name, layer in layers.items():
        key = name if name in entries else _class_key(layer)
        if key in entries and (can_quantize(layer) or key == name):
            plan = _layer_plan(layer, entries[key], key, activation_bits, by_name=key == name)
            if plan is not None:
                plans[name] = plan
    return QuantizationPlan(plans)


def _class_key(layer: keras.layers.Layer) -> str:
    name = type(layer).__name__
    return name if name.startswith("Q") else f"Q{name}"


def _layer_plan(
    layer: keras.layers.Layer, entry: Any, key: str, activation_bits: int, by_name: bool
) -> LayerPlan | None:
    if isinstance(layer, keras.layers.BatchNormalization):
        return LayerPlan(_roles(entry, _BATCH_NORM_KEYS, key))
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return _weights_plan(layer, _roles(entry, _DEPTHWISE_KEYS, key), activation_bits)
    if isinstance(layer, keras.layers.Dense | keras.layers.Conv2D):
        return _weights_plan(layer, _roles(entry, _KERNEL_KEYS, key), activation_bits)
    if can_quantize(layer):
        return _activation_plan(layer, entry, key, by_name)
    if entry:
        raise ConfigError(f"{key}: a {type(layer).__name__} layer has no quantized form")
    return None


def _weights_plan(
    layer: keras.layers.Layer, roles: dict[Role, QuantizerSpec], activation_bits: int
) -> LayerPlan | None:
    if Role.KERNEL not in roles:
        return None
    if not layer.use_bias:
        roles.pop(Role.BIAS, None)
    if Role.ACTIVATION not in roles:
        spec = automatic(_function(layer), activation_bits)
        if spec is not None:
            roles[Role.ACTIVATION] = spec
    return LayerPlan(roles)


def _activation_plan(layer: keras.layers.Layer, entry: Any, key: str, by_name: bool) -> LayerPlan | None:
    function = _function(layer)
    if isinstance(entry, Mapping):
        chosen = entry.get(function, entry.get("activation"))
    else:
        # A class entry means "every activation", but softmax is the model's answer, not an activation to quantize.
        chosen = entry if by_name or function != "softmax" else None
    return LayerPlan({Role.ACTIVATION: _spec(chosen, key)}) if chosen else None


def _function(layer: keras.layers.Layer) -> str:
    activation = getattr(layer, "activation", None)
    return getattr(activation, "__name__", "")


def _roles(entry: Any, keys: Mapping[str, Role], key: str) -> dict[Role, QuantizerSpec]:
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{key}: found {entry!r}, expected a dictionary with keys such as {', '.join(keys)}")
    roles: dict[Role, QuantizerSpec] = {}
    for name, value in entry.items():
        if name not in keys:
            raise ConfigError(f"{key}.{name}: unknown key{did_you_mean(name, keys)} (allowed: {', '.join(keys)})")
        if value is not None:
            roles[keys[name]] = _spec(value, f"{key}.{name}")
    return roles


def _spec(value: Any, place: str) -> QuantizerSpec:
    if isinstance(value, QuantizerSpec):
        return value
    if isinstance(value, str):
        try:
            return parse(value)
        except ConfigError as error:
            raise ConfigError(f"{place}: {error}") from None
    spec = getattr(value, "spec", None)
    if isinstance(spec, QuantizerSpec):
        return spec
    raise ConfigError(f"{place}: found {value!r}, expected a quantizer string")
