"""Names of Keras 2's layers, which may hold a `/`, as Keras 3 takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def with_plain_names(stored: Any) -> Any:
    """A configuration in which every layer and model is built under a name without `/`.

    `block/conv` becomes `block_conv`, or `block_conv_1` where another layer of the model has that name. What refers to
    a layer (calls, groups of weights) keeps its stored name, which stands beside the configuration.
    """
    if isinstance(stored, list):
        return [with_plain_names(item) for item in stored]
    if not isinstance(stored, Mapping):
        return stored
    plain = {key: with_plain_names(value) for key, value in stored.items()}
    if isinstance(plain.get("layers"), list):
        plain["layers"] = _apart(plain["layers"], stored["layers"])
    if isinstance(plain.get("name"), str) and "class_name" not in plain:  # a configuration's, not a reference
        plain["name"] = _without_slash(plain["name"])
    return plain


def _without_slash(name: str) -> str:
    return name.strip("/").replace("/", "_")


def _apart(layers: list[Any], stored: list[Any]) -> list[Any]:
    """The layers of one model, each with its stored name beside, and with a name of its own inside."""
    taken = {name for name in map(_name, stored) if "/" not in name}
    named: list[Any] = []
    for layer, before in zip(layers, stored, strict=True):
        name = _name(before)
        if "/" not in name:
            named.append(layer)
            continue
        plain = first = _without_slash(name)
        count = 0
        while plain in taken:
            count += 1
            plain = f"{first}_{count}"
        taken.add(plain)
        named.append({**layer, "name": name, "config": {**layer["config"], "name": plain}})
    return named


def _name(layer: Any) -> str:
    config = layer.get("config")
    inner = config.get("name") if isinstance(config, Mapping) else None
    return str(layer.get("name") or inner or "")
