"""Models that a function of the user's own builds, and the objects of their own in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from qsearch.errors import ModelError, reason_of
from qsearch.imports import imported

if TYPE_CHECKING:
    import keras

_KNOWN = ("keras", "qsearch", "builtins")
_FUNCTIONS = (FunctionType, BuiltinFunctionType, MethodType, partial)
_DEPTH = 4
"""How far values are looked into: a list of functions, an initializer that wraps another one."""


def build_custom(factory: str, arguments: Mapping[str, Any]) -> keras.Model:
    """The model that the function at an import path builds.

    Raises:
        ModelError: there is no such function, it fails, or what it gives is no model.
    """
    import keras

    function = imported(factory, ModelError)
    try:
        model = function(**arguments)
    except (Exception, SystemExit) as error:  # the user's own code
        raise ModelError(f"{factory}: failed with {type(error).__name__}: {reason_of(error)}") from None
    if not isinstance(model, keras.Model):
        raise ModelError(f"{factory}: gave a {type(model).__name__}, expected a keras.Model")
    return model


def import_objects(paths: Sequence[str]) -> dict[str, Any]:
    """Classes and functions of the user's own, by the name that model files know them by.

    Raises:
        ModelError: an import path that leads nowhere.
    """
    return {path.rpartition(":")[2].rpartition(".")[2]: imported(path, _of_custom_objects) for path in paths}


def _of_custom_objects(message: str) -> ModelError:
    return ModelError(message, "custom_objects")


def custom_objects_in(model: keras.Model) -> dict[str, Any]:
    """Classes and functions that are neither Keras' nor qsearch's, by the name that a model file calls them by.

    These are classes of layers and models, and what layers are given: activations, initializers, functions of Lambda
    layers. Nested models are entered.

    Raises:
        ModelError: two different objects of one name, which a model file cannot tell apart.
    """
    import keras

    objects: dict[str, tuple[Any, str]] = {}
    for layer in model._flatten_layers():
        for name, part in named_parts(layer):
            if name_of_keras(part) and not isinstance(layer, keras.layers.Lambda):
                if _root(part) == "tensorflow":
                    continue  # computes what Keras' function of that name does
                raise ModelError(
                    f"layer {layer.name!r}: uses a function {name!r} of its own, which a model file cannot tell from "
                    "Keras' own of that name; give it another name"
                )
            other, place = objects.setdefault(name, (part, layer.name))
            if other is not part:
                raise ModelError(
                    f"layers {place!r} and {layer.name!r}: use two different objects called {name!r}, which a model "
                    "file cannot tell apart; give them different names"
                )
    return {name: part for name, (part, _) in objects.items()}


def named_parts(layer: Any) -> Iterator[tuple[str, Any]]:
    """What a configuration of the layer, without its sublayers, may name of the user's own: classes and functions."""
    if is_custom(layer):
        yield type(layer).__name__, type(layer)
    for part in custom_parts(layer):
        named = part if isinstance(part, _FUNCTIONS) else type(part)
        # Lambdas, bound methods and partial functions have no name to find them by.
        if isinstance(named, FunctionType | BuiltinFunctionType | type) and named.__name__ != "<lambda>":
            yield named.__name__, named


def custom_parts(layer: Any) -> Iterator[Any]:
    """Functions, and objects such as initializers, that a layer was given and that are the user's own."""
    kind = type(layer)
    for name, value in list(vars(layer).items()):
        # Keras puts wrapped methods of the class on each layer, and TensorFlow its tracking.
        if not hasattr(kind, name) and not name.startswith("_self_"):
            yield from _own(value, _DEPTH)


def is_custom(part: Any) -> bool:
    """Whether a function, or the class of an object, is neither Keras' nor qsearch's."""
    return _root(part) not in _KNOWN


def is_given(value: Any) -> bool:
    """Whether a value is a function or an object of the user's own that layers are given, and no layer."""
    return value is not None and next(_own(value, 1), None) is value


def _root(part: Any) -> str:
    owner = part if isinstance(part, FunctionType | BuiltinFunctionType | MethodType | type) else type(part)
    return str(getattr(owner, "__module__", None) or "builtins").partition(".")[0]


def _own(value: Any, depth: int) -> Iterator[Any]:
    if isinstance(value, _FUNCTIONS):
        if is_custom(value):
            yield value
    elif depth == 0 or isinstance(value, type):
        return
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _own(entry, depth - 1)
    elif isinstance(value, dict):
        for entry in value.values():
            yield from _own(entry, depth - 1)
    elif callable(getattr(value, "get_config", None)) and not _is_operation(value):
        if is_custom(value):
            yield value
        else:  # one of ours or of Keras', which may wrap another
            for entry in vars(value).values():
                yield from _own(entry, depth - 1)


def _is_operation(value: Any) -> bool:
    import keras

    return isinstance(value, keras.Operation | keras.metrics.Metric | keras.optimizers.Optimizer | keras.Loss)


def name_of_keras(part: Any) -> bool:
    """Whether a configuration would hold no more of an activation than a name that Keras takes for its own."""
    import keras

    return isinstance(part, FunctionType) and isinstance(_serialized(keras.activations.serialize, part), str)


def _serialized(serialize: Any, part: Any) -> Any:
    try:
        return serialize(part)
    except (ValueError, TypeError, OSError):  # no name, no source
        return None
