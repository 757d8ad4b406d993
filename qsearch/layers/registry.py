"""The classes that model files may name."""

from __future__ import annotations

from qsearch.layers.activation import QActivation
from qsearch.layers.constraints import Clip, QInitializer
from qsearch.layers.normalization import QBatchNormalization
from qsearch.layers.weights import QConv2D, QDense, QDepthwiseConv2D
from qsearch.quantizers.classes import QUANTIZERS


def custom_objects() -> dict[str, type]:
    """By the names that Keras writes: our layers, constraints, initializers and quantizers."""
    own = (QActivation, QBatchNormalization, QConv2D, QDense, QDepthwiseConv2D, Clip, QInitializer)
    return {**{kind.__name__: kind for kind in own}, **QUANTIZERS}
