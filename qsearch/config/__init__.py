"""YAML -> frozen types; every message a user can earn with a wrong configuration.

What reads a file is imported with the first name that needs it: `--help` and completions need the names alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qsearch.config.load import LoadedConfig as LoadedConfig
    from qsearch.config.load import load_config as load_config
    from qsearch.config.load import to_yaml as to_yaml
    from qsearch.config.schema import Config as Config

_HOMES = {
    "Config": "qsearch.config.schema",
    "LoadedConfig": "qsearch.config.load",
    "load_config": "qsearch.config.load",
    "to_yaml": "qsearch.config.load",
}

__all__ = ["Config", "LoadedConfig", "load_config", "to_yaml"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'qsearch.config' has no attribute {name!r}")
