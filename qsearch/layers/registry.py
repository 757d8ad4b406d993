"""The classes that model files may name."""

from __future__ import annotations

from typing import Any

from qsearch import layers
from qsearch.layers.constraints import Clip, QInitializer
from qsearch.layers.functions import keras2_hard_sigmoid
from qsearch.quantizers.classes import CLASSES


def custom_objects() -> dict[str, Any]:
    """By the names that Keras writes: our layers, constraints, initializers and quantizers."""
    own: dict[str, Any] = {name: getattr(layers, name) for name in layers.__all__}
    helpers = {"Clip": Clip, "QInitializer": QInitializer, "keras2_hard_sigmoid": keras2_hard_sigmoid}
    return {**own, **helpers, **CLASSES}
