"""YAML -> frozen types; every message a user can earn with a wrong configuration."""

from qsearch.config.load import LoadedConfig, load_config, to_yaml
from qsearch.config.schema import Config

__all__ = ["Config", "LoadedConfig", "load_config", "to_yaml"]
