"""Keras layers that use quantizers. Keras is imported with the first of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qsearch.layers.activation import QActivation as QActivation
    from qsearch.layers.normalization import QBatchNormalization as QBatchNormalization
    from qsearch.layers.weights import QConv2D as QConv2D
    from qsearch.layers.weights import QDense as QDense
    from qsearch.layers.weights import QDepthwiseConv2D as QDepthwiseConv2D

_MODULES = {
    "QActivation": "activation",
    "QBatchNormalization": "normalization",
    "QConv2D": "weights",
    "QDense": "weights",
    "QDepthwiseConv2D": "weights",
}

__all__ = ["QActivation", "QBatchNormalization", "QConv2D", "QDense", "QDepthwiseConv2D"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"qsearch.layers.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'qsearch.layers' has no attribute {name!r}")
