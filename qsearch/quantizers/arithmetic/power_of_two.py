"""quantized_po2 and quantized_relu_po2: magnitudes that are powers of two (QKeras, Coelho et al. 2021)."""

from __future__ import annotations

import tensorflow as tf

from qsearch.quantizers.arithmetic.draws import Uniform
from qsearch.quantizers.arithmetic.tensors import (
    EPSILON,
    GREATEST_EXPONENT,
    LEAST_EXPONENT,
    LN2,
    Tensor,
    power_of_two,
    sign,
)


def exponent_bounds(bits: int, max_value: float | None, signed: bool, quadratic: bool) -> tuple[float, float]:
    """(lowest, highest) exponent. A limit of at most 1 frees the exponent's own sign bit."""
    exponent_bits = bits - int(signed) - (0 if max_value is not None and max_value <= 1 else 1)
    lowest, highest = -(2.0**exponent_bits), 2.0**exponent_bits - 1.0
    return lowest, 2.0 * (highest // 2) if quadratic else highest


def power_of_two_magnitude(
    v: Tensor,
    bounds: tuple[float, float],
    max_value: float | None,
    quadratic: bool,
    floor: bool,
    uniform: Uniform | None,
) -> Tensor:
    """2^E for magnitudes v >= 0, E = clip(round(log2 v)); below ε the smallest power, as there is no zero.

    Quadratic: E is twice the rounded half exponent. With random numbers, of the two powers around v, each with the
    probability that keeps the mean; `floor` takes precedence.
    """
    lowest, highest = bounds
    filtered = tf.maximum(v, EPSILON)
    if max_value is not None:
        filtered = tf.where(filtered >= max_value, tf.constant(max_value, tf.float32), filtered)
    if quadratic:
        filtered = tf.sqrt(filtered)
    exact = tf.math.log(filtered) / LN2
    if floor:
        exponent = tf.floor(exact)
    elif uniform is not None:
        below = tf.floor(exact)
        power = tf.pow(2.0, below)
        exponent = below + tf.cast(filtered >= power * (1.0 + uniform(tf.shape(v))), tf.float32)
    else:
        exponent = tf.round(exact)
    exponent = tf.clip_by_value(exponent, lowest, highest)
    if quadratic:
        exponent = 2.0 * exponent
    exponent = tf.where(v < EPSILON, lowest, exponent)
    factor = 2.0 if quadratic else 1.0
    normal = factor * lowest >= LEAST_EXPONENT and factor * highest <= GREATEST_EXPONENT
    # One bit gives the exponent -0.5, many bits exceed float32.
    return power_of_two(exponent) if normal and lowest.is_integer() else tf.pow(2.0, exponent)


def signed_power_of_two(
    x: Tensor,
    bounds: tuple[float, float],
    max_value: float | None,
    quadratic: bool,
    floor: bool,
    uniform: Uniform | None,
) -> Tensor:
    """sign(x) · 2^E(|x|); zero becomes the smallest positive power."""
    return sign(x) * power_of_two_magnitude(tf.abs(x), bounds, max_value, quadratic, floor, uniform)


def relu_power_of_two(
    x: Tensor,
    bounds: tuple[float, float],
    max_value: float | None,
    slope: float,
    quadratic: bool,
    floor: bool,
    uniform: Uniform | None,
) -> Tensor:
    """2^E(max(x, 0)); below zero the smallest power, or −2^E(slope · |x|) with a slope."""
    positive = power_of_two_magnitude(tf.nn.relu(x), bounds, max_value, quadratic, floor, uniform)
    if not slope:
        return positive
    negative = power_of_two_magnitude(slope * tf.nn.relu(-x), bounds, max_value, quadratic, floor, uniform)
    return tf.where(x >= 0, positive, -negative)
