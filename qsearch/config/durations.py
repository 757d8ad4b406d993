"""How long something may take: read as people write it, written as they read it."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

from qsearch.config import bounds
from qsearch.config.fields import Above0, spelt
from qsearch.errors import did_you_mean, shown

_SECONDS = {"d": 86_400.0, "h": 3_600.0, "min": 60.0, "s": 1.0}
"""Of each unit, the longest first."""
_OTHER_NAMES = {
    "sec": "s", "secs": "s", "second": "s", "seconds": "s", "m": "min", "mins": "min", "minute": "min",
    "minutes": "min", "hr": "h", "hrs": "h", "hour": "h", "hours": "h", "day": "d", "days": "d",
}  # fmt: skip
"""What people write for a unit, for the nearest fix."""
_PART = r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([A-Za-z]+)\s*"
_EXPECTED = "expected a time above 0: a number of seconds, or a text such as 90s, 10min, 2h, 1h30min or 1.5h"


def seconds_of(value: Any) -> float:
    """Seconds of a number, or of a text such as "1h30min".

    Raises:
        ValueError: it is neither, or not above 0.
    """
    seconds = _of_text(value) if isinstance(value, str) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= bounds.COUNT:
        above = isinstance(seconds, int | float) and seconds > bounds.COUNT
        most = f"; at most {bounds.COUNT:,} seconds" if above else ""
        raise ValueError(f"found {shown(value)}, {_EXPECTED}{most}")
    return float(seconds)


def _of_text(text: str) -> float | None:
    """None where it is no time."""
    parts = re.findall(_PART, text) if re.fullmatch(rf"\s*(?:{_PART})+", text) else []
    for _, unit in parts:
        if unit not in _SECONDS:
            meant = _OTHER_NAMES.get(unit.lower(), unit.lower())
            near = f"; did you mean {meant!r}?" if meant in _SECONDS else did_you_mean(unit, _SECONDS)
            raise ValueError(f"found {shown(text)}, with the unit {shown(unit)}, allowed: d, h, min, s{near}")
    units = [unit for _, unit in parts]
    if units != [unit for unit in _SECONDS if unit in units]:  # one of them twice, or a short one before a long one
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts) if parts else None


Duration = Annotated[
    float,
    BeforeValidator(seconds_of, json_schema_input_type=Above0 | spelt(pattern=rf"^\s*(?:{_PART})+$")),
]
"""Seconds."""


def in_words(seconds: float) -> str:
    """`10 min` for 600, `1 h 30 min` for 5400, `0.5 s` for 0.5."""
    words: list[str] = []
    rest = seconds
    for unit, length in _SECONDS.items():
        if unit == "s":
            words += [f"{rest:.6g} s"] if rest or not words else []
        elif rest >= length:
            whole, rest = divmod(rest, length)
            words.append(f"{whole:.0f} {unit}")
    return " ".join(words)
