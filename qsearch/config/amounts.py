"""Amounts as people write them: bits, bytes, operations. A bare number is in the key's own unit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from qsearch.config.fields import Above0, spelt
from qsearch.errors import did_you_mean, shown

_THOUSANDS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
_PREFIXES = {**_THOUSANDS, **_BINARY}
_STORED: Mapping[str, int] = {
    **{f"{prefix}B": 8 * factor for prefix, factor in _PREFIXES.items()},
    **{f"{prefix}bit": factor for prefix, factor in _PREFIXES.items()},
}
"""Bits of each unit. A lone `b` is left out, as some read it as bits and some as bytes."""
_COUNTS: Mapping[str, int] = _THOUSANDS
_AMOUNT = r"\s*([0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+)\s*([A-Za-z]*)\s*"


def stored_bits(value: Any) -> float:
    """Bits of a number of them, or of a text such as "64kB" or "1.5Mbit".

    Raises:
        ValueError: it is neither, or not above 0.
    """
    return _read(value, _STORED, 1, "bits", "'100kbit' or '12.5kB'")


def stored_bytes(value: Any) -> float:
    """Bytes of a number of them, or of a text such as "64kB" or "1.5Mbit".

    Raises:
        ValueError: it is neither, or not above 0.
    """
    return _read(value, _STORED, 8, "bytes", "'64kB' or '62.5KiB'")


def operations(value: Any) -> float:
    """Of a number, or of a text such as "2.5M".

    Raises:
        ValueError: it is neither, or not above 0.
    """
    return _read(value, _COUNTS, 1, "operations", "'5k' or '2.5M'")


def _read(value: Any, units: Mapping[str, int], own: int, what: str, example: str) -> float:
    amount = value
    if isinstance(value, str):
        match = re.fullmatch(_AMOUNT, value)
        if match is None:
            amount = None
        elif match[2] not in units or (not match[2] and units is _STORED):
            raise ValueError(_wrong_unit(value, match[2], units))
        else:
            amount = float(match[1]) * units[match[2]] / own
    if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 < amount < float("inf"):
        raise ValueError(f"found {shown(value)}, expected more than 0: a number of {what}, or a text such as {example}")
    return float(amount)


def _wrong_unit(text: str, unit: str, units: Mapping[str, int]) -> str:
    allowed = ", ".join(name for name in units if name)
    if units is not _STORED:
        near = did_you_mean(unit, [name for name in units if name])
        return f"found {shown(text)}, with the unit {shown(unit)}, allowed: {allowed}{near}"
    if not unit:
        return f"found {shown(text)}, a text without a unit; write the number alone, or one of: {allowed}"
    if unit in ("KB", "kib", "KIB"):
        near = "; write kB for 1,000 bytes, or KiB for 1,024"
    elif unit.endswith("b"):
        near = f"; write {unit[:-1].replace('K', 'k')}bit for bits, or {unit[:-1].replace('K', 'k')}B for bytes"
    else:
        alike = {name.lower(): name for name in units}
        close = alike.get(unit.lower())
        near = f"; did you mean {close!r}?" if close else did_you_mean(unit, units)
    return f"found {shown(text)}, with the unit {shown(unit)}, allowed: {allowed}{near}"


def _field(read: Callable[[Any], float], units: Mapping[str, int]) -> Any:
    names = "|".join(name for name in units if name)
    optional = "?" if units is _COUNTS else ""
    written = r"^\s*([0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?|\.[0-9]+)\s*(" + names + ")" + optional + r"\s*$"
    return BeforeValidator(read, json_schema_input_type=Above0 | spelt(pattern=written))


StoredBits = Annotated[float, _field(stored_bits, _STORED)]
StoredBytes = Annotated[float, _field(stored_bytes, _STORED)]
Operations = Annotated[float, _field(operations, _COUNTS)]
