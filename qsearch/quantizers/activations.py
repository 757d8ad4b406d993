"""quantized_relu, quantized_tanh, quantized_sigmoid, quantized_ulaw, and the plain activations."""

from __future__ import annotations

import keras
import numpy
import tensorflow as tf

from qsearch.quantizers.arithmetic import activations as functions
from qsearch.quantizers.arithmetic.draws import rounding_of
from qsearch.quantizers.arithmetic.sigmoids import SIGMOIDS, Sigmoid, real_tanh, tanh_of
from qsearch.quantizers.arithmetic.tensors import (
    Rounding,
    Tensor,
    compiled_by_xla,
    straight_through,
    with_noise_factor,
)
from qsearch.quantizers.base import Noisy, Quantizer
from qsearch.quantizers.ranges import levels

_register = keras.saving.register_keras_serializable(package="qsearch")


@_register
class quantized_relu(Noisy):
    """Quantized relu. Values: `relu_levels`. Gradient: 1 on 0 < x <= the greatest level, the slope below zero.

    `relu_upper_bound` bounds the values with `is_quantized_clip=False` only, as in QKeras; the gradient then
    ends there. `enable_fast_inference` changes nothing: the plain relu always takes one kernel.
    """

    def __call__(self, x: Tensor, training: bool | None = None) -> Tensor:
        bits, integer, slope = self.argument("bits"), self.argument("integer"), float(self.argument("negative_slope"))
        clipped, upper = bool(self.argument("is_quantized_clip")), self.argument("relu_upper_bound")
        uniform, noise = self._uniform(training), self.noise()
        if uniform is None and self._is_plain():
            return functions.fused_relu(x, bits, integer)
        bound = functions.relu_top(bits, integer, slope) if clipped else upper
        sigmoid = SIGMOIDS[self.argument("internal_sigmoid")] if self.argument("use_sigmoid") else None
        rounded = rounding_of(self.argument("rounding"), uniform)
        steps, reach = 2.0 ** (bits - (slope != 0)), 2.0**integer

        def values(v: Tensor) -> Tensor:
            levels = functions.relu_levels(v, steps, reach, slope, sigmoid, rounded)
            if not clipped and upper is not None:
                levels = tf.minimum(levels, upper)
            return with_noise_factor(levels, functions.leaky(v, slope, bound), noise)

        return straight_through(x, values, self.surrogate_slope(lambda v: functions.leaky_slope(v, slope, bound)))

    def _is_plain(self) -> bool:
        """Whether one kernel computes it."""
        options = ("negative_slope", "use_sigmoid")
        return (
            not self.can_change
            and not any(self.argument(name) for name in options)
            and bool(self.argument("is_quantized_clip") and self.argument("use_ste"))
            and self.argument("qnoise_factor") == 1.0
            and self.argument("rounding") != "half_away"
            and functions.can_fuse(self.argument("bits"), self.argument("integer"))
            and not compiled_by_xla()
        )

    def range(self) -> numpy.ndarray:
        """Every level, in the order of two's complement codes (0 ... greatest, lowest ... below 0).

        Raises:
            ConfigError: too many to list.
        """
        step = self.step(tf.zeros(()))
        assert step is not None
        slope = float(self.argument("negative_slope")) or 1.0
        return levels(self.spec, step, max(self.max(), -self.min() / slope), lambda x: self(x, training=False))

    def step(self, x: Tensor) -> Tensor | None:
        bits = self.argument("bits") - bool(self.argument("negative_slope"))
        return tf.constant(2.0 ** (self.argument("integer") - bits), tf.float32)

    def max(self) -> float:
        whole = self.argument("bits") > (1 if self.argument("negative_slope") else 0)
        return max(1.0, 2.0 ** int(self.argument("integer"))) if whole else 1.0

    def min(self) -> float:
        slope = self.argument("negative_slope")
        if not slope:
            return 0.0
        return min(0.0, -slope * 2.0 ** self.argument("integer")) if self.argument("bits") > 1 else -1.0


