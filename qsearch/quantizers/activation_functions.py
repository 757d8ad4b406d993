"""quantized_relu, quantized_tanh, quantized_sigmoid (QKeras, Coelho et al. 2021)."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from qsearch.quantizers.tensors import Tensor, hard_sigmoid, hard_sigmoid_slope, round_stochastically


def _rounding(stochastic: bool) -> Callable[[Tensor], Tensor]:
    return round_stochastically if stochastic else tf.round


def relu_top(bits: int, integer: int, slope: float) -> float:
    """The greatest level: M − M/m, with m = 2^bits, or 2^(bits − 1) where a slope needs the sign bit."""
    steps = 2.0 ** (bits - (slope != 0))
    return 2.0**integer - 2.0**integer / steps


def relu_levels(
    x: Tensor, bits: int, integer: int, slope: float, use_sigmoid: bool, bound: float | None, stochastic: bool
) -> Tensor:
    """M · clip(round(x · m/M)/m, 0, 1 − 1/m), plus the negative part with a slope.

    With `use_sigmoid`, x/M goes through 2σ̂(x/M) − 1, σ̂ the hard sigmoid, which doubles the step.
    """
    steps, reach = 2.0 ** (bits - (slope != 0)), 2.0**integer
    rounded = _rounding(stochastic)
    if use_sigmoid:
        share = hard_sigmoid(x / reach) * steps
        positive = 2.0 * rounded(share) - steps
        negative = 2.0 * rounded(slope * share) / (slope * steps) - 1.0 if slope else None
    else:
        share = x * (steps / reach)
        positive = rounded(share)
        negative = rounded(slope * share) / (slope * steps) if slope else None
    # Steps and reach are powers of two, so the order of these products changes no bit.
    levels = tf.clip_by_value(positive, 0.0, steps - 1.0) * (reach / steps)
    if negative is not None:
        levels += reach * slope * tf.clip_by_value(negative, -1.0, 0.0)
    return levels if bound is None else tf.minimum(levels, bound)


def leaky(x: Tensor, slope: float, bound: float | None) -> Tensor:
    """x above zero, up to a bound; slope · x below."""
    y = tf.nn.relu(x) if not slope else tf.where(x > 0, x, slope * x)
    return y if bound is None else tf.minimum(y, bound)


def leaky_slope(x: Tensor, slope: float, bound: float | None) -> Tensor:
    """1 on 0 < x <= bound, `slope` for x <= 0, 0 above the bound."""
    positive = x > 0
    inside = positive if bound is None else tf.logical_and(positive, x <= bound)
    passed = tf.cast(inside, tf.float32)
    return passed if not slope else tf.where(positive, passed, slope)


def saturating_levels(share: Tensor, steps: float, lowest: float, stochastic: bool) -> tuple[Tensor, Tensor]:
    """(clip(r, lowest, 1 − 1/m), whether r was inside), r = round(share · m)/m."""
    rounded = _rounding(stochastic)(share * steps) / steps
    highest = 1.0 - 1.0 / steps
    inside = tf.cast(tf.logical_and(rounded >= lowest, rounded <= highest), tf.float32)
    return tf.clip_by_value(rounded, lowest, highest), inside


def tanh_share(x: Tensor, real: bool) -> tuple[Tensor, Tensor]:
    """(tanh(x) or 2σ̂(x) − 1, its slope)."""
    if real:
        y = tf.tanh(x)
        return y, 1.0 - y * y
    return 2.0 * hard_sigmoid(x) - 1.0, 2.0 * hard_sigmoid_slope(x)


def sigmoid_share(x: Tensor, real: bool) -> tuple[Tensor, Tensor]:
    """(logistic or hard sigmoid, its slope)."""
    if real:
        y = tf.sigmoid(x)
        return y, y * (1.0 - y)
    return hard_sigmoid(x), hard_sigmoid_slope(x)
