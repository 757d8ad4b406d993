"""Fixed point: grids with a given or an automatic scale (QKeras, Coelho et al. 2021).

A grid is a few numbers, so that they can be tensors: then one traced graph serves many quantizers.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from qsearch.quantizers.arithmetic.scales import Sharing
from qsearch.quantizers.arithmetic.tensors import (
    EPSILON,
    Number,
    Rounding,
    Tensor,
    divide_or_zero,
    greatest,
    nearest_power_of_two,
    reduced_axes,
    sign,
)

SCALE_UPDATES = 5
"""Least-squares steps of the power-of-two scale."""


class Grid(NamedTuple):
    """The levels step · code, lowest <= code <= highest.

    `inverse` is 1/step: for powers of two the product is exact, and cheaper than a division.
    """

    step: Number
    inverse: Number
    lowest: Number
    highest: Number


def fixed_grid(bits: int, integer: int, symmetric: bool, keep_negative: bool) -> Grid:
    """Codes k · (symmetric − m) to m − 1 in steps of M/m; k = keep_negative, m = 2^(bits − k), M = 2^integer."""
    steps = 2.0 ** (bits - keep_negative)
    step = 2.0**integer / steps
    return Grid(step, 1.0 / step, float(symmetric) - steps if keep_negative else 0.0, steps - 1.0)


def fixed_point(x: Tensor, grid: Grid, rounded: Rounding) -> Tensor:
    """step · clip(round(x / step), lowest, highest)."""
    return tf.clip_by_value(rounded(x * grid.inverse), grid.lowest, grid.highest) * grid.step


def automatic_step(x: Tensor, bits: int, integer: int, power_of_two: bool, sharing: Sharing) -> Tensor:
    """The step s of an automatic scale, in units of M = 2^integer.

    Starts from 2 · max|x/M| / L, L the number of steps; a power of two is then refined by five
    least-squares updates.
    """
    v = x / 2.0**integer
    half = 2.0 ** (bits - 1) - 1.0
    if bits == 1:
        # No magnitude levels: the levels are ±1 and the scale is the least-squares one.
        return sharing.scale(v, sign(v), power_of_two)
    step = greatest(v, reduced_axes(v, sharing.axis)) / half
    if power_of_two:
        step = nearest_power_of_two(step)
        for _ in range(SCALE_UPDATES):
            step = sharing.scale(v, _levels(v, step, half, None), power_of_two=True)
    return step


def scaled_fixed_point(x: Tensor, bits: int, integer: int, step: Tensor, rounded: Rounding | None) -> Tensor:
    """step · M · levels, symmetric; ties go away from zero unless `rounded` says otherwise."""
    reach = 2.0**integer
    if bits == 1:
        return step * reach * sign(x)
    return step * (reach * _levels(x / reach, step, 2.0 ** (bits - 1) - 1.0, rounded))


def _levels(v: Tensor, step: Tensor, half: float, rounded: Rounding | None) -> Tensor:
    share = divide_or_zero(tf.abs(v), step)
    # QKeras' floor(|v|/s + 1/2), which also carries the float just below a tie.
    nearest = tf.floor(share + 0.5) if rounded is None else rounded(share)
    return tf.sign(v) * tf.minimum(nearest, half)


class LinearGrid(NamedTuple):
    """quantized_linear's codes: round(clip(x/S, lowest, highest) − shift) + shift."""

    lowest: float
    highest: float
    shift: float


def linear_grid(bits: int, symmetric: bool, keep_negative: bool) -> LinearGrid:
    """Whole codes, or ±1/2 for one signed bit."""
    if bits == 1 and keep_negative:
        return LinearGrid(-0.5, 0.5, 0.5)
    steps = 2.0 ** (bits - keep_negative)
    return LinearGrid(float(symmetric) - steps if keep_negative else 0.0, steps - 1.0, 0.0)


def linear_codes(x: Tensor, scale: Tensor, grid: LinearGrid, rounded: Rounding) -> tuple[Tensor, Tensor]:
    """(codes, whether x was within their range)."""
    share = x / scale
    inside = tf.cast(tf.logical_and(share >= grid.lowest, share <= grid.highest), tf.float32)
    return rounded(tf.clip_by_value(share, grid.lowest, grid.highest) - grid.shift) + grid.shift, inside


def linear_scale(x: Tensor, grid: LinearGrid, keep_negative: bool, power_of_two: bool, sharing: Sharing) -> Tensor:
    """The scale that spans x; a power of two is then refined by least squares until it stays, at most five times."""
    axes = reduced_axes(x, sharing.axis)
    span = grid.highest - grid.lowest
    reach = 2.0 * greatest(x, axes) if keep_negative else tf.reduce_max(x, axis=axes, keepdims=True)
    scale = tf.maximum(reach / span, EPSILON)
    if not power_of_two:
        return scale
    scale = nearest_power_of_two(scale)
    # A scale that an update leaves alone stays in every further one: no need to look.
    for _ in range(1 if grid.shift else SCALE_UPDATES):
        scale = sharing.scale(x, linear_codes(x, scale, grid, tf.round)[0], power_of_two=True)
    return scale
