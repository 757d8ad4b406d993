"""Binary and ternary quantizers, deterministic and stochastic (QKeras, Coelho et al. 2021)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from qsearch.quantizers.arithmetic.draws import Uniform, round_stochastically
from qsearch.quantizers.arithmetic.tensors import (
    EPSILON,
    Tensor,
    deviation,
    divide_or_zero,
    greatest,
    least_squares,
    nearest_power_of_two,
    sign,
)

DEFAULT_THRESHOLD = 0.33

Alpha = Any
"""None, a number, nested lists of numbers, 'auto' or 'auto_po2'."""


def is_automatic(alpha: Alpha) -> bool:
    """Whether the scale is computed from the tensor."""
    return isinstance(alpha, str)


def rounded_in_eighths(x: Tensor, axes: list[int], uniform: Uniform) -> Tensor:
    """x rounded stochastically to eighths of f = 2 · min(max|x|, 1)."""
    reach = 2.0 * tf.minimum(greatest(x, axes), 1.0)
    return reach * (round_stochastically(8.0 * divide_or_zero(x, reach), uniform) / 8.0)


def signs_with_random_zeros(x: Tensor, uniform: Uniform) -> Tensor:
    """The signs of x, at random where it is 0.

    After `rounded_in_eighths`, +1 has the probability (1 + clip(8x/f, −1, 1))/2.
    """
    return tf.where(tf.equal(x, 0.0), random_signs(tf.fill(tf.shape(x), 0.5), uniform), sign(x))


def random_signs(probability: Tensor, uniform: Uniform) -> Tensor:
    """+1 with a probability, else −1."""
    return tf.where(uniform(tf.shape(probability)) < probability, 1.0, -1.0)


def width_of(x: Tensor, alpha: Alpha, axes: list[int]) -> Tensor:
    """The deviation of the channel for an automatic scale, else 1."""
    return deviation(x, axes) + EPSILON if is_automatic(alpha) else 1.0


def ternary_by_threshold(x: Tensor, threshold: float | None) -> Tensor:
    """sign(x) where |x| >= threshold, else 0."""
    return tf.sign(x) * tf.cast(tf.abs(x) >= (DEFAULT_THRESHOLD if threshold is None else threshold), tf.float32)


def automatic_ternary(
    x: Tensor, axes: list[int], power_of_two: bool, unrolls: int, uniform: Uniform | None
) -> tuple[Tensor, Tensor]:
    """(levels, scale) from `unrolls` rounds of: levels by rounding x/scale, scale by least squares.

    A value becomes ±1 where |x| / scale > 1/2. With random numbers, |x| / scale is rounded in thirds.
    """
    scale = _first_scale(x, axes, power_of_two)
    levels = tf.zeros_like(x)
    for _ in range(unrolls):
        share = divide_or_zero(x, scale)
        rounded = tf.round(share) if uniform is None else round_stochastically(3.0 * share, uniform) / 3.0
        levels = tf.sign(x) * tf.cast(tf.logical_and(tf.abs(rounded) >= 0.5, scale > 0), tf.float32)
        scale = least_squares(x, levels, axes, power_of_two)
    return levels, scale


def stochastic_ternary_levels(
    x: Tensor,
    axes: list[int],
    alpha: Alpha,
    threshold: float | None,
    temperature: float,
    sigmoid: Callable[[Tensor], Tensor],
    unrolls: int,
    uniform: Uniform,
) -> tuple[Tensor, Tensor]:
    """(levels, scale): half the sum of two random signs with P(+1) = σ(T(x' ∓ θ)).

    With an automatic scale s, x' = x / (w + ε) and θ = s / (2(w + ε)), w the deviation of the channel;
    otherwise x' = x and θ is the threshold.
    """
    if isinstance(alpha, str):
        power_of_two = alpha == "auto_po2"
        scale = _first_scale(x, axes, power_of_two)
        for _ in range(unrolls):
            levels = tf.sign(x) * tf.cast(tf.abs(x) >= scale / 2.0, tf.float32)
            scale = least_squares(x, levels, axes, power_of_two)
        width = deviation(x, axes) + EPSILON
        x, theta = x / width, scale / (2.0 * width)
    else:
        scale = tf.constant(1.0 if alpha is None else alpha, tf.float32)
        theta = DEFAULT_THRESHOLD if threshold is None else threshold
    upper, lower = sigmoid(temperature * (x - theta)), sigmoid(temperature * (x + theta))
    return 0.5 * (random_signs(upper, uniform) + random_signs(lower, uniform)), scale


def _first_scale(x: Tensor, axes: list[int], power_of_two: bool) -> Tensor:
    scale = 2.0 * greatest(x, axes) / 3.0
    return nearest_power_of_two(scale) if power_of_two else scale
