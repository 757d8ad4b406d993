"""One layer copied: its configuration, with the live objects that a configuration cannot hold."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import keras

from qsearch.errors import ModelError, reason_of
from qsearch.models.custom import is_custom, is_given, name_of_keras, named_parts
from qsearch.paths import temporary_folder

Config = dict[str, Any]

LOOKUPS = (keras.layers.StringLookup, keras.layers.IntegerLookup, keras.layers.TextVectorization)


def copied(layer: Any, changes: Mapping[str, Any] | None = None) -> Any:
    """An unbuilt layer of the same class, with functions and other objects of the user's own taken as they are.

    Args:
        changes: of its configuration.

    Raises:
        ModelError: its configuration cannot be had, or does not make a layer.
    """
    if type(layer) is keras.layers.Lambda:
        return _lambda(layer)
    if type(layer) is keras.layers.TimeDistributed:
        return keras.layers.TimeDistributed(copied(layer.layer), **base_config(layer))
    copy = made(layer, type(layer), {**live_config(layer), **(changes or {})})
    if isinstance(layer, LOOKUPS):
        # Before it is called, as its output's shape depends on its vocabulary.
        _carry_vocabulary(layer, copy)
    return copy


def base_config(layer: Any) -> Config:
    """What every layer's configuration holds."""
    return {"name": layer.name, "trainable": layer.trainable, "dtype": layer.dtype_policy}


def live_config(layer: Any) -> Config:
    """A layer's configuration, in which arguments that are the user's own are the objects themselves.

    Raises:
        ModelError: the layer does not give one.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about lambdas, which are not read from it
            config = dict(layer.get_config())
    except Exception as error:  # the user's own code, or an argument that Keras cannot write down
        partial = next((name for name, value in vars(layer).items() if isinstance(value, functools.partial)), None)
        if partial is not None:
            raise ModelError(
                f"layer {layer.name!r}: its {partial} is a functools.partial, which Keras cannot write down; "
                "make it a function with a name"
            ) from None
        raise ModelError(
            f"layer {layer.name!r}: {_what(layer)} has no get_config that works: "
            f"{type(error).__name__}: {reason_of(error)}"
        ) from None
    if is_custom(type(layer).from_config):
        return config  # which reads what its own get_config has written
    for key in config:
        value = _attribute(layer, key)
        if is_given(value):
            config[key] = value
    return config


def _attribute(layer: Any, name: str) -> Any:
    try:
        return getattr(layer, name, None)
    except Exception:  # a property of the user's own, or one that the layer has only once it is called
        return None


def made(layer: Any, kind: type[Any], config: Config) -> Any:
    """A layer of a class from a configuration that comes from `layer`, whose own objects it may name.

    Raises:
        ModelError: it cannot be made.
    """
    with custom_objects_of(layer, config):
        try:
            found = kind.from_config(config)
            if not isinstance(found, keras.layers.Layer):
                raise TypeError(f"its from_config gave a {type(found).__name__}")
        except ModelError:
            raise
        except Exception as error:
            if not is_custom(kind) and isinstance(error, ValueError | TypeError) and not _has_custom(layer):
                raise
            raise ModelError(
                f"layer {layer.name!r}: {_what(layer)} cannot be copied: {type(error).__name__}: {reason_of(error)}; "
                "its get_config must return every argument of its __init__, which must take **kwargs for name, "
                "trainable and dtype"
            ) from None
    if found.name != layer.name:
        found.name = layer.name  # a get_config that leaves the name out
    return found


def custom_objects_of(layer: Any, config: Config | None = None) -> AbstractContextManager[Any]:
    """Let Keras know a layer's own objects by the names that a configuration may call them by.

    Raises:
        ModelError: the configuration names one of several.
    """
    scope: AbstractContextManager[Any] = keras.saving.custom_object_scope(_named(layer, config or {}))
    return scope


def _named(layer: Any, config: Config) -> Config:
    """The user's own objects in a layer, by the names that its configuration may call them by."""
    names: Config = {}
    for part in layer._flatten_layers():
        for name, value in named_parts(part):
            other = names.setdefault(name, value)
            if (other is not value or name_of_keras(value)) and _mentions(config, name):
                raise ModelError(
                    f"layer {layer.name!r}: what its get_config calls {name!r} may be one of two objects of that "
                    "name; give them different names"
                )
    return names


def _has_custom(layer: Any) -> bool:
    return any(True for part in layer._flatten_layers() for _ in named_parts(part))


def _mentions(value: Any, name: str) -> bool:
    if isinstance(value, str):
        return value == name
    if isinstance(value, Mapping):
        return any(_mentions(entry, name) for key, entry in value.items() if key != "name")
    return isinstance(value, list | tuple) and any(_mentions(entry, name) for entry in value)


def _lambda(layer: Any) -> Any:
    return keras.layers.Lambda(
        layer.function,
        output_shape=layer._output_shape,
        mask=layer.mask,
        arguments=dict(layer.arguments),
        **base_config(layer),
    )


def _carry_vocabulary(layer: Any, copy: Any) -> None:
    store: dict[str, Any] = {}
    layer.save_own_variables(store)
    copy.load_own_variables(store)
    carry_assets(layer, copy)


def carry_assets(layer: Any, copy: Any) -> None:
    """Give a copy what a layer keeps in files beside the weights."""
    with temporary_folder() as folder:
        layer.save_assets(str(folder))
        copy.load_assets(str(folder))


def _what(layer: Any) -> str:
    return f"its class {type(layer).__name__}"
