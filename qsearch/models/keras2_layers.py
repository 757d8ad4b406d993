"""One layer as Keras 2 or QKeras stored it, made a layer of Keras 3 or of ours.

Only classes that are known here are made: names are looked up, modules that a file names are never imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras

from qsearch.errors import QsearchError, did_you_mean, reason_of
from qsearch.layers.functions import keras2_hard_sigmoid
from qsearch.layers.registry import custom_objects
from qsearch.quantizers import SIGNATURES

Config = dict[str, Any]


class NotRebuiltError(QsearchError):
    """A layer that cannot be made; the message says why, the caller says where."""


_RUNS_CODE = ("Lambda", "TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod", "InstanceProperty")
_GONE = {
    "batch_input_shape",
    "time_major",
    "input_length",
    "input_dim",
    "noise_shape",
    "query_shape",
    "key_shape",
    "value_shape",
    "ragged",
    "sparse",
    "current_step",
}
"""Keys without a counterpart whose loss changes nothing; those that could are looked at in `_cleaned`."""
_NORM_RANGES = ("gamma_range", "beta_range")
"""Of QKeras' QBatchNormalization; clipping follows its quantizers."""
_NO_GROUPS = ("DepthwiseConv", "SeparableConv", "Conv2DTranspose", "Conv1DTranspose", "Conv3DTranspose")
_IMPLEMENTATION = ("LSTM", "GRU", "SimpleRNN", "LSTMCell", "GRUCell", "SimpleRNNCell")
_WRAPPED = ("layer", "backward_layer", "cell")
_CELLS = "cells"
_NORM_SWITCHES = ("renorm", "virtual_batch_size", "adjustment")


def layer_of(stored: Mapping[str, Any], allow_code: bool) -> Any:
    """The layer that a stored item describes, unbuilt.

    Raises:
        NotRebuiltError: a class that is not known, code, or a configuration that Keras 3 has no form for.
    """
    name = str(stored["class_name"]).rpartition(">")[2]
    if name in _RUNS_CODE:
        return _code(name, stored["config"], allow_code)
    if name == "ThresholdedReLU":  # Keras 3's ReLU has its threshold
        kept = {key: value for key, value in stored["config"].items() if key in ("name", "trainable")}
        return keras.layers.ReLU(threshold=float(stored["config"]["theta"]), **kept)
    kind = _class(name)
    config = _cleaned(name, dict(stored["config"]), allow_code)
    try:
        # Keras' wrappers read back only what Keras serialized itself.
        return kind(**config) if any(key in config for key in (*_WRAPPED, _CELLS)) else kind.from_config(config)
    except (TypeError, ValueError) as error:
        raise NotRebuiltError(f"Keras 3 cannot rebuild this {name}: {reason_of(error)}") from None


def _class(name: str) -> Any:
    own = custom_objects()
    if name in own:
        return own[name]
    kind = getattr(keras.layers, name, None)
    if isinstance(kind, type) and issubclass(kind, keras.layers.Layer) and name != "Lambda":
        return kind
    known = [*(item for item in own if item.startswith("Q")), *(n for n in dir(keras.layers) if n[:1].isupper())]
    raise NotRebuiltError(
        f"is a {name}, which is not known here; only Keras' and qsearch's own are read{did_you_mean(name, known)}"
    )


def _code(name: str, config: Mapping[str, Any], allow_code: bool) -> Any:
    if name != "Lambda":
        raise NotRebuiltError(f"is a {name}, a raw TensorFlow operation without a layer; rebuild the model without it")
    if not allow_code:
        raise NotRebuiltError("is a Lambda, which would run code from the file; rebuild the model without it")
    function = config["function"]
    if isinstance(function, list):
        code, defaults, closure = function
        parts = {"code": code, "defaults": defaults, "closure": closure}
        function = {"class_name": "__lambda__", "config": parts}
    made = keras.saving.deserialize_keras_object(function, safe_mode=False)
    return keras.layers.Lambda(made, name=config["name"])


def _is_gone(key: str, value: Any, layer: str) -> bool:
    if key == "trainable":
        return layer.startswith("SpatialDropout")
    if key == "input_dim":
        return layer != "Embedding"
    return key in _GONE or key in _NORM_RANGES or (key.endswith("_range") and value is None)


