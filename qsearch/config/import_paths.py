"""The import paths of a configuration: the code of the user's own that a run of it would import."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qsearch.config.fields import is_import_path
from qsearch.config.schema import Config
from qsearch.config.yaml_source import Path

_NAMES_OF_OTHER_THINGS: tuple[Path, ...] = (
    ("dataset", "npz"),
    ("model", "path"),
    ("model", "weights"),
    ("model", "arguments"),
    ("run", "output_dir"),
    ("run", "observers", "tracking_uri"),
    ("run", "observers", "experiment"),
    ("run", "observers", "study"),
    ("run", "observers", "arguments"),
)
"""Texts that a run never imports, whatever they look like. What is not named here counts as an import path. Numbers
of elements are left out."""


def import_paths(config: Config) -> Iterator[tuple[Path, str]]:
    """Where each import path stands, and the path."""
    yield from _found((), config.model_dump(mode="json", exclude_none=True))


def _found(path: Path, value: Any) -> Iterator[tuple[Path, str]]:
    if tuple(key for key in path if not isinstance(key, int)) in _NAMES_OF_OTHER_THINGS:
        return
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _found((*path, key), each)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _found((*path, index), each)
    elif is_import_path(value):
        yield path, value
