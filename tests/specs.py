"""Quantizers by their texts."""

from __future__ import annotations

from qsearch.quantizers.spec import QuantizerSpec, parse


def specs(*texts: str) -> tuple[QuantizerSpec, ...]:
    """Each text as the quantizer that it states."""
    return tuple(map(parse, texts))
