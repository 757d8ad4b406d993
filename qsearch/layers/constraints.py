"""What keeps float weights where their quantizer can follow."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from qsearch.quantizers import get
from qsearch.quantizers.base import Quantizer

_register = keras.saving.register_keras_serializable(package="qsearch")


@_register
class Clip(keras.constraints.Constraint):  # type: ignore[misc]
    """clip(w, min_value, max_value) after each update of the optimizer; the forward pass does not clip."""

    def __init__(self, min_value: float, max_value: float) -> None:
        self.min_value = float(min_value)
        self.max_value = float(max_value)

    def __call__(self, w: Any) -> Any:
        return ops.clip(w, self.min_value, self.max_value)

    def get_config(self) -> dict[str, float]:
        return {"min_value": self.min_value, "max_value": self.max_value}


def clip_for(quantizer: Quantizer) -> Clip:
    """±max(1, the quantizer's greatest level)."""
    bound = max(1.0, quantizer.max())
    return Clip(-bound, bound)


@_register
class QInitializer(keras.initializers.Initializer):  # type: ignore[misc]
    """Initial weights that a coarse quantizer does not turn into zeros.

    Draws from `initializer`; where half a step of the quantizer, max() · 2^−bits, exceeds the spread of the
    draw, the variance of a VarianceScaling initializer is enlarged so that the quantized weights fit the
    draw in the least-squares sense, and it is drawn again. Clipped to ±max().
    """

    def __init__(self, initializer: Any, use_scale: bool, quantizer: Any) -> None:
        self.initializer = keras.initializers.get(initializer)
        self.use_scale = use_scale
        self.quantizer = get(quantizer)

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        drawn = self.initializer(shape, dtype=dtype)
        if self.quantizer is None:
            return drawn
        greatest = self.quantizer.max()
        step = greatest * 2.0**-self.quantizer.number_format.bits
        adjustable = self.use_scale and isinstance(self.initializer, keras.initializers.VarianceScaling)
        if adjustable and step > float(ops.std(drawn)):
            drawn = self._wider(drawn, greatest)(shape, dtype=dtype)
        return ops.clip(drawn, -greatest, greatest)

    def _wider(self, drawn: Any, greatest: float) -> Any:
        assert self.quantizer is not None
        levels = self.quantizer(drawn)
        overlap = float(ops.sum(levels * drawn))
        if overlap == 0.0:
            factor = greatest / math.sqrt(float(ops.mean(ops.square(drawn))))
        else:
            factor = float(ops.sum(levels * levels)) / overlap
        inner = self.initializer
        return keras.initializers.VarianceScaling(
            inner.scale * max(factor, 1.0), inner.mode, inner.distribution, inner.seed
        )

    def get_config(self) -> dict[str, Any]:
        return {
            "initializer": keras.initializers.serialize(self.initializer),
            "use_scale": self.use_scale,
            "quantizer": None if self.quantizer is None else str(self.quantizer),
        }


def initializer_for(initializer: Any, quantizer: Quantizer | None) -> Any:
    """`initializer` wrapped for a quantizer with a fixed scale; one that scales itself needs no help."""
    made = keras.initializers.get(initializer)
    plain = isinstance(made, keras.initializers.Zeros | keras.initializers.Ones | QInitializer)
    if quantizer is None or plain or isinstance(quantizer.spec.arguments.get("alpha"), str):
        return made
    return QInitializer(made, True, quantizer)