class _Saturating(Quantizer):
    """tanh and sigmoid: y = clip(round(p · m)/m), gradient p' where the rounded value was not clipped."""

    def _steps(self) -> float:
        raise NotImplementedError

    def _share(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(p, p')."""
        raise NotImplementedError

    def _internal(self) -> Sigmoid:
        return SIGMOIDS[self.argument("internal_sigmoid")]

    def _rounded(self, training: bool | None) -> Rounding:
        return rounding_of(self.argument("rounding"), self._uniform(training))

    def __call__(self, x: Tensor, training: bool | None = None) -> Tensor:
        steps, lowest, rounded = self._steps(), self.min(), self._rounded(training)

        def values(v: Tensor) -> Tensor:
            return functions.saturating_levels(self._share(v)[0], steps, lowest, rounded)[0]

        def slope(v: Tensor) -> Tensor:
            share, own_slope = self._share(v)
            return own_slope * functions.saturating_levels(share, steps, lowest, self._rounded(False))[1]

        return straight_through(x, values, slope)

    def step(self, x: Tensor) -> Tensor | None:
        return tf.constant(1.0 / self._steps(), tf.float32)

    def max(self) -> float:
        return 1.0 - 1.0 / self._steps()


@_register
class quantized_tanh(_Saturating):
    """tanh, or 2σ̂(x) − 1 with the internal sigmoid, on steps of 2^(1 − bits)."""

    def _steps(self) -> float:
        return 2.0 ** (int(self.argument("bits")) - 1)

    def _share(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return real_tanh(x) if self.argument("use_real_tanh") else tanh_of(self._internal(), x)

    def min(self) -> float:
        return -1.0 + float(bool(self.argument("symmetric"))) / self._steps()


@_register
class quantized_sigmoid(_Saturating):
    """The logistic function, or the internal sigmoid, on steps of 2^−bits."""

    def _steps(self) -> float:
        return 2.0 ** int(self.argument("bits"))

    def _share(self, x: Tensor) -> tuple[Tensor, Tensor]:
        sigmoid = SIGMOIDS["real"] if self.argument("use_real_sigmoid") else self._internal()
        return sigmoid(x), sigmoid.slope(x)

    def min(self) -> float:
        return float(bool(self.argument("symmetric"))) / self._steps()


@_register
class quantized_ulaw(Quantizer):
    """M · clip(µlaw(r), −1 + symmetric/m, 1 − 1/m), r = 2 · round(σ̂(x/M) · m)/m − 1, m = 2^(bits − 1), M = 2^integer.

    Rounding comes before the companding, so levels are few and unevenly spaced. Gradient: the curve's own, with
    rounding passed through; 0 where r = 0.
    """

    def _curve(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(µlaw(r), its slope in x/M)."""
        steps, sigmoid = self._steps(), SIGMOIDS[self.argument("internal_sigmoid")]
        rounded = rounding_of(self.argument("rounding"), None)
        share = x / 2.0 ** self.argument("integer")
        curve, slope = functions.companded(2.0 * (rounded(sigmoid(share) * steps) / steps) - 1.0, self.argument("u"))
        return curve, slope * 2.0 * sigmoid.slope(share)

    def __call__(self, x: Tensor, training: bool | None = None) -> Tensor:
        lowest, highest = self._range()

        def values(v: Tensor) -> Tensor:
            return 2.0 ** self.argument("integer") * tf.clip_by_value(self._curve(v)[0], lowest, highest)

        def slope(v: Tensor) -> Tensor:
            curve, steepness = self._curve(v)
            inside = tf.logical_and(curve >= lowest, curve <= highest)
            return steepness * tf.cast(inside, tf.float32)

        return straight_through(x, values, slope)

    def _steps(self) -> float:
        return 2.0 ** (int(self.argument("bits")) - 1)

    def _range(self) -> tuple[float, float]:
        return -1.0 + float(bool(self.argument("symmetric"))) / self._steps(), 1.0 - 1.0 / self._steps()

    def max(self) -> float:
        return 1.0 if self.argument("bits") == 1 else max(1.0, 2.0 ** int(self.argument("integer")))

    def min(self) -> float:
        return -self.max()


class _Plain(Quantizer):
    """A piecewise linear activation, computed without a grid."""

    sigmoid: Sigmoid
    signed: bool
    rounds = False

    def __call__(self, x: Tensor, training: bool | None = None) -> Tensor:
        def values(v: Tensor) -> Tensor:
            share = self.sigmoid(v)
            share = tf.round(share) if self.rounds else share
            return 2.0 * share - 1.0 if self.signed else share

        return straight_through(x, values, lambda v: (2.0 if self.signed else 1.0) * self.sigmoid.slope(v))

    def step(self, x: Tensor) -> Tensor | None:
        return tf.ones(()) if self.rounds else None

    def max(self) -> float:
        return 1.0

    def min(self) -> float:
        return -1.0 if self.signed else 0.0


@_register
class hard_sigmoid(_Plain):
    """clip(x/2 + 1/2, 0, 1); Keras' own has another slope."""

    sigmoid, signed = SIGMOIDS["hard"], False


@_register
class hard_tanh(_Plain):
    """clip(x, −1, 1)."""

    sigmoid, signed = SIGMOIDS["hard"], True


@_register
class smooth_sigmoid(_Plain):
    """clip(3x/16 + 1/2, 0, 1)."""

    sigmoid, signed = SIGMOIDS["smooth"], False


@_register
class smooth_tanh(_Plain):
    """clip(3x/8, −1, 1)."""

    sigmoid, signed = SIGMOIDS["smooth"], True


@_register
class binary_sigmoid(_Plain):
    """round(hard_sigmoid(x)), with the gradient of the hard sigmoid; 0 at x = 0."""

    sigmoid, signed, rounds = SIGMOIDS["hard"], False, True


@_register
class binary_tanh(_Plain):
    """2 · binary_sigmoid(x) − 1, −1 at x = 0."""

    sigmoid, signed, rounds = SIGMOIDS["hard"], True, True
