"""The layers of a model by path, nested models entered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras


def layers_by_path(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """Layers by name, those of a nested model as "outer/inner"; the nested models themselves are left out.

    A model that TimeDistributed applies is one too, under the wrapper's name. A layer that is shared by several places
    is listed once, at the first.
    """
    layers: dict[str, keras.layers.Layer] = {}
    seen: set[int] = set()
    for path, layer in _walk(model, "", _layers):
        if id(layer) not in seen:
            seen.add(id(layer))
            layers[path] = layer
    return layers


def operations_by_path(model: keras.Model) -> dict[str, Any]:
    """`layers_by_path`, and the raw operations (`x + y`, `ops.relu(x)`) by name or as "outer/relu" beside them.

    Where an operation has a layer's path, the layer is meant.
    """
    operations: dict[str, Any] = {}
    seen: set[int] = set()
    for path, operation in _walk(model, "", _operations):
        if id(operation) not in seen:
            seen.add(id(operation))
            operations.setdefault(path, operation)
    return {**operations, **layers_by_path(model)}


def _walk(model: keras.Model, prefix: str, parts: Callable[[keras.Model], list[Any]]) -> Iterator[tuple[str, Any]]:
    """(path, part) of a model and those nested in it; parts: what of a model is looked at."""
    for part in parts(model):
        path = f"{prefix}{part.name}"
        inner = inner_model(part)
        if inner is not None:
            yield from _walk(inner, f"{path}/", parts)
        else:
            yield path, part


def _layers(model: keras.Model) -> list[Any]:
    return list(model.layers)


def _operations(model: keras.Model) -> list[Any]:
    """Layers and raw operations; Sequential models hold layers alone."""
    sequential = isinstance(model, keras.Sequential) or not hasattr(model, "operations")
    return _layers(model) if sequential else list(model.operations)


def head_names(model: keras.Model) -> list[str]:
    """The names of a model's outputs; a Sequential model's is that of its last layer."""
    return [model.layers[-1].name] if isinstance(model, keras.Sequential) else list(model.output_names)


def calls_of(model: keras.Model) -> list[Any]:
    """Keras' nodes of a functional or Sequential model: one for each call, inputs included, producers first."""
    functional = model
    if isinstance(model, keras.Sequential):
        # A Sequential model holds its layers' graph in a functional model of its own.
        functional = keras.models.Model(model.inputs, model.outputs, name=model.name)
    return [
        node for depth in sorted(functional._nodes_by_depth, reverse=True) for node in functional._nodes_by_depth[depth]
    ]


def variable_name(variable: Any) -> str:
    """What a layer calls its variable: kernel, bias, gamma, ..."""
    return str(variable.path).rpartition("/")[2]


def core_of(layer: Any) -> Any:
    """The layer that computes: the one inside a TimeDistributed, else the layer itself."""
    while type(layer) is keras.layers.TimeDistributed:
        layer = layer.layer
    return layer


def inner_model(layer: Any) -> keras.Model | None:
    """The nested model that a layer is, or applies to every time step; None for any other layer."""
    core = core_of(layer)
    return core if isinstance(core, keras.Model) else None


def time_axes(layer: Any) -> int:
    """How many axes of time a layer runs over: one for each TimeDistributed around what computes."""
    return 1 + time_axes(layer.layer) if type(layer) is keras.layers.TimeDistributed else 0
