"""Field types of the schema: strict scalars, names with a nearest fix, quantizer strings."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    Strict,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from qsearch.config import bounds
from qsearch.config.patterns import regex_problem
from qsearch.errors import ConfigError, did_you_mean, shown
from qsearch.quantizers.parameters import FLOAT32, LEAST_FLOAT32
from qsearch.quantizers.sense import senseless
from qsearch.quantizers.spec import QuantizerSpec, parse

Int = Annotated[int, Strict(), Field(ge=-bounds.COUNT, le=bounds.COUNT)]
Count = Annotated[int, Strict(), Field(ge=1, le=bounds.COUNT)]
Side = Annotated[int, Strict(), Field(ge=1, le=bounds.SIDE)]
"""What becomes the side of an array."""
Whole = Annotated[int, Strict(), Field(ge=0, le=bounds.COUNT)]
BitWidth = Annotated[int, Strict(), Field(ge=1, le=bounds.BITS)]
Seed = Annotated[int, Strict(), Field(ge=0, le=bounds.SEED)]
MemoryBits = Annotated[int, Strict(), Field(ge=0, le=bounds.WHOLE)]


def _float32(value: float) -> float:
    """Not what becomes 0 or infinite in a model."""
    if value and not LEAST_FLOAT32 <= abs(value) <= FLOAT32:
        raise ValueError(f"found {shown(value)}, which float32 does not have: 0, or 1.2e-38 to 3.4e38")
    return value


InFloat32 = AfterValidator(_float32)
Real = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Positive = Annotated[float, Strict(), Field(gt=0, allow_inf_nan=False), InFloat32]
NotNegative = Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False), InFloat32]
Factor = Annotated[float, Strict(), Field(ge=0, le=bounds.FACTOR, allow_inf_nan=False), InFloat32]
Bool = Annotated[bool, Strict()]
Text = Annotated[str, Strict(), Field(min_length=1)]
Above0 = Annotated[float, Field(gt=0)]
"""As the JSON Schema has what a validator of its own holds against more."""


class PlacedError(ValueError):
    """What is wrong with a value inside a field's value.

    Attributes:
        path: where it is inside the field.
        key: whether the last key of the path is wrong, and not what it holds.
    """

    def __init__(self, text: str, path: tuple[int | str, ...], key: bool = False) -> None:
        super().__init__(text)
        self.path = path
        self.key = key

    @classmethod
    def below(cls, step: int | str, error: ValueError) -> PlacedError:
        """The same error, seen from one level up."""
        path = error.path if isinstance(error, PlacedError) else ()
        return cls(str(error), (step, *path), isinstance(error, PlacedError) and error.key)


def one_of(allowed: Sequence[str]) -> Callable[[Any], str]:
    """A validator: the value must be one of these names."""

    def check(value: Any) -> str:
        if value not in allowed or not isinstance(value, str):
            near = did_you_mean(value, allowed) if isinstance(value, str) else ""
            raise ValueError(f"found {shown(value)}, allowed: {', '.join(allowed)}{near}")
        return value

    return check


def named(allowed: Sequence[str], check: Callable[[Any], str] | None = None, any_case: bool = False) -> BeforeValidator:
    """The validator of a field that is one of these names, as the JSON Schema says it too.

    Args:
        check: in place of `one_of`.
        any_case: it takes names in any case; the schema leaves those with a capital to it.
    """
    names = spelt(enum=list(allowed))
    written = names | spelt(pattern="[A-Z]") if any_case else names
    return BeforeValidator(check or one_of(allowed), json_schema_input_type=written)


def spelt(**schema: Any) -> Any:
    """A text as the JSON Schema describes it, for what a validator reads of a file: `spelt(pattern="%$")`."""
    return Annotated[str, Field(json_schema_extra=schema)]


def _auto_or_bool(value: Any) -> Any:
    if value == "auto" or isinstance(value, bool):
        return value
    raise ValueError(f"found {shown(value)}, allowed: auto, true, false")


def _auto_or_count(value: Any) -> Any:
    count = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= bounds.COUNT
    if value == "auto" or count:
        return value
    raise ValueError(f"found {shown(value)}, allowed: auto, or a whole number from 1 to {bounds.COUNT:,}")


AutoOrBool = Annotated[
    Literal["auto"] | bool, PlainValidator(_auto_or_bool, json_schema_input_type=Literal["auto"] | bool)
]
"""A switch that may be left to qsearch."""
AutoOrCount = Annotated[
    Literal["auto"] | int, PlainValidator(_auto_or_count, json_schema_input_type=Literal["auto"] | Count)
]


_IMPORT = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


IMPORT_PATTERN = f"^{_IMPORT.pattern}$"


def is_import_path(value: Any) -> bool:
    """Whether a value is like 'my_package.my_module:build'."""
    return isinstance(value, str) and _IMPORT.fullmatch(value) is not None


def _import_path(value: Any) -> str:
    if not is_import_path(value):
        raise ValueError(f"found {shown(value)}, expected an import path such as 'my_package.my_module:build'")
    return str(value)


ImportPath = Annotated[str, BeforeValidator(_import_path, json_schema_input_type=spelt(pattern=IMPORT_PATTERN))]


def _pair(value: Any) -> Any:
    """AutoQKeras takes [reference, trial]; one value stands for both."""
    if isinstance(value, list | tuple):
        if len(value) != 2:
            raise ValueError(f"found {len(value)} values, allowed: one value, or two: [reference, trial]")
        return value
    return (value, value)


AsPair = BeforeValidator(_pair)


class OrOne:
    """The JSON Schema of such a pair: two values, or one for both."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        pair = handler(schema)
        return {"anyOf": [pair["prefixItems"][0], pair]}


