"""Configurations side by side: the keys in which they differ."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qsearch.config import Config

_PLACE = "run.output_dir"
"""Of every run its own, and nothing that a search depends on."""


@dataclass(frozen=True)
class Difference:
    """A key, and its value in each configuration; None where it is not set."""

    key: str
    values: tuple[Any, ...]


def differences(configs: Sequence[Config]) -> tuple[Difference, ...]:
    """Keys whose values are not the same in all, in the order of files."""
    flat = [_flat(config.model_dump(mode="json", exclude_none=True)) for config in configs]
    keys = dict.fromkeys(key for each in flat for key in each)
    found = (Difference(key, tuple(each.get(key) for each in flat)) for key in keys if key != _PLACE)
    return tuple(each for each in found if any(value != each.values[0] for value in each.values))


def shown(value: Any) -> str:
    """A value as a file has it, in one line."""
    return "-" if value is None else value if isinstance(value, str) else json.dumps(value)


def _flat(section: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """{"run.max_trials": 20, ...}; lists and empty sections are values."""
    found: dict[str, Any] = {}
    for key, value in section.items():
        name = f"{above}.{key}" if above else str(key)
        if isinstance(value, Mapping) and value:
            found |= _flat(value, name)
        else:
            found[name] = value
    return found
