"""Field types of the schema: strict scalars, names with a nearest fix, quantizer strings."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, GetCoreSchemaHandler, Strict
from pydantic_core import CoreSchema, core_schema

from qsearch.errors import ConfigError, did_you_mean
from qsearch.quantizers.spec import QuantizerSpec, parse

Int = Annotated[int, Strict()]
Count = Annotated[int, Strict(), Field(ge=1)]
Whole = Annotated[int, Strict(), Field(ge=0)]
Real = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Positive = Annotated[float, Strict(), Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)]
Bool = Annotated[bool, Strict()]
Text = Annotated[str, Strict(), Field(min_length=1)]


def one_of(allowed: Sequence[str]) -> Callable[[Any], str]:
    """A validator: the value must be one of these names."""

    def check(value: Any) -> str:
        if value not in allowed or not isinstance(value, str):
            near = did_you_mean(value, allowed) if isinstance(value, str) else ""
            raise ValueError(f"found {value!r}, allowed: {', '.join(allowed)}{near}")
        return value

    return check


def _pair(value: Any) -> Any:
    """AutoQKeras takes [reference, trial]; one value stands for both."""
    if isinstance(value, list | tuple):
        if len(value) != 2:
            raise ValueError(f"found {len(value)} values, allowed: one value, or two: [reference, trial]")
        return value
    return (value, value)


AsPair = BeforeValidator(_pair)


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"found {value!r}, which is no regular expression: {error}") from None
    return value


Pattern = Annotated[str, Strict(), AfterValidator(_pattern)]


def _quantizer(value: Any) -> QuantizerSpec:
    if isinstance(value, QuantizerSpec):
        return value
    if not isinstance(value, str):
        raise ValueError(f"found {value!r}, expected a quantizer such as 'quantized_bits(4,0,1)'")
    try:
        return parse(value)
    except ConfigError as error:
        raise ValueError(str(error)) from None


class _QuantizerField:
    """Quantizer strings are checked by the grammar, and written back as strings."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _quantizer, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )


Quantizer = Annotated[QuantizerSpec, _QuantizerField]
