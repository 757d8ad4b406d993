"""Shared arithmetic of the quantizers: pure functions of tensors, in float32.

Rounding is half to even unless said otherwise; `sign` of zero is +1 where a sign must be chosen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import tensorflow as tf
from tensorflow.python.ops import control_flow_util

from qsearch.errors import ConfigError
from qsearch.quantizers.shapes import axis_misfit

Tensor: TypeAlias = Any
"""A TensorFlow tensor; the library has no types of its own."""
Number: TypeAlias = Any
"""A Python number, or a scalar tensor where one traced graph serves many quantizers."""
Rounding: TypeAlias = Callable[[Tensor], Tensor]

EPSILON = 1e-7
"""Added where a scale or a logarithm could meet zero; Keras' epsilon."""
LN2 = math.log(2.0)
LEAST_EXPONENT, GREATEST_EXPONENT = -126.0, 127.0
"""Exponents of the normal numbers of float32."""


def straight_through(
    x: Tensor, forward: Callable[[Tensor], Tensor], slope: Callable[[Tensor], Tensor] | None
) -> Tensor:
    """forward(x), with the gradient slope(x), or 1 where `slope` is None.

    The value is exactly forward(x): nothing is lost to x + (q − x). Computed in float32 whatever x is.
    """

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def quantize(v: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        return forward(v), lambda upstream: upstream if slope is None else upstream * slope(v)

    x = tf.convert_to_tensor(x)
    return tf.cast(quantize(tf.cast(x, tf.float32)), x.dtype)


def compiled_by_xla() -> bool:
    """Whether what is traced now is for XLA, which has not all of TensorFlow's kernels, and fuses by itself."""
    return bool(control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph()))


def with_noise_factor(quantized: Tensor, surrogate: Tensor, factor: Number) -> Tensor:
    """surrogate + factor · (quantized − surrogate); exactly the quantized value at 1."""
    if isinstance(factor, float | int):
        return quantized if factor == 1.0 else surrogate + factor * (quantized - surrogate)
    return tf.where(tf.equal(factor, 1.0), quantized, surrogate + factor * (quantized - surrogate))


def sign(x: Tensor) -> Tensor:
    """+1 where x >= 0, else −1."""
    return tf.where(x >= 0, 1.0, -1.0)


def tanh_slope(x: Tensor) -> Tensor:
    """1 − tanh(x)²."""
    return 1.0 - tf.square(tf.tanh(x))


def round_half_away(x: Tensor) -> Tensor:
    """The nearest whole number, ties away from zero."""
    # The greatest float below 1/2: adding 1/2 itself would carry 0.49999997 over to 1.
    return tf.sign(x) * tf.floor(tf.abs(x) + 0.49999997)


def kept_axes(x: Tensor, scale_axis: int | Sequence[int] | None = None) -> list[int]:
    """The axes along which an automatic scale varies: the last, or `scale_axis`, which may count from the end.

    Raises:
        ConfigError: axes that the tensor does not have.
    """
    rank = len(x.shape)
    if rank < 2:
        return []
    if scale_axis is None:
        return [rank - 1]
    axes = [scale_axis] if isinstance(scale_axis, int) else scale_axis
    for axis in axes:
        if (problem := axis_misfit(axis, rank)) is not None:
            raise ConfigError(problem)
    return [axis % rank for axis in axes]


def reduced_axes(x: Tensor, scale_axis: int | Sequence[int] | None = None) -> list[int]:
    """The axes that an automatic scale is shared over: all but `kept_axes`.

    A tensor of rank 0 or 1 has one scale.
    """
    kept = kept_axes(x, scale_axis)
    return [axis for axis in range(len(x.shape)) if axis not in kept]


def greatest(x: Tensor, axes: list[int]) -> Tensor:
    """max |x| over `axes`, dimensions kept."""
    return tf.reduce_max(tf.abs(x), axis=axes, keepdims=True)


def deviation(x: Tensor, axes: list[int]) -> Tensor:
    """Standard deviation over `axes`, dimensions kept."""
    return tf.math.reduce_std(x, axis=axes, keepdims=True)


def least_squares(x: Tensor, levels: Tensor, axes: list[int], power_of_two: bool) -> Tensor:
    """The scale s that minimises |x − s · levels|²: mean(x · levels) / (mean(levels²) + ε)."""
    scale = tf.reduce_mean(x * levels, axis=axes, keepdims=True) / (
        tf.reduce_mean(levels * levels, axis=axes, keepdims=True) + EPSILON
    )
    # The sums of huge values overflow; a scale that stays finite gives levels, not NaN.
    scale = tf.minimum(scale, tf.float32.max)
    return nearest_power_of_two(scale) if power_of_two else scale


def nearest_power_of_two(scale: Tensor) -> Tensor:
    """2^round(log2(scale + ε)), at most 2^127."""
    return power_of_two(tf.minimum(tf.round(tf.math.log(scale + EPSILON) / LN2), GREATEST_EXPONENT))


def power_of_two(exponent: Tensor) -> Tensor:
    """2^exponent for whole exponents of float32's normal numbers, −126 to 127: exact, and far cheaper than pow."""
    power = tf.bitcast((tf.cast(exponent, tf.int32) + 127) * 2**23, tf.float32)
    return tf.where(tf.math.is_nan(exponent), exponent, power)  # not a number has no integer to cast to


def divide_or_zero(x: Tensor, y: Tensor) -> Tensor:
    """x / y, and 0 where y is 0."""
    return tf.math.divide_no_nan(x, y)
