"""Models from the JSON that Keras 2 wrote into the golden data: enough for those models, no more."""

from __future__ import annotations

from typing import Any

import keras

_UNKNOWN_NOW = {
    "DepthwiseConv2D": ("groups",),
    "LSTM": ("time_major", "implementation"),
    "GRU": ("time_major", "implementation"),
    "SimpleRNN": ("time_major",),
    "Conv2DTranspose": ("groups",),
    "SeparableConv2D": ("groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint"),
}


@keras.saving.register_keras_serializable(package="golden")
class My(keras.layers.Layer):  # type: ignore[misc]
    """The custom layer of two golden models."""

    def call(self, inputs: Any) -> Any:
        return 2.0 * inputs


def build(stored: dict[str, Any]) -> keras.Model:
    config = stored["config"]
    if stored["class_name"] == "Sequential":
        return keras.Sequential([_layer(item) for item in config["layers"]], name=config["name"])
    tensors: dict[str, Any] = {}
    for item in config["layers"]:
        name = item["config"]["name"]
        if item["class_name"] == "InputLayer":
            tensors[name] = keras.Input(item["config"]["batch_input_shape"][1:], name=name)
        else:
            inputs = [tensors[node[0]] for node in item["inbound_nodes"][0]]
            tensors[name] = _layer(item)(inputs if len(inputs) > 1 else inputs[0])
    inputs, outputs = ([tensors[node[0]] for node in config[key]] for key in ("input_layers", "output_layers"))
    inputs, outputs = (found[0] if len(found) == 1 else found for found in (inputs, outputs))
    return keras.Model(inputs, outputs, name=config["name"])


def _layer(item: dict[str, Any]) -> Any:
    config = dict(item["config"])
    if item["class_name"] == "InputLayer":
        return keras.Input(config["batch_input_shape"][1:], name=config["name"])
    if item["class_name"] in ("Sequential", "Functional"):
        return build(item)
    config.pop("batch_input_shape", None)
    for key in _UNKNOWN_NOW.get(item["class_name"], ()):
        config.pop(key, None)
    if item["class_name"] == "BatchNormalization" and isinstance(config["axis"], list):
        config["axis"] = config["axis"][0]
    if "alpha" in config:
        config["negative_slope"] = config.pop("alpha")
    if "layer" in config:
        config["layer"] = _layer(config["layer"])
    if "backward_layer" in config:
        config["backward_layer"] = _layer(config["backward_layer"])
    if item["class_name"] == "My":
        return My(name=config["name"])
    kind = getattr(keras.layers, item["class_name"])
    if "layer" in config:
        return kind(**config)
    return kind.from_config(config)