def _cleaned(name: str, config: Config, allow_code: bool) -> Config:
    if config.get("time_major"):
        raise NotRebuiltError("has time_major=True, which Keras 3 has not; rebuild the model with batches first")
    for key in _NORM_SWITCHES:
        if config.pop(key, None):
            raise NotRebuiltError(f"has {key}, which Keras 3 has not")
    config = {key: value for key, value in config.items() if not _is_gone(key, value, name)}
    if name.removeprefix("Q").startswith(_NO_GROUPS) and config.get("groups", 1) == 1:
        config.pop("groups", None)
    if ("SeparableConv" in name or "DepthwiseConv" in name) and not name.endswith("Transpose"):
        config = {key: value for key, value in config.items() if key not in _PARTS_OF_A_KERNEL}
    if name in _IMPLEMENTATION:
        config.pop("implementation", None)
    if name.startswith("GRU"):
        config.setdefault("reset_after", False)  # files older than the option
    if name in ("LSTM", "GRU", "LSTMCell", "GRUCell"):
        config.setdefault("recurrent_activation", "hard_sigmoid")  # the default of old versions
    if name == "LeakyReLU" and "alpha" in config:
        config["negative_slope"] = float(config.pop("alpha"))
    if isinstance(config.get("axis"), list) and name.endswith(("BatchNormalization", "Batchnorm")):
        config["axis"] = config["axis"][0]
    return {key: _value(key, value, config, name, allow_code) for key, value in config.items()}


_PARTS_OF_A_KERNEL = ("kernel_initializer", "kernel_regularizer", "kernel_constraint")


def _value(key: str, value: Any, config: Config, layer: str, allow_code: bool) -> Any:
    if key in _WRAPPED and isinstance(value, Mapping):
        return layer_of(value, allow_code)
    if key == _CELLS and isinstance(value, list):
        return [layer_of(cell, allow_code) for cell in value]
    if key == "dtype":
        return _policy(value)
    if key.endswith("_quantizer"):
        return _quantizer(value)
    if key.endswith("activation"):
        return _activation(value, layer)
    if key.endswith("_initializer"):
        return _initializer(value)
    if key.endswith("_constraint"):
        return _constraint(value, config.get(key.replace("_constraint", "_quantizer")))
    if key.endswith("_regularizer"):
        return _object(value, keras.regularizers.Regularizer, keras.regularizers.get)
    if _holds_object(value):  # Keras would import what it names
        raise NotRebuiltError(f"has an object for {key!r}, which no layer of Keras 2 has")
    return value


def _holds_object(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_holds_object, value))
    return isinstance(value, Mapping) and ("class_name" in value or any(map(_holds_object, value.values())))


def _policy(value: Any) -> Any:
    """A dtype, or the name of a policy."""
    return value["config"]["name"] if isinstance(value, Mapping) else value


def _quantizer(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    name = str(value.get("class_name"))
    if name not in SIGNATURES:
        raise NotRebuiltError(f"uses the quantizer {name!r}, which is not known here{did_you_mean(name, SIGNATURES)}")
    return {"class_name": name, "config": value.get("config")}


def _activation(value: Any, layer: str) -> Any:
    if isinstance(value, Mapping) and value.get("class_name") == "function":
        value = value["config"]
    if isinstance(value, Mapping):
        return _quantizer(value)
    if value == "hard_sigmoid" and not layer.startswith("Q"):
        return keras2_hard_sigmoid
    if isinstance(value, str) and value.partition("(")[0] not in SIGNATURES and not hasattr(keras.activations, value):
        raise NotRebuiltError(f"uses the activation {value!r}, which is not known here")
    return value


def _initializer(value: Any) -> Any:
    if isinstance(value, Mapping) and value.get("class_name") == "QInitializer":
        return _initializer(value["config"]["initializer"])  # ours is made anew from the quantizer
    return _object(value, keras.initializers.Initializer, keras.initializers.get)


def _constraint(value: Any, quantizer: Any) -> Any:
    if isinstance(value, Mapping) and value.get("class_name") == "Clip":
        if quantizer is not None:
            return None  # ours is made anew from the quantizer
        bounds = value["config"]
        return custom_objects()["Clip"](bounds["min_value"], bounds["max_value"])
    return _object(value, keras.constraints.Constraint, keras.constraints.get)


def _object(value: Any, base: type, get: Callable[[Any], Any]) -> Any:
    """An initializer, constraint or regularizer by its class' name and arguments alone."""
    if not isinstance(value, Mapping):
        return value
    name = str(value.get("class_name"))
    module = {"Initializer": keras.initializers, "Constraint": keras.constraints, "Regularizer": keras.regularizers}
    kind = getattr(module[base.__name__], name, None)
    if not (isinstance(kind, type) and issubclass(kind, base)):
        raise NotRebuiltError(f"uses {name!r}, which is not known here")
    return get({"class_name": name, "config": dict(value.get("config") or {})})
