"""quantized_bits, quantized_linear and quantized_hswish."""

from __future__ import annotations

from typing import Any

import keras
import numpy
import tensorflow as tf

from qsearch.quantizers.arithmetic.draws import Uniform, rounding_of
from qsearch.quantizers.arithmetic.fixed_point import (
    LinearGrid,
    automatic_step,
    fixed_grid,
    fixed_point,
    linear_codes,
    linear_grid,
    linear_scale,
    scaled_fixed_point,
)
from qsearch.quantizers.arithmetic.scales import Sharing
from qsearch.quantizers.arithmetic.tensors import (
    Tensor,
    round_half_away,
    sign,
    straight_through,
    with_noise_factor,
)
from qsearch.quantizers.base import Noisy, Quantizer
from qsearch.quantizers.ranges import levels
from qsearch.quantizers.self_scaling import SelfScaling, constant_scale, sharing_of

_register = keras.saving.register_keras_serializable(package="qsearch")


class _FixedPoint(SelfScaling, Noisy):
    """Fixed point of `bits` bits, `integer` of them before the point, with a given or an automatic scale."""

    def _keeps_negative(self) -> bool:
        return bool(self.argument("keep_negative"))

    def _sharing(self) -> Sharing:
        return Sharing(self.argument("scale_axis"))

    def range(self) -> numpy.ndarray:
        """Every level, in the order of two's complement codes (0 ... greatest, lowest ... below 0).

        Raises:
            ConfigError: levels that depend on the input or the channel, or too many to list.
        """
        step = self.step(tf.zeros((1, 1)))
        assert step is not None
        return levels(self.spec, tf.reduce_max(step), max(self.max(), -self.min()), lambda x: self._levels(x, None))

    def _given_step(self) -> Tensor | None:
        """The step of a scale found after training, in place of an automatic one."""
        return None

    def _levels(self, x: Tensor, uniform: Uniform | None) -> Tensor:
        bits, integer, alpha = self.argument("bits"), self.argument("integer"), self.argument("alpha")
        mode = self.argument("rounding")
        if isinstance(alpha, str):
            # Ties of automatic scales go away from zero (QKeras); the option overrides that.
            rounded = {None: None, "half_even": tf.round, "half_away": round_half_away}[mode]
            return scaled_fixed_point(x, bits, integer, self._step(x, alpha == "auto_po2"), rounded)
        if bits == 1 and self._keeps_negative():
            return constant_scale(alpha) * sign(x)
        grid = fixed_grid(bits, integer, bool(self.argument("symmetric")), self._keeps_negative())
        levels = fixed_point(x, grid, rounding_of(mode, uniform))
        return levels if alpha is None or alpha == 1.0 else constant_scale(alpha) * levels

    def step(self, x: Tensor) -> Tensor | None:
        bits, integer, alpha = self.argument("bits"), self.argument("integer"), self.argument("alpha")
        if isinstance(alpha, str):
            return self._step(tf.cast(x, tf.float32), alpha == "auto_po2") * 2.0**integer
        if bits == 1 and self._keeps_negative():
            return constant_scale(alpha)
        return constant_scale(alpha) * fixed_grid(bits, integer, False, self._keeps_negative()).step

    def _step(self, x: Tensor, power_of_two: bool) -> Tensor:
        given = self._given_step()
        if given is not None:
            return given
        return automatic_step(x, self.argument("bits"), self.argument("integer"), power_of_two, self._sharing())

    def _automatic_scale(self, x: Tensor, power_of_two: bool) -> Tensor:
        # Relative to the grid of alpha 1: steps of 2^integer / 2^fraction, and plain signs for one signed bit.
        fraction = self.argument("bits") - self._keeps_negative()
        return self._step(x, power_of_two) * 2.0 ** (fraction if fraction else self.argument("integer"))

    def for_weights(self) -> Quantizer:
        self._refuse_without_gradient()
        return self._with(alpha="auto_po2", symmetric=True) if self.argument("alpha") is None else self

    def max(self) -> float:
        one_bit = self.argument("bits") == 1 and self._keeps_negative()
        return 1.0 if one_bit else max(1.0, 2.0 ** int(self.argument("integer")))


