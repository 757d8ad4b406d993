"""Keras layers that use quantizers. Keras is imported with the first of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qsearch.layers.activation import QActivation as QActivation
    from qsearch.layers.adaptive import QAdaptiveActivation as QAdaptiveActivation
    from qsearch.layers.cells import QGRUCell as QGRUCell
    from qsearch.layers.cells import QLSTMCell as QLSTMCell
    from qsearch.layers.cells import QSimpleRNNCell as QSimpleRNNCell
    from qsearch.layers.folded import QConv2DBatchnorm as QConv2DBatchnorm
    from qsearch.layers.folded import QDenseBatchnorm as QDenseBatchnorm
    from qsearch.layers.folded import QDepthwiseConv2DBatchnorm as QDepthwiseConv2DBatchnorm
    from qsearch.layers.normalization import QBatchNormalization as QBatchNormalization
    from qsearch.layers.pooling import QAveragePooling2D as QAveragePooling2D
    from qsearch.layers.pooling import QGlobalAveragePooling2D as QGlobalAveragePooling2D
    from qsearch.layers.recurrent import QGRU as QGRU
    from qsearch.layers.recurrent import QLSTM as QLSTM
    from qsearch.layers.recurrent import QBidirectional as QBidirectional
    from qsearch.layers.recurrent import QSimpleRNN as QSimpleRNN
    from qsearch.layers.scale_shift import QScaleShift as QScaleShift
    from qsearch.layers.separable import QSeparableConv1D as QSeparableConv1D
    from qsearch.layers.separable import QSeparableConv2D as QSeparableConv2D
    from qsearch.layers.transposed import QDepthwiseConv2DTranspose as QDepthwiseConv2DTranspose
    from qsearch.layers.transposed import QSeparableConv2DTranspose as QSeparableConv2DTranspose
    from qsearch.layers.weights import QConv1D as QConv1D
    from qsearch.layers.weights import QConv2D as QConv2D
    from qsearch.layers.weights import QConv2DTranspose as QConv2DTranspose
    from qsearch.layers.weights import QDense as QDense
    from qsearch.layers.weights import QDepthwiseConv2D as QDepthwiseConv2D

_MODULES = {
    "QActivation": "activation",
    "QAdaptiveActivation": "adaptive",
    "QAveragePooling2D": "pooling",
    "QBatchNormalization": "normalization",
    "QBidirectional": "recurrent",
    "QConv1D": "weights",
    "QConv2D": "weights",
    "QConv2DBatchnorm": "folded",
    "QConv2DTranspose": "weights",
    "QDense": "weights",
    "QDenseBatchnorm": "folded",
    "QDepthwiseConv2D": "weights",
    "QDepthwiseConv2DBatchnorm": "folded",
    "QDepthwiseConv2DTranspose": "transposed",
    "QGRU": "recurrent",
    "QGRUCell": "cells",
    "QGlobalAveragePooling2D": "pooling",
    "QLSTM": "recurrent",
    "QLSTMCell": "cells",
    "QScaleShift": "scale_shift",
    "QSeparableConv1D": "separable",
    "QSeparableConv2D": "separable",
    "QSeparableConv2DTranspose": "transposed",
    "QSimpleRNN": "recurrent",
    "QSimpleRNNCell": "cells",
}

__all__ = [*_MODULES]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"qsearch.layers.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'qsearch.layers' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
