"""The sigmoids that quantizers are built on, each with its slope, and the plain activations made of them.

QKeras switches between them with a global setting; here a quantizer's `internal_sigmoid` names one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import tensorflow as tf

from qsearch.quantizers.arithmetic.tensors import Tensor


@dataclass(frozen=True)
class Sigmoid:
    """clip(gain · x + 1/2, 0, 1), or the logistic function where `gain` is None."""

    gain: float | None

    def __call__(self, x: Tensor) -> Tensor:
        return tf.sigmoid(x) if self.gain is None else tf.clip_by_value(self.gain * x + 0.5, 0.0, 1.0)

    def slope(self, x: Tensor) -> Tensor:
        """The derivative; at both ends of the linear part it is that of the linear part."""
        if self.gain is None:
            y = tf.sigmoid(x)
            return y * (1.0 - y)
        line = self.gain * x + 0.5
        return tf.where(tf.logical_and(line >= 0.0, line <= 1.0), self.gain, 0.0)


SIGMOIDS: Mapping[str, Sigmoid] = {"hard": Sigmoid(0.5), "smooth": Sigmoid(0.1875), "real": Sigmoid(None)}


def tanh_of(sigmoid: Sigmoid, x: Tensor) -> tuple[Tensor, Tensor]:
    """(2σ(x) − 1, its slope)."""
    return 2.0 * sigmoid(x) - 1.0, 2.0 * sigmoid.slope(x)


def real_tanh(x: Tensor) -> tuple[Tensor, Tensor]:
    """(tanh(x), its slope)."""
    y = tf.tanh(x)
    return y, 1.0 - y * y
