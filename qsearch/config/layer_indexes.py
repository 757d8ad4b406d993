"""`run.layer_indexes`: the layers that are searched, by their place in the model."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Tag

from qsearch.config.fields import Int, spelt
from qsearch.config.section import Section
from qsearch.errors import shown


class IndexRange(Section):
    """`range(start, stop)` over the model's layers; a negative end counts from the last layer."""

    start: Int = 0
    stop: Int | None = None


_RANGE = r"range\(\s*(-?[0-9]{1,15})\s*,\s*(-?[0-9]{1,15})\s*\)"


def _indexes(value: Any) -> Any:
    match = re.fullmatch(_RANGE, value) if isinstance(value, str) else None
    if match:
        return {"start": int(match[1]), "stop": int(match[2])}
    if isinstance(value, dict | list | tuple | IndexRange) or value is None:
        return value
    raise ValueError(f"found {shown(value)}, expected a list of indexes or {{start: 1, stop: -1}}")


LayerIndexes = Annotated[
    Annotated[IndexRange, Tag("range")] | Annotated[tuple[Int, ...], Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, list | tuple) else "range"),
]
_Written = IndexRange | list[Int] | spelt(pattern=f"^{_RANGE}$") | None
AsIndexes = BeforeValidator(_indexes, json_schema_input_type=_Written)
"""Of such a field: `range(1, -1)` as a text is a range too."""
