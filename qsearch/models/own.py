"""Models that a function of the user's own builds, and layers of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qsearch.errors import ModelError
from qsearch.imports import imported

if TYPE_CHECKING:
    import keras


def build_own(factory: str, arguments: Mapping[str, Any]) -> keras.Model:
    """The model that the function at an import path builds.

    Raises:
        ModelError: there is no such function, it fails, or what it gives is no model.
    """
    import keras

    function = imported(factory, ModelError)
    try:
        model = function(**arguments)
    except Exception as error:  # the user's own code
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(f"{factory}: failed with {type(error).__name__}: {reason}") from None
    if not isinstance(model, keras.Model):
        raise ModelError(f"{factory}: gave a {type(model).__name__}, expected a keras.Model")
    return model


def import_objects(paths: Sequence[str]) -> dict[str, Any]:
    """Classes and functions of the user's own, by the name that model files know them by.

    Raises:
        ModelError: an import path that leads nowhere.
    """
    return {path.rpartition(":")[2].rpartition(".")[2]: imported(path, ModelError) for path in paths}


def own_layers(model: keras.Model) -> dict[str, Any]:
    """The layer classes of a model, nested models entered, that are neither Keras' nor qsearch's."""
    found: dict[str, Any] = {}
    for layer in model._flatten_layers():
        kind = type(layer)
        if kind.__module__.partition(".")[0] not in ("keras", "qsearch"):
            found[kind.__name__] = kind
    return found
