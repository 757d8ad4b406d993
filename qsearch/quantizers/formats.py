"""The number type that a text or a quantizer stands for. No TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType

from qsearch.errors import ConfigError, shown
from qsearch.quantizers.number_types import NumberFormat, fixed, floating
from qsearch.quantizers.sense import MOST_PRICED, senseless
from qsearch.quantizers.spec import QuantizerSpec, parse
from qsearch.quantizers.table import QUANTIZERS

SOURCE_FORMATS: Mapping[str, NumberFormat] = MappingProxyType(
    {
        "int8": fixed(8, 0),
        "int16": fixed(16, 7),
        "int32": fixed(32, 10),
        "fp16": floating(16),
        "fp32": floating(32),
    }
)
DEFAULT_FORMAT = SOURCE_FORMATS["int8"]


def source_format(text: str) -> NumberFormat:
    """The type of a model input: `int8`, `int16`, `int32`, `fp16`, `fp32`, or any quantizer.

    Raises:
        ConfigError: neither.
    """
    if text in SOURCE_FORMATS:
        return SOURCE_FORMATS[text]
    try:
        spec = parse(text)
        if (problem := senseless(spec, MOST_PRICED)) is not None:
            raise ConfigError(problem)
        return number_format(spec)
    except ConfigError as error:
        raise ConfigError(
            f"number type {shown(text)}: allowed: {', '.join(SOURCE_FORMATS)} or a quantizer; {error}"
        ) from None


@lru_cache(maxsize=4096)
def number_format(spec: QuantizerSpec) -> NumberFormat:
    """The type of the numbers that a quantizer gives. Scales, symmetry and rounding have no influence."""
    return replace(QUANTIZERS[spec.name].number_format(spec.arguments), name=spec.name)
