"""quantized_bits: fixed point, with a given or an automatic scale (QKeras, Coelho et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from qsearch.quantizers.tensors import (
    Tensor,
    divide_or_zero,
    greatest,
    least_squares,
    nearest_power_of_two,
    reduced_axes,
    round_stochastically,
    sign,
)

SCALE_UPDATES = 5
"""Least-squares steps of the power-of-two scale."""


def fixed_point(
    x: Tensor, bits: int, integer: int, symmetric: bool, keep_negative: bool, alpha: Tensor, stochastic: bool
) -> Tensor:
    """alpha · M · clip(round(x · m/M), k · (symmetric − m), m − 1) / m.

    k = keep_negative, m = 2^(bits − k), M = 2^integer. The grid is chosen on x and multiplied by alpha
    afterwards. One signed bit gives alpha · (+1 or −1).
    """
    fraction = bits - int(keep_negative)
    if fraction == 0:
        return alpha * sign(x)
    steps, reach = 2.0**fraction, 2.0**integer
    lowest = float(symmetric) - steps if keep_negative else 0.0
    scaled = x * (steps / reach)
    rounded = round_stochastically(scaled) if stochastic else tf.round(scaled)
    return alpha * (tf.clip_by_value(rounded, lowest, steps - 1.0) * (reach / steps))


def automatic_step(
    x: Tensor, bits: int, integer: int, power_of_two: bool, scale_axis: int | Sequence[int] | None
) -> Tensor:
    """The step s of an automatic scale, in units of M = 2^integer, one per channel.

    Starts from 2 · max|x/M| / L, L the number of steps; a power of two is then refined by five
    least-squares updates.
    """
    axes = reduced_axes(x, scale_axis)
    v = x / 2.0**integer
    half = 2.0 ** (bits - 1) - 1.0
    if bits == 1:
        # No magnitude levels: the levels are ±1 and the scale is the least-squares one.
        return least_squares(v, sign(v), axes, power_of_two)
    step = greatest(v, axes) / half
    if power_of_two:
        step = nearest_power_of_two(step)
        for _ in range(SCALE_UPDATES):
            step = least_squares(v, _levels(v, step, half), axes, power_of_two=True)
    return step


def automatic_fixed_point(
    x: Tensor, bits: int, integer: int, power_of_two: bool, scale_axis: int | Sequence[int] | None
) -> Tensor:
    """step · levels, symmetric; ties round away from zero."""
    reach = 2.0**integer
    step = automatic_step(x, bits, integer, power_of_two, scale_axis)
    if bits == 1:
        return step * reach * sign(x)
    return step * (reach * _levels(x / reach, step, 2.0 ** (bits - 1) - 1.0))


def _levels(v: Tensor, step: Tensor, half: float) -> Tensor:
    return tf.sign(v) * tf.minimum(tf.floor(divide_or_zero(tf.abs(v), step) + 0.5), half)
