"""`reference.class_weight`: how much the samples of each class count in the loss."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from qsearch.config import bounds
from qsearch.errors import shown


def _is_class_number(key: Any) -> bool:
    return re.fullmatch(r"[0-9]{1,9}", str(key)) is not None and int(key) < bounds.SIDE


def _class_weight(value: Any) -> Any:
    if value is None or value == "balanced":
        return value
    kinds = isinstance(value, Mapping) and all(_is_class_number(key) for key in value)
    if (
        kinds
        and value
        and all(type(weight) in (int, float) and 0 <= weight <= bounds.FACTOR for weight in value.values())
    ):
        weights: dict[int, float] = {}
        for key, weight in value.items():
            if int(key) in weights:
                raise ValueError(f"found class {int(key)} twice: {shown(value)}")
            weights[int(key)] = float(weight)
        return weights
    raise ValueError(
        f"found {shown(value)}, expected 'balanced' or a weight >= 0 for each class: {{0: 1.0, 1: 5.0}}, none above "
        f"{bounds.FACTOR:g}"
    )


_Written = (
    Literal["balanced"]
    | Annotated[
        dict[Annotated[str, Field(pattern="^[0-9]{1,9}$")], Annotated[float, Field(ge=0, le=bounds.FACTOR)]],
        Field(min_length=1),
    ]
    | None
)
ClassWeight = Annotated[Any, PlainValidator(_class_weight, json_schema_input_type=_Written)]
"""None, "balanced", or a mapping of class numbers to weights."""
