"""QAdaptiveActivation: a quantizer whose integer bits follow the range of what it sees."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import keras
import numpy
import tensorflow as tf
from keras import ops

from qsearch.errors import ConfigError, did_you_mean
from qsearch.layers.positions import in_order
from qsearch.layers.roles import plan_of
from qsearch.plan import LayerPlan, Role
from qsearch.quantizers import get
from qsearch.quantizers.arithmetic.activations import leaky, leaky_slope, relu_levels
from qsearch.quantizers.arithmetic.fixed_point import Grid, fixed_point
from qsearch.quantizers.arithmetic.tensors import power_of_two, sign, straight_through, with_noise_factor
from qsearch.quantizers.base import Quantizer

_KINDS = ("quantized_bits", "quantized_relu")
_OPTIONS = (
    "symmetric",
    "quantization_delay",
    "ema_freeze_delay",
    "ema_decay",
    "per_channel",
    "po2_rounding",
    "relu_neg_slope",
    "relu_upper_bound",
)


@keras.saving.register_keras_serializable(package="qsearch")
class QAdaptiveActivation(keras.layers.Layer):  # type: ignore[misc]
    """quantized_bits or quantized_relu of `total_bits` bits; see `integer_bits` for how many are before the point.

    In training the averages of the least and the greatest value move by (1 − ema_decay) per call, up to step
    `ema_freeze_delay`; before step `quantization_delay` the values pass unquantized (relu'd and bounded). The
    integer bits of a call are those of the averages before it.

    Raises:
        ConfigError: another activation, or bits that are no positive number.
    """

    @in_order("activation", "total_bits", "current_step", *_OPTIONS)
    def __init__(
        self,
        activation: str,
        total_bits: int,
        symmetric: bool = True,
        quantization_delay: int = 0,
        ema_freeze_delay: int | None = None,
        ema_decay: float = 0.9999,
        per_channel: bool = False,
        po2_rounding: bool = False,
        relu_neg_slope: float = 0.0,
        relu_upper_bound: float | None = None,
        current_step: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        if activation not in _KINDS:
            near = did_you_mean(str(activation), _KINDS)
            raise ConfigError(
                f"QAdaptiveActivation: activation: found {activation!r}, allowed: {', '.join(_KINDS)}{near}"
            )
        self.kind = activation
        self.total_bits = total_bits
        self.symmetric = bool(symmetric)
        self.quantization_delay = quantization_delay
        self.ema_freeze_delay = ema_freeze_delay
        self.ema_decay = ema_decay
        self.per_channel = bool(per_channel)
        self.po2_rounding = bool(po2_rounding)
        self.relu_neg_slope = float(relu_neg_slope)
        self.relu_upper_bound = relu_upper_bound
        self._current_step = current_step
        self._static(0)  # complains about bits and slope at once

    @property
    def _keeps_negative(self) -> bool:
        return self.kind == "quantized_bits" or self.relu_neg_slope != 0.0

    def build(self, input_shape: Any) -> None:
        channels = int(input_shape[-1]) if self.per_channel else 1
        # A step that is the caller's own is not this layer's to count or to save.
        self.step = self._current_step
        if self.step is None:
            start = keras.initializers.Constant(-1)
            self.step = self.add_weight(name="step", shape=(), dtype="int64", initializer=start, trainable=False)
        self.ema_min, self.ema_max = (
            self.add_weight(name=name, shape=(channels,), initializer="zeros", trainable=False)
            for name in ("ema_min", "ema_max")
        )
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        x = ops.convert_to_tensor(inputs)
        reach = power_of_two(self._integers())
        noise: Any = 1.0
        if training and self.trainable:
            if self._current_step is None:
                self.step.assign(self.step + 1)
            step = ops.convert_to_tensor(self.step)
            noise = tf.cast(step >= self.quantization_delay, tf.float32)
            self._follow(self._unquantized(tf.cast(x, tf.float32)), step)
        return self._quantized(x, reach, noise)

    def _unquantized(self, x: Any) -> Any:
        if self.kind == "quantized_bits":
            return x
        return leaky(x, self.relu_neg_slope, self.relu_upper_bound)

    def _quantized(self, x: Any, reach: Any, noise: Any) -> Any:
        if self.kind == "quantized_bits" and self.total_bits == 1:
            return straight_through(x, lambda v: with_noise_factor(sign(v), v, noise), None)
        if self.kind == "quantized_bits":
            steps = 2.0 ** (self.total_bits - 1)
            grid = Grid(reach / steps, steps / reach, float(self.symmetric) - steps, steps - 1.0)
            return straight_through(x, lambda v: with_noise_factor(fixed_point(v, grid, tf.round), v, noise), None)
        slope, bound = self.relu_neg_slope, self.relu_upper_bound
        steps = 2.0 ** (self.total_bits - (slope != 0.0))

        def values(v: Any) -> Any:
            levels = relu_levels(v, steps, reach, slope, None, tf.round)
            levels = levels if bound is None else tf.minimum(levels, bound)
            return with_noise_factor(levels, leaky(v, slope, bound), noise)

        return straight_through(x, values, lambda v: leaky_slope(v, slope, bound))

    def _follow(self, x: Any, step: Any) -> None:
        axes = list(range(len(x.shape) - 1)) if self.per_channel else None
        moving = 1.0 - self.ema_decay
        if self.ema_freeze_delay:
            moving = tf.where(step <= self.ema_freeze_delay, moving, 0.0)
        for average, extreme in ((self.ema_min, tf.reduce_min(x, axes)), (self.ema_max, tf.reduce_max(x, axes))):
            extreme = ops.reshape(ops.cast(extreme, average.dtype), average.shape)
            average.assign(average - (average - extreme) * moving)

    def _integers(self) -> Any:
        """`integer_bits` of the averages, one per channel with `per_channel`."""
        low, high = (tf.cast(ops.convert_to_tensor(average), tf.float32) for average in (self.ema_min, self.ema_max))
        return integer_bits(low, high, self.total_bits, self._keeps_negative, self.symmetric, self.po2_rounding)

    def _static(self, integer: int) -> Quantizer:
        if self.kind == "quantized_bits":
            text = f"quantized_bits({self.total_bits!r},{integer},{int(self.symmetric)},alpha=1.0)"
        else:
            options = f",relu_upper_bound={self.relu_upper_bound},is_quantized_clip=False"
            text = f"quantized_relu({self.total_bits!r},{integer},negative_slope={self.relu_neg_slope}{options})"
        quantizer = get(text)
        assert quantizer is not None
        return quantizer

    @property
    def quantizer(self) -> Quantizer:
        """The quantizer for the averages as they are, with the most integer bits of any channel."""
        return self._static(int(numpy.max(self._integers().numpy())) if self.built else 0)

    @property
    def activation(self) -> Quantizer:
        """The quantizer, as QKeras calls it too; the configuration has its name, `kind`."""
        return self.quantizer

    @property
    def plan(self) -> LayerPlan:
        return replace(plan_of({Role.ACTIVATION: self.quantizer}), adaptive=True)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        options = {name: getattr(self, name) for name in _OPTIONS}
        return {**super().get_config(), "activation": self.kind, "total_bits": self.total_bits, **options}


def integer_bits(low: Any, high: Any, total_bits: int, keep_negative: bool, symmetric: bool, po2_rounding: bool) -> Any:
    """The integer bits that hold values from `low` to `high`: at least 0, at most the bits without a sign.

    With L(v) = max(0, log2|v|): the greater of ceil L(low) and ceil L(high), one more where the range's end lies
    beyond the greatest level; with `po2_rounding` the greater of round L(low) and round L(high).
    """
    bits = float(total_bits - keep_negative)
    if not keep_negative:
        low = tf.zeros_like(low)
    logs = [tf.maximum(0.0, tf.math.log(tf.maximum(tf.abs(v), 2.0**-126)) / math.log(2.0)) for v in (low, high)]
    if po2_rounding:
        below, above = (tf.round(item) for item in logs)
    else:
        below, above = (tf.math.ceil(item) for item in logs)
        top = power_of_two(above) - power_of_two(tf.minimum(above - bits, 0.0))
        above = above + tf.cast(high > top, tf.float32)
        if symmetric:
            bottom = -power_of_two(below) + power_of_two(tf.minimum(below - bits, 0.0))
            below = below + tf.cast(low < bottom, tf.float32)
    return tf.minimum(bits, tf.maximum(below, above))
