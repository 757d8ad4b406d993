"""Configurations that PyPI's `qkeras-v3` (QKeras on Keras 3) wrote, in our classes' words.

Only names and arguments are translated; nothing of the package is imported. What differs: quantizers are stored as
objects of the module `qkeras`, constraints and initializers that follow from a quantizer are stored with the layer,
and the statistics of a folded layer are those of a normalization inside it (see `weight_files`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from qsearch.layers.registry import custom_objects
from qsearch.quantizers import SIGNATURES

Config = Mapping[str, Any]


def translated(part: Any) -> Any:
    """A configuration in which QKeras' classes are ours; it is not changed where it names none of them.

    Classes that have no counterpart stay as they are, for `refuse_foreign` to name.
    """
    if isinstance(part, list):
        return [translated(item) for item in part]
    if not isinstance(part, Mapping):
        return part
    inner = {key: translated(value) for key, value in part.items()}
    return _object(inner) if _is_qkeras(part) else inner


def _is_qkeras(part: Config) -> bool:
    """`.h5` files name the package with the class, `.keras` and JSON files beside it."""
    named = (str(part.get(key) or "") for key in ("class_name", "registered_name"))
    module = str(part.get("module") or "")
    return "class_name" in part and (
        module.partition(".")[0] == "qkeras" or any(n.startswith("qkeras>") for n in named)
    )


def _object(part: dict[str, Any]) -> Any:
    name, config = str(part["class_name"]).removeprefix("qkeras>"), part.get("config")
    if name in SIGNATURES:
        return {"module": None, "class_name": name, "config": config, "registered_name": name}
    if name == "QInitializer" and isinstance(config, Mapping):
        return config.get("initializer")  # ours is made anew from the quantizer
    own = custom_objects().get(name)
    if own is None or not isinstance(config, Mapping):
        return part
    if issubclass(own, keras.layers.Layer):
        config = {key: _argument(key, value, config) for key, value in config.items()}
    words = {"module": own.__module__, "class_name": name, "registered_name": f"qsearch>{name}"}
    return {**part, **words, "config": config}


def _argument(key: str, value: Any, config: Config) -> Any:
    """A Clip that a quantizer called for is made anew from it; an activation that is a bare function is Keras' own."""
    if key == "activation" and isinstance(value, Mapping) and value.get("class_name") == "function":
        return {**value, "module": "keras.activations"}
    clip = isinstance(value, Mapping) and value.get("class_name") == "Clip"
    follows = key.endswith("_constraint") and config.get(key.replace("_constraint", "_quantizer")) is not None
    return None if clip and follows else value
