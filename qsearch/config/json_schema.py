"""The JSON Schema of a configuration, for editors and other programs: what the types of `schema` say, with each key's
description.

It accepts whatever the loader accepts. The loader knows more: what values say about each other, and about the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_type_hints

from qsearch.config.chosen_schema import losses_schema, metric_schema
from qsearch.config.descriptions import description
from qsearch.config.keras_options import LOSS_CLASSES, METRIC_CLASSES
from qsearch.config.load import MOVED, SUNK
from qsearch.config.names import LIMIT_CLASSES, LOSSES, METRICS
from qsearch.config.schema import Config
from qsearch.config.section import Section

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_DEFS, _REF = "$defs", "$ref"


def json_schema() -> dict[str, Any]:
    """A JSON Schema, draft 2020-12, of a configuration file."""
    made = Config.model_json_schema()
    shared = {
        "Metric": metric_schema(METRICS, METRIC_CLASSES),
        "Losses": losses_schema(LOSSES, LOSS_CLASSES),
    }
    root = _tidy({key: value for key, value in made.items() if key != _DEFS}, shared)
    parts = {name: _tidy(part, shared) for name, part in made[_DEFS].items()}
    for section in sections():
        target = root if section is Config else parts[section.__name__]
        target["description"] = _first_paragraph(section)
        for key, part in target["properties"].items():
            part["description"] = description(section, key)
    _one_origin(parts["DatasetConfig"], ("name", "npz", "factory"))
    _one_origin(parts["ModelConfig"], ("name", "path", "factory"))
    _suggest_classes(root["properties"]["limit"])
    _either_place(root, parts["RunConfig"])
    title = "A configuration of qsearch"
    return {"$schema": DRAFT, **root, "title": title, _DEFS: {**parts, **shared}}


def sections() -> Iterator[type[Section]]:
    """Every section of a configuration, once."""
    seen: set[type[Section]] = set()
    waiting: list[type[Section]] = [Config]
    while waiting:
        section = waiting.pop(0)
        if section in seen:
            continue
        seen.add(section)
        yield section
        hints = get_type_hints(section, include_extras=True)
        waiting += [inner for name in section.model_fields for inner in _inner(hints[name])]


def _inner(hint: Any) -> Iterator[type[Section]]:
    if isinstance(hint, type) and issubclass(hint, Section):
        yield hint
    for part in get_args(hint):
        yield from _inner(part)


def _first_paragraph(section: type[Section]) -> str:
    return " ".join((section.__doc__ or "").partition("\n\n")[0].split())


def _tidy(part: Any, shared: Mapping[str, Any]) -> Any:
    """Without titles, which repeat keys, and defaults that say nothing; what is `shared` as a reference."""
    if isinstance(part, list):
        return [_tidy(one, shared) for one in part]
    if not isinstance(part, dict):
        return part
    bare = {key: value for key, value in part.items() if key not in ("default", "title", "description")}
    for name, schema in shared.items():
        if bare == schema:
            kept = {key: part[key] for key in ("default",) if part.get(key) is not None}
            return {_REF: f"#/{_DEFS}/{name}", **kept}
    return {
        key: value if key in ("default", "enum", "const") else _named(value, shared) if key == "properties" else _tidy(
            value, shared
        )
        for key, value in part.items()
        if not (key == "title" and isinstance(value, str))
        and key != "discriminator"  # of OpenAPI
        and not (key == "default" and (value is None or _is_section(part)))
    }  # fmt: skip


def _named(properties: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """Of keys, which may be called as what a schema is made of."""
    return {key: _tidy(value, shared) for key, value in properties.items()}


def _is_section(part: Mapping[str, Any]) -> bool:
    """Whether a value is a section, whose keys tell their defaults."""
    return _REF in part or any(_REF in one for kind in ("anyOf", "oneOf") for one in part.get(kind, ()))


def _one_origin(section: dict[str, Any], keys: tuple[str, ...]) -> None:
    section["anyOf"] = [{"required": [key]} for key in keys]


def _suggest_classes(limit: dict[str, Any]) -> None:
    """Editors offer the classes; any other key is a pattern of layer names."""
    limit["properties"] = dict.fromkeys(("default", *LIMIT_CLASSES, "linear"), limit["additionalProperties"])


def _either_place(root: dict[str, Any], run: dict[str, Any]) -> None:
    """Keys that may stand beside `run:` and in it."""
    inside = {key: root["properties"][key] for key in MOVED}
    beside = {key: run["properties"][key] for key in SUNK}
    run["properties"] |= inside
    root["properties"] |= beside
    root["required"] = [key for key in root["required"] if key not in MOVED]
    root["anyOf"] = [
        {"required": ["limit"]},
        {"required": ["run"], "properties": {"run": {"required": ["limit"]}}},
    ]
