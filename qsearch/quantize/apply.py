"""A plan applied to a Keras model: same graph, Q layers where the plan has one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras

from qsearch.errors import ModelError
from qsearch.layers import QActivation, QBatchNormalization, QConv2D, QDense, QDepthwiseConv2D
from qsearch.plan import LayerPlan, QuantizationPlan, Role

Config = dict[str, Any]
_Builder = Callable[[Config, LayerPlan], keras.layers.Layer]


def apply_plan(model: keras.Model, plan: QuantizationPlan) -> keras.Model:
    """A new model with freshly initialised weights in which the plan's layers are Q layers.

    A layer that already is a Q layer is rebuilt with the plan's quantizers; a role that
    the plan leaves out is unquantized there. The given model is not changed.

    Raises:
        ModelError: the plan names a layer that the model lacks or that has no quantized form,
            or its filters do not fit together.
    """
    known = {layer.name: layer for layer in model.layers}
    for name in plan:
        if name not in known:
            raise ModelError(f"plan: {model.name} has no layer {name!r}")

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        layer_plan = plan.get(layer.name)
        if layer_plan is None:
            return layer.__class__.from_config(layer.get_config())
        builder = _builder(layer)
        if builder is None:
            raise ModelError(f"layer {layer.name!r}: {type(layer).__name__} has no quantized form")
        return builder(layer.get_config(), layer_plan)

    try:
        return keras.models.clone_model(model, clone_function=clone)
    except (ValueError, TypeError) as error:
        raise ModelError(f"plan does not fit {model.name}: {_first_line(error)}") from error


def can_quantize(layer: keras.layers.Layer) -> bool:
    """Whether the layer has a quantized form."""
    return _builder(layer) is not None


def transfer_weights(source: keras.Model, target: keras.Model) -> tuple[str, ...]:
    """Copy weights between layers of one name wherever all shapes agree.

    Returns:
        Names of the target's layers with weights that kept their own, in order.
    """
    sources = {layer.name: layer for layer in source.layers}
    kept: list[str] = []
    for layer in target.layers:
        if not layer.weights:
            continue
        origin = sources.get(layer.name)
        if origin is not None and [w.shape for w in origin.weights] == [w.shape for w in layer.weights]:
            layer.set_weights(origin.get_weights())
        else:
            kept.append(layer.name)
    return tuple(kept)


def _builder(layer: keras.layers.Layer) -> _Builder | None:
    return next((builder for kind, builder in _BUILDERS.items() if type(layer) is kind), None)


def _spec(plan: LayerPlan, role: Role) -> str | None:
    spec = plan.quantizers.get(role)
    return None if spec is None else str(spec)


def _weights(config: Config, plan: LayerPlan, kernel: str, width: str | None) -> Config:
    changed = {**config, kernel: _spec(plan, Role.KERNEL), "bias_quantizer": _spec(plan, Role.BIAS)}
    if Role.ACTIVATION in plan.quantizers:
        changed["activation"] = _spec(plan, Role.ACTIVATION)
    if width is not None and plan.filters is not None:
        changed[width] = plan.filters
    return changed


def _dense(config: Config, plan: LayerPlan) -> keras.layers.Layer:
    return QDense.from_config(_weights(config, plan, "kernel_quantizer", "units"))


def _convolution(config: Config, plan: LayerPlan) -> keras.layers.Layer:
    return QConv2D.from_config(_weights(config, plan, "kernel_quantizer", "filters"))


def _depthwise(config: Config, plan: LayerPlan) -> keras.layers.Layer:
    return QDepthwiseConv2D.from_config(_weights(config, plan, "depthwise_quantizer", None))


def _activation(config: Config, plan: LayerPlan) -> keras.layers.Layer:
    spec = _spec(plan, Role.ACTIVATION)
    if spec is None:
        raise ModelError(f"layer {config['name']!r}: an activation layer needs an activation quantizer")
    return QActivation.from_config({**config, "activation": spec})


def _batch_normalization(config: Config, plan: LayerPlan) -> keras.layers.Layer:
    quantizers = {
        "gamma_quantizer": _spec(plan, Role.GAMMA),
        "beta_quantizer": _spec(plan, Role.BETA),
        "mean_quantizer": _spec(plan, Role.MEAN),
        "variance_quantizer": _spec(plan, Role.VARIANCE),
        "inverse_quantizer": None,
    }
    return QBatchNormalization.from_config({**config, **quantizers})


_BUILDERS: Mapping[type[keras.layers.Layer], _Builder] = {
    keras.layers.Dense: _dense,
    keras.layers.Conv2D: _convolution,
    keras.layers.DepthwiseConv2D: _depthwise,
    keras.layers.Activation: _activation,
    keras.layers.BatchNormalization: _batch_normalization,
    QDense: _dense,
    QConv2D: _convolution,
    QDepthwiseConv2D: _depthwise,
    QActivation: _activation,
    QBatchNormalization: _batch_normalization,
}


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
