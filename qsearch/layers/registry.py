"""The classes that model files may name."""

from __future__ import annotations

from qsearch import layers
from qsearch.layers.constraints import Clip, QInitializer
from qsearch.quantizers.classes import QUANTIZERS


def custom_objects() -> dict[str, type]:
    """By the names that Keras writes: our layers, constraints, initializers and quantizers."""
    own: dict[str, type] = {name: getattr(layers, name) for name in layers.__all__}
    return {**own, "Clip": Clip, "QInitializer": QInitializer, **QUANTIZERS}
