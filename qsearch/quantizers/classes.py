"""Every quantizer class, by its name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from qsearch.quantizers.base import Quantizer
from qsearch.quantizers.table import QUANTIZERS

CLASSES: Mapping[str, type[Quantizer]] = {
    name: getattr(import_module(f"qsearch.quantizers.{entry.module}"), name) for name, entry in QUANTIZERS.items()
}
