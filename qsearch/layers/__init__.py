"""Keras layers that use quantizers. Keras is imported with the first of them.

`__init__.pyi` shows editors their classes (`scripts/stubs.py` writes it from the table).
"""

from importlib import import_module
from typing import Any

from qsearch.layers.table import CELLS, LAYERS

_MODULES = {**{name: entry.module for name, entry in LAYERS.items()}, **dict.fromkeys(CELLS, "cells")}

__all__ = [*_MODULES]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"qsearch.layers.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'qsearch.layers' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
