"""A model as a person names it on the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from qsearch.config.draft import quoted
from qsearch.models import build_custom, build_model, import_objects, load_model


@dataclass(frozen=True, kw_only=True)
class ModelChoice:
    """Where the model is from: a name, a file, or a function.

    Attributes:
        weights, custom_objects: for a file; allow_code: whether its Lambda layers are loaded, which no configuration
            can say.
        arguments: for a function.
    """

    name: str | None = None
    path: str | None = None
    factory: str | None = None
    weights: str | None = None
    custom_objects: tuple[str, ...] = ()
    allow_code: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        return str(self.name or self.path or self.factory)

    def build(self) -> keras.Model:
        """The model.

        Raises:
            ModelError: it cannot be had.
        """
        if self.name is not None:
            return build_model(self.name)
        if self.path is not None:
            own = import_objects(self.custom_objects)
            return load_model(self.path, self.allow_code, custom_objects=own, weights=self.weights)
        return build_custom(str(self.factory), self.arguments)

    def keys(self) -> dict[str, str]:
        """The section `model`."""
        given = {"name": self.name, "path": self.path, "factory": self.factory, "weights": self.weights}
        keys = {key: quoted(value) for key, value in given.items() if value is not None}
        if self.custom_objects:
            keys["custom_objects"] = f"[{', '.join(map(quoted, self.custom_objects))}]"
        if self.arguments:
            keys["arguments"] = json.dumps(dict(self.arguments), ensure_ascii=False)  # which is YAML too
        return keys
