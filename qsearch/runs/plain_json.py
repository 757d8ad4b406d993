"""JSON has no NaN: a figure that is no number is null."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def as_json(data: Any, indent: int | None = None) -> str:
    """Data as JSON; NaN and infinities become null."""
    return json.dumps(_without_nan(data), indent=indent, allow_nan=False)


def _without_nan(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _without_nan(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_without_nan(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
