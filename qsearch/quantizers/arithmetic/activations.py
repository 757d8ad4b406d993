"""The arithmetic of quantized_relu, _ulaw, _tanh and _sigmoid (QKeras, Coelho et al. 2021)."""

from __future__ import annotations

import tensorflow as tf

from qsearch.quantizers.arithmetic.sigmoids import Sigmoid
from qsearch.quantizers.arithmetic.tensors import Number, Rounding, Tensor

_LEAST = 2.0**-126
"""The smallest normal float32: a lower end just above zero."""
_FUSED_BITS = 24
"""With more bits the kernel's reciprocal of the step is rounded."""


def relu_top(bits: int, integer: int, slope: float) -> float:
    """The greatest level: M − M/m, with m = 2^bits, or 2^(bits − 1) where a slope needs the sign bit."""
    steps = 2.0 ** (bits - (slope != 0))
    return 2.0**integer - 2.0**integer / steps


def fused_relu(x: Tensor, bits: int, integer: int) -> Tensor:
    """`relu_levels` without its options, ties to even, gradient 1 on 0 < x <= top: one kernel each way.

    Raises:
        ValueError: more bits than `can_fuse` allows.
    """
    top = relu_top(bits, integer, 0.0)

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def quantize(v: Tensor) -> tuple[Tensor, object]:
        levels = tf.raw_ops.QuantizeAndDequantizeV2(
            input=v,
            input_min=0.0,
            input_max=top,
            signed_input=False,
            num_bits=bits,
            range_given=True,
            round_mode="HALF_TO_EVEN",
        )

        def gradient(upstream: Tensor) -> Tensor:
            return tf.raw_ops.QuantizeAndDequantizeV4Grad(
                gradients=upstream, input=v, input_min=_LEAST, input_max=top
            ).input_backprop

        return levels, gradient

    x = tf.convert_to_tensor(x)
    return tf.cast(quantize(tf.cast(x, tf.float32)), x.dtype)


def can_fuse(bits: int, integer: int) -> bool:
    """Whether the one-kernel form is exact."""
    return bits <= _FUSED_BITS and -100 < integer < 100


def relu_levels(
    x: Tensor, steps: Number, reach: Number, slope: float, sigmoid: Sigmoid | None, rounded: Rounding
) -> Tensor:
    """M · clip(round(x · m/M)/m, 0, 1 − 1/m), m the steps and M the reach, plus the negative part with a slope.

    With a sigmoid, x/M goes through 2σ̂(x/M) − 1, which doubles the step.
    """
    if sigmoid is not None:
        share = sigmoid(x / reach) * steps
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
    return levels


def leaky(x: Tensor, slope: float, bound: Number | None) -> Tensor:
    """x above zero, up to a bound; slope · x below."""
    y = tf.nn.relu(x) if not slope else tf.where(x > 0, x, slope * x)
    return y if bound is None else tf.minimum(y, bound)


def leaky_slope(x: Tensor, slope: float, bound: Number | None) -> Tensor:
    """1 on 0 < x <= bound, `slope` for x <= 0, 0 above the bound."""
    positive = x > 0
    inside = positive if bound is None else tf.logical_and(positive, x <= bound)
    passed = tf.cast(inside, tf.float32)
    return passed if not slope else tf.where(positive, passed, slope)


def saturating_levels(share: Tensor, steps: Number, lowest: Number, rounded: Rounding) -> tuple[Tensor, Tensor]:
    """(clip(r, lowest, 1 − 1/m), whether r was inside), r = round(share · m)/m."""
    levels = rounded(share * steps) / steps
    highest = 1.0 - 1.0 / steps
    inside = tf.cast(tf.logical_and(levels >= lowest, levels <= highest), tf.float32)
    return tf.clip_by_value(levels, lowest, highest), inside


def companded(share: Tensor, u: float) -> tuple[Tensor, Tensor]:
    """(sign(r) · log(1 + u|r|)/log(1 + u), its slope, 0 at r = 0), the µ-law of ITU-T G.711."""
    grown = 1.0 + u * tf.abs(share)
    range_of = tf.math.log(tf.constant(1.0 + u, tf.float32))
    curve = tf.sign(share) * tf.math.log(grown) / range_of
    return curve, tf.square(tf.sign(share)) * u / grown / range_of
