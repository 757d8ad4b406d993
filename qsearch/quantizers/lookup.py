"""A quantizer from whatever names it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qsearch.errors import ConfigError, did_you_mean
from qsearch.quantizers.base import Quantizer
from qsearch.quantizers.classes import CLASSES
from qsearch.quantizers.spec import QuantizerSpec, parse


def get(identifier: Any) -> Quantizer | None:
    """The quantizer that `identifier` names.

    Args:
        identifier: a string such as "quantized_bits(4,0,1,alpha=1.0)", a spec, a quantizer (returned as it is), a
            serialised quantizer {"class_name": ..., "config": {...}} of ours or of QKeras, or None.

    Raises:
        ConfigError: anything else, or a string that does not parse.
    """
    if identifier is None or isinstance(identifier, Quantizer):
        return identifier
    if isinstance(identifier, str):
        identifier = parse(identifier)
    if isinstance(identifier, QuantizerSpec):
        return CLASSES[identifier.name](*identifier.args, **dict(identifier.kwargs))
    if isinstance(identifier, Mapping):
        name = str(identifier.get("class_name", ""))
        if name not in CLASSES:
            raise ConfigError(f"serialised quantizer of class {name!r}: unknown{did_you_mean(name, CLASSES)}")
        config = identifier.get("config")
        if config is not None and not isinstance(config, Mapping):
            raise ConfigError(f"serialised quantizer {name!r}: config: found {config!r}, expected arguments by name")
        return CLASSES[name].from_config(config or {})
    raise ConfigError(f"found {identifier!r}, expected a quantizer, e.g. 'quantized_bits(4,0,1)'")
