"""What a number may be: quantizer strings, number formats, the quantizers themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qsearch.quantizers.signatures import SIGNATURES
from qsearch.quantizers.spec import QuantizerSpec, parse

if TYPE_CHECKING:
    from qsearch.quantizers.base import Quantizer

__all__ = ["SIGNATURES", "QuantizerSpec", "get", "parse"]


def get(identifier: Any) -> Quantizer | None:
    """The quantizer named by `identifier`; see `qsearch.quantizers.lookup.get`."""
    from qsearch.quantizers.lookup import get as lookup  # imports Keras: only when a quantizer is really needed

    return lookup(identifier)
