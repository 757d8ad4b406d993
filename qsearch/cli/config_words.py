"""What a shell offers for KEY=VALUE: the keys of a configuration, and the values that a key may have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

_SECTION, _VALUE = ".", "="
"""What goes on behind a key."""


class ConfigWord(click.ParamType[str]):
    """KEY=VALUE; what it is for the command is `overrides`' to say."""

    name = "KEY=VALUE"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from qsearch.config.json_schema import json_schema

        return offered(json_schema(), incomplete)


def offered(schema: Mapping[str, Any], word: str) -> list[CompletionItem]:
    """What a half-written KEY=VALUE may become.

    A key ends in "." where it is a section, and in "=" where it has a value; some may be either.

    Args:
        schema: of a configuration.
    """
    key, equals, value = word.partition(_VALUE)
    above, _, last = key.rpartition(_SECTION)
    parts = _at(schema, above.split(_SECTION) if above else [])
    if equals:
        found = [shown for part in parts for shown in _values(schema, _child(part, last))]
        return [CompletionItem(f"{key}={shown}") for shown in dict.fromkeys(found) if shown.startswith(value)]
    head = f"{above}." if above else ""
    items: dict[str, CompletionItem] = {}
    for part in parts:
        for name, child in part.get("properties", {}).items():
            for end in _ends(schema, child) if name.startswith(last) else ():
                text = f"{head}{name}{end}"
                items.setdefault(text, CompletionItem(text, help=child.get("description")))
    return _entered(schema, list(items.values()))


def _entered(schema: Mapping[str, Any], items: list[CompletionItem]) -> list[CompletionItem]:
    """A section that is the only one left is entered at once."""
    if len(items) == 1 and items[0].value.endswith(_SECTION):
        return offered(schema, items[0].value) or items
    return items


def _at(schema: Mapping[str, Any], path: Sequence[str]) -> list[Mapping[str, Any]]:
    """The sections that may stand at a place."""
    parts = list(_alternatives(schema, schema))
    for step in path:
        parts = [one for part in parts for one in _alternatives(schema, _child(part, step))]
    return parts


def _child(part: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = part.get("properties", {}).get(name, {})
    return found


def _alternatives(schema: Mapping[str, Any], part: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What a part may be, one after the other."""
    if "$ref" in part:
        part = schema["$defs"][part["$ref"].rpartition("/")[2]]
    inner = [*part.get("anyOf", ()), *part.get("oneOf", ())]
    if "properties" in part or not inner:
        yield part
        return
    for one in inner:
        yield from _alternatives(schema, one)


def _ends(schema: Mapping[str, Any], part: Mapping[str, Any]) -> Iterator[str]:
    kinds = list(_alternatives(schema, part))
    if any("properties" in kind for kind in kinds):
        yield _SECTION
    if any("properties" not in kind and kind.get("type") != "null" for kind in kinds):
        yield _VALUE


def _values(schema: Mapping[str, Any], part: Mapping[str, Any]) -> Iterator[str]:
    """The names that are allowed, true and false; else the default, as an example."""
    named = [shown for kind in _alternatives(schema, part) for shown in _names(kind)]
    yield from named
    default = part.get("default")
    if not named and isinstance(default, int | float | str):
        yield str(default)


def _names(kind: Mapping[str, Any]) -> Iterator[str]:
    yield from (str(name) for name in kind.get("enum", ()) if isinstance(name, str))
    if isinstance(kind.get("const"), str):
        yield kind["const"]
    if kind.get("type") == "boolean":
        yield from ("true", "false")