@_register
class quantized_bits(_FixedPoint):
    """alpha · M · clip(round(x · m/M), k · (symmetric − m), m − 1)/m.

    k = keep_negative, m = 2^(bits − k), M = 2^integer. The grid is chosen on x and multiplied by alpha afterwards;
    one signed bit gives alpha · (+1 or −1). With alpha 'auto' or 'auto_po2' the scale comes from x
    (`automatic_step`), and the levels are symmetric.
    `elements_per_scale` entries of `scale_axis` share a scale, bounded by min/max_po2_exponent;
    `post_training_scale` takes its place. Gradient: 1 everywhere, outside the range too.

    Raises:
        ConfigError: weights without a gradient.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._shared = sharing_of(self)

    def _sharing(self) -> Sharing:
        return self._shared

    def _given_step(self) -> Tensor | None:
        given = self.argument("post_training_scale")
        return (
            None if given is None else constant_scale(given) / 2.0 ** (self.argument("bits") - self._keeps_negative())
        )

    def __call__(self, x: Tensor, training: bool | None = None) -> Tensor:
        noise, uniform = self.noise(), self._uniform(training)

        def values(v: Tensor) -> Tensor:
            return with_noise_factor(self._levels(v, uniform), v, noise)

        return straight_through(x, values, self.surrogate_slope(None))

    def min(self) -> float:
        return -self.max() if self._keeps_negative() else 0.0


@_register
class quantized_linear(Noisy, SelfScaling):
    """S · (round(clip(x/S, lo, hi) − h) + h), S = alpha · 2^(integer − bits + k): x is divided by alpha.

    lo = k(symmetric − 2^(bits − k)), hi = 2^(bits − k) − 1, h = 0; one signed bit has lo, hi, h = −1/2, 1/2, 1/2.
    An automatic S spans x (`linear_scale`). Gradient: 1 inside the range, 1 − qnoise_factor outside.
    """

    def _grid(self) -> LinearGrid:
        return linear_grid(
            self.argument("bits"), bool(self.argument("symmetric")), bool(self.argument("keep_negative"))
        )

    def _data_type_scale(self) -> float:
        fraction = int(self.argument("bits")) - bool(self.argument("keep_negative")) - int(self.argument("integer"))
        return float(2.0**-fraction)

    def _quantization_scale(self, x: Tensor) -> Tensor:
        alpha = self.argument("alpha")
        if not isinstance(alpha, str):
            return constant_scale(alpha) * self._data_type_scale()
        signed, sharing = bool(self.argument("keep_negative")), Sharing(self.argument("scale_axis"))
        return linear_scale(x, self._grid(), signed, alpha == "auto_po2", sharing)

    def __call__(self, x: Tensor, training: bool | None = None) -> Tensor:
        noise, grid = self.noise(), self._grid()
        rounded = rounding_of(self.argument("rounding"), self._uniform(training))

        def values(v: Tensor) -> Tensor:
            scale = self._quantization_scale(v)
            return with_noise_factor(scale * linear_codes(v, scale, grid, rounded)[0], v, noise)

        def slope(v: Tensor) -> Tensor:
            inside = linear_codes(v, self._quantization_scale(v), grid, rounded)[1]
            return 1.0 + noise * (inside - 1.0)

        return straight_through(x, values, slope)

    def _automatic_scale(self, x: Tensor, power_of_two: bool) -> Tensor:
        return self._quantization_scale(x) / self._data_type_scale()

    def range(self) -> numpy.ndarray:
        """Every level, in the order of two's complement codes (0 ... greatest, lowest ... below 0).

        Raises:
            ConfigError: levels that depend on the input or the channel, or too many to list.
        """
        step = self.step(tf.zeros((1, 1)))
        assert step is not None
        return levels(self.spec, tf.reduce_max(step), max(self.max(), -self.min()), lambda x: self(x, training=False))

    def step(self, x: Tensor) -> Tensor | None:
        scale = self._quantization_scale(tf.cast(x, tf.float32))
        return scale / 2.0 if self._grid().shift else scale  # one signed bit: ±1/2 of the scale

    def for_weights(self) -> Quantizer:
        return self._with(alpha="auto_po2", symmetric=True) if self.argument("alpha") is None else self

    def _extreme(self, code: float) -> float:
        alpha = self.argument("alpha")
        scale = constant_scale(None if isinstance(alpha, str) else alpha)
        return code * self._data_type_scale() * float(tf.reduce_max(scale))

    def max(self) -> float:
        return self._extreme(self._grid().highest)

    def min(self) -> float:
        return self._extreme(self._grid().lowest)


@_register
class quantized_hswish(_FixedPoint):
    """quantized_bits of x · min(relu(x + shift), bound)/bound, always signed.

    Gradient: (R + x · 1[0 < x + shift <= bound])/bound, R the bounded relu. Howard et al. 2019
    (doi:10.1109/ICCV.2019.00140) have shift 3 and bound 6.
    """

    WITHOUT_MEANING = frozenset({"keep_negative"})

    def _keeps_negative(self) -> bool:
        return True

    def _bent(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(hswish(x), its slope)."""
        bound = float(self.argument("relu_upper_bound"))
        moved = x + float(self.argument("relu_shift"))
        relu = tf.clip_by_value(moved, 0.0, bound)
        rising = tf.cast(tf.logical_and(moved > 0.0, moved <= bound), tf.float32)
        # multiply_no_nan: −inf times the relu's 0 is 0
        return tf.math.multiply_no_nan(x, relu) / bound, (relu + tf.math.multiply_no_nan(x, rising)) / bound

    def __call__(self, x: Tensor, training: bool | None = None) -> Tensor:
        noise, uniform = self.noise(), self._uniform(training)

        def values(v: Tensor) -> Tensor:
            bent = self._bent(v)[0]
            return with_noise_factor(self._levels(bent, uniform), bent, noise)

        return straight_through(x, values, lambda v: self._bent(v)[1])

    def scale(self, x: Tensor) -> Tensor:
        return super().scale(self._bent(tf.cast(x, tf.float32))[0])

    def step(self, x: Tensor) -> Tensor | None:
        return super().step(self._bent(tf.cast(x, tf.float32))[0])

    def min(self) -> float:
        """The lowest point of the curve, −shift²/(4 · bound), or the grid's end where that is higher."""
        shift, bound = float(self.argument("relu_shift")), float(self.argument("relu_upper_bound"))
        return max(-self.max(), -shift * shift / (4.0 * bound))
