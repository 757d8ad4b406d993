"""What a number may be: quantizer strings, number formats, the quantizers themselves.

    from qsearch.quantizers import quantized_bits
    quantized_bits(4, 0, alpha=1.0)(tensor)

Keras and TensorFlow are imported with the first quantizer. `__init__.pyi` shows editors the parameters of each
(`scripts/stubs.py` writes it from the table).
"""

from importlib import import_module
from typing import Any

from qsearch.quantizers.spec import QuantizerSpec, parse
from qsearch.quantizers.table import QUANTIZERS, SIGNATURES

__all__ = ["SIGNATURES", "QuantizerSpec", "get", "parse", *QUANTIZERS]


def get(identifier: Any) -> Any:
    """The quantizer named by `identifier`; see `qsearch.quantizers.lookup.get`."""
    from qsearch.quantizers.lookup import get as lookup  # imports Keras: only when a quantizer is really needed

    return lookup(identifier)


def __getattr__(name: str) -> Any:
    if name in QUANTIZERS:
        return getattr(import_module(f"qsearch.quantizers.{QUANTIZERS[name].module}"), name)
    raise AttributeError(f"module 'qsearch.quantizers' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