def _few(value: Any) -> Any:
    if isinstance(value, list | tuple | dict) and len(value) > bounds.ENTRIES:
        raise ValueError(f"found {len(value):,} entries, allowed: {bounds.ENTRIES:,}")
    return value


Few = BeforeValidator(_few)
"""Of a list or a section: no more entries than can be held against every layer; told before any of them is read."""


def _pattern(value: str) -> str:
    if problem := regex_problem(value):
        raise ValueError(problem)
    return value


Pattern = Annotated[str, Strict(), AfterValidator(_pattern)]


def _quantizer(value: Any) -> QuantizerSpec:
    if isinstance(value, QuantizerSpec):
        return value
    if not isinstance(value, str):
        raise ValueError(f"found {shown(value)}, expected a quantizer such as 'quantized_bits(4,0,1)'")
    try:
        spec = parse(value)
    except ConfigError as error:
        raise ValueError(str(error)) from None
    if (problem := senseless(spec, bounds.BITS)) is not None:
        raise ValueError(problem)
    return spec


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


AsNamed = BeforeValidator(_named)
"""Of a section with a name and options: a bare name is one without options."""


class OrName:
    """The JSON Schema of such a section: the section, or the name alone, as the section's own key has it."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        section = handler(schema)
        name = handler.resolve_ref_schema(section)["properties"]["name"]
        known = {key: value for key, value in name.items() if key in ("type", "enum", "anyOf")}
        return {"anyOf": [known, section]}


class _QuantizerField:
    """Quantizer strings are checked by the grammar, and written back as strings."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _quantizer, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "minLength": 1}


Quantizer = Annotated[QuantizerSpec, _QuantizerField]

_PJ = {"pj": 1.0, "nj": 1e3, "uj": 1e6, "µj": 1e6, "mj": 1e9, "j": 1e12}


def picojoules(value: Any) -> float:
    """pJ of a number, or of a text such as "20nJ".

    Raises:
        ValueError: it is neither, or not above 0.
    """
    energy = value
    if isinstance(value, str):
        match = re.fullmatch(_ENERGY, value)
        try:
            energy = float(match[1]) * _PJ[match[2].lower()] if match else None
        except ValueError:
            energy = None
    if isinstance(energy, bool) or not isinstance(energy, int | float) or not 0 < energy < float("inf"):
        raise ValueError(f"found {shown(value)}, expected an energy above 0: a number of pJ, or a text such as '20nJ'")
    return float(energy)


_ENERGY = r"\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*([pnuµm]?[jJ])\s*"
Energy = Annotated[float, BeforeValidator(picojoules, json_schema_input_type=Above0 | spelt(pattern=f"^{_ENERGY}$"))]


_PERCENT = r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*%\s*"


def _part(value: Any, of: str) -> float:
    """A fraction, or a percentage such as "1%"."""
    part = value
    if isinstance(value, str):
        match = re.fullmatch(_PERCENT, value)
        part = float(match[1]) / 100 if match else None
    if isinstance(part, bool) or not isinstance(part, int | float) or not 0 <= part < 1:
        raise ValueError(f"found {shown(value)}, expected a part{of}: '1%' or 0.01, below 100%")
    return float(part)


_Written = Annotated[float, Field(ge=0, lt=1)] | spelt(pattern=f"^{_PERCENT}$")
Share = Annotated[
    float,
    BeforeValidator(lambda value: _part(value, " of the reference's metric"), json_schema_input_type=_Written),
]
Fraction = Annotated[float, BeforeValidator(lambda value: _part(value, ""), json_schema_input_type=_Written)]
"""A part of something that the key names."""
Decay = Annotated[float, Strict(), Field(ge=0, lt=1, allow_inf_nan=False), InFloat32]
"""How much of an average is kept from one step to the next: all of it would never change."""
Momentum = Annotated[float, Strict(), Field(ge=0, le=1, allow_inf_nan=False)]
