"""What quantizers with a scale have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy
import tensorflow as tf

from qsearch.quantizers.arithmetic.scales import Sharing
from qsearch.quantizers.arithmetic.tensors import Tensor
from qsearch.quantizers.base import Quantizer


class SelfScaling(Quantizer):
    """A quantizer whose scale a kernel computes from its weights."""

    def for_weights(self) -> Quantizer:
        return self._with(alpha="auto_po2") if self.argument("alpha") is None else self

    def scale(self, x: Tensor) -> Tensor:
        alpha = self.argument("alpha")
        if isinstance(alpha, str):
            return self._automatic_scale(tf.cast(x, tf.float32), alpha == "auto_po2")
        return constant_scale(alpha)

    @abstractmethod
    def _automatic_scale(self, x: Tensor, power_of_two: bool) -> Tensor:
        """The scale that x asks for, dimensions kept."""

    def _reach(self) -> float:
        alpha = self.argument("alpha")
        return 1.0 if alpha is None or isinstance(alpha, str) else max(1.0, float(numpy.max(alpha)))


def constant_scale(alpha: Any) -> Tensor:
    """A given alpha as a tensor; 1 where it is None."""
    return tf.constant(1.0 if alpha is None else alpha, tf.float32)


def sharing_of(quantizer: Quantizer) -> Sharing:
    """Which values share a scale, from the quantizer's arguments."""
    return Sharing(
        quantizer.argument("scale_axis"),
        quantizer.argument("elements_per_scale"),
        quantizer.argument("min_po2_exponent"),
        quantizer.argument("max_po2_exponent"),
    )
