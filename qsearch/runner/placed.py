"""Errors of a model or of data, told with the place in the configuration that led there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qsearch.config import LoadedConfig
from qsearch.errors import ConfiguredError

_ORIGINS = ("name", "path", "npz", "factory")
"""The keys of `model` and `dataset` that say where these come from; exactly one is given."""


@contextmanager
def placed(loaded: LoadedConfig) -> Iterator[None]:
    """Around everything that reads or trains what a configuration names.

    Raises:
        ConfiguredError: one that is raised in here, with file, line, column and key before its message.
    """
    try:
        yield
    except ConfiguredError as error:
        if error.placed:
            raise
        section = getattr(loaded.config, error.section)
        key = error.key or next(key for key in _ORIGINS if getattr(section, key, None) is not None)
        told = str(loaded.error((error.section, key), str(error)))
        raise type(error)(told, key, placed=True) from None
