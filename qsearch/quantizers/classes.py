"""The quantizers as Keras-serialisable classes. The arithmetic is in the modules that they import."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import keras
import tensorflow as tf

from qsearch.errors import ConfigError
from qsearch.quantizers import activation_functions, power_of_two, signs
from qsearch.quantizers.base import Quantizer
from qsearch.quantizers.fixed_point import automatic_fixed_point, automatic_step, fixed_point
from qsearch.quantizers.tensors import (
    Tensor,
    hard_sigmoid,
    least_squares,
    reduced_axes,
    sign,
    straight_through,
    tanh_slope,
    with_noise_factor,
)

_register = keras.saving.register_keras_serializable(package="qsearch")


class _SelfScaling(Quantizer):
    """A quantizer whose scale a kernel computes from its weights."""

    def for_weights(self) -> Quantizer:
        return self._with(alpha="auto_po2") if self.argument("alpha") is None else self

    def scale(self, x: Tensor) -> Tensor:
        alpha = self.argument("alpha")
        if isinstance(alpha, str):
            return self._automatic_scale(tf.cast(x, tf.float32), alpha == "auto_po2")
        return tf.constant(1.0 if alpha is None else alpha, tf.float32)

    @abstractmethod
    def _automatic_scale(self, x: Tensor, power_of_two: bool) -> Tensor:
        """The scale that x asks for, dimensions kept."""

    def _reach(self) -> float:
        alpha = self.argument("alpha")
        return 1.0 if alpha is None or isinstance(alpha, str) else max(1.0, float(tf.reduce_max(alpha)))


@_register
class quantized_bits(_SelfScaling):
    """Fixed point of `bits` bits, `integer` of them before the point.

    Values: see `fixed_point`; with alpha 'auto' or 'auto_po2' `automatic_fixed_point`, always symmetric.
    Gradient: 1 everywhere, outside the range too.
    """

    def __call__(self, x: Tensor, training: bool | None = None) -> Tensor:
        return straight_through(x, lambda v: self._values(v, bool(training)), None)

    def _values(self, x: Tensor, training: bool) -> Tensor:
        bits, integer, alpha = self.argument("bits"), self.argument("integer"), self.argument("alpha")
        if isinstance(alpha, str):
            values = automatic_fixed_point(x, bits, integer, alpha == "auto_po2", self.argument("scale_axis"))
        else:
            values = fixed_point(
                x,
                bits,
                integer,
                bool(self.argument("symmetric")),
                bool(self.argument("keep_negative")),
                tf.constant(1.0 if alpha is None else alpha, tf.float32),
                training and bool(self.argument("use_stochastic_rounding")),
            )
        return with_noise_factor(values, x, self.argument("qnoise_factor"))

    def _automatic_scale(self, x: Tensor, power_of_two: bool) -> Tensor:
        bits, integer = self.argument("bits"), self.argument("integer")
        step = automatic_step(x, bits, integer, power_of_two, self.argument("scale_axis"))
        # Relative to the grid of alpha 1: steps of 2^integer / 2^fraction, and plain signs for one signed bit.
        fraction = bits - int(self.argument("keep_negative"))
        return step * 2.0 ** (fraction if fraction else integer)

    def for_weights(self) -> Quantizer:
        return self._with(alpha="auto_po2", symmetric=True) if self.argument("alpha") is None else self

    def max(self) -> float:
        one_bit = self.argument("bits") == 1 and self.argument("keep_negative")
        return 1.0 if one_bit else max(1.0, 2.0 ** int(self.argument("integer")))

    def min(self) -> float:
        return -self.max() if self.argument("keep_negative") else 0.0


@_register
class quantized_relu(Quantizer):
    """Quantized relu. Values: `relu_levels`. Gradient: 1 on 0 < x <= the greatest level, the slope below zero."""

    def __call__(self, x: Tensor, training: bool | None = None) -> Tensor:
        bits, integer, slope = self.argument("bits"), self.argument("integer"), float(self.argument("negative_slope"))
        upper = self.argument("relu_upper_bound")
        clipped = self.argument("is_quantized_clip")
        bound = activation_functions.relu_top(bits, integer, slope) if clipped else upper
        stochastic = bool(training) and bool(self.argument("use_stochastic_rounding"))
        sigmoid = bool(self.argument("use_sigmoid"))

        def values(v: Tensor) -> Tensor:
            levels = activation_functions.relu_levels(
                v, bits, integer, slope, sigmoid, None if clipped else upper, stochastic
            )
            surrogate = activation_functions.leaky(v, slope, bound)
            return with_noise_factor(levels, surrogate, self.argument("qnoise_factor"))

        return straight_through(x, values, lambda v: activation_functions.leaky_slope(v, slope, bound))

    def max(self) -> float:
        whole = self.argument("bits") > (1 if self.argument("negative_slope") else 0)
        return max(1.0, 2.0 ** int(self.argument("integer"))) if whole else 1.0

    def min(self) -> float:
        slope = self.argument("negative_slope")
        if not slope:
            return 0.0
        return min(0.0, -slope * 2.0 ** self.argument("integer")) if self.argument("bits") > 1 else -1.0


class _PowerOfTwo(Quantizer):
    signed: bool

    def _bounds(self) -> tuple[float, float]:
        return power_of_two.exponent_bounds(
            self.argument("bits"),
            self.argument("max_value"),
            self.signed,
            bool(self.argument("quadratic_approximation")),
        )

    def _options(self, training: bool | None) -> tuple[bool, bool, bool]:
        """(quadratic, floor, stochastic)."""
        stochastic = bool(training) and bool(self.argument("use_stochastic_rounding"))
        return bool(self.argument("quadratic_approximation")), self.argument("log2_rounding") == "floor", stochastic

    def max(self) -> float:
        return max(1.0, float(self.argument("max_value") or 2.0 ** self._bounds()[1]))


@_register
class quantized_po2(_PowerOfTwo):
    """±2^E, never zero; see `signed_power_of_two`. Gradient 1 everywhere."""

    signed = True

    def __call__(self, x: Tensor, training: bool | None = None) -> Tensor:
        bounds, limit = self._bounds(), self.argument("max_value")
        options = self._options(training)

        def values(v: Tensor) -> Tensor:
            levels = power_of_two.signed_power_of_two(v, bounds, limit, *options)
            return with_noise_factor(levels, v, self.argument("qnoise_factor"))

        return straight_through(x, values, None)

    def min(self) -> float:
        return -self.max()


@_register
class quantized_relu_po2(_PowerOfTwo):
    """2^E for x > 0; see `relu_power_of_two`. Gradient 1 on 0 < x <= max_value, the slope below zero."""

    signed = False

    def __call__(self, x: Tensor, training: bool | None = None) -> Tensor:
        bounds, limit = self._bounds(), self.argument("max_value")
        slope = float(self.argument("negative_slope"))
        options = self._options(training)

        def values(v: Tensor) -> Tensor:
            levels = power_of_two.relu_power_of_two(v, bounds, limit, slope, *options)
            return with_noise_factor(
                levels, activation_functions.leaky(v, slope, limit), self.argument("qnoise_factor")
            )

        return straight_through(x, values, lambda v: activation_functions.leaky_slope(v, slope, limit))

    def min(self) -> float:
        return -self.max() if self.argument("negative_slope") else float(2.0 ** self._bounds()[0])


@_register
class binary(_SelfScaling):
    """scale · (+1 or −1), or 0/1 with `use_01`. Gradient 1 − tanh² where alpha is None, else 1."""

    def __call__(self, x: Tensor, training: bool | None = None) -> Tensor:
        alpha = self.argument("alpha")
        stochastic = bool(training) and bool(self.argument("use_stochastic_rounding"))

        def values(v: Tensor) -> Tensor:
            axes = reduced_axes(v, self.argument("scale_axis"))
            rounded = signs.rounded_in_eighths(v, axes) if stochastic else v
            return signs.scaled(rounded, self._levels(rounded, stochastic), alpha, axes)

        return straight_through(x, values, tanh_slope if alpha is None else None)

    def _levels(self, x: Tensor, stochastic: bool) -> Tensor:
        levels = signs.signs_with_random_zeros(x) if stochastic else sign(x)
        return (levels + 1.0) / 2.0 if self.argument("use_01") else levels

    def _automatic_scale(self, x: Tensor, power_of_two: bool) -> Tensor:
        axes = reduced_axes(x, self.argument("scale_axis"))
        return least_squares(x, self._levels(x, stochastic=False), axes, power_of_two)

    def max(self) -> float:
        return self._reach()

    def min(self) -> float:
        return 0.0 if self.argument("use_01") else -self._reach()


@_register
class stochastic_binary(_SelfScaling):
    """In training +1 with probability σ(T · x/w), gradient 1; at inference `binary`."""

    def __call__(self, x: Tensor, training: bool | None = None) -> Tensor:
        alpha = self.argument("alpha")
        if not training:
            return binary(alpha=alpha)(x)
        sigmoid = tf.sigmoid if self.argument("use_real_sigmoid") else hard_sigmoid

        def values(v: Tensor) -> Tensor:
            axes = reduced_axes(v)
            levels = signs.stochastic_binary_signs(v, alpha, axes, float(self.argument("temperature")), sigmoid)
            # An automatic scale belongs to the weights, not to one draw of their signs.
            return self.scale(v) * levels

        return straight_through(x, values, None)

    def _automatic_scale(self, x: Tensor, power_of_two: bool) -> Tensor:
        return least_squares(x, sign(x), reduced_axes(x), power_of_two)

    def max(self) -> float:
        return self._reach()

    def min(self) -> float:
        return -self._reach()


class _Ternary(_SelfScaling):
    def for_weights(self) -> Quantizer:
        """A threshold that was asked for is kept: it goes with a fixed scale only."""
        return self if self.argument("threshold") is not None else super().for_weights()

    def _automatic_scale(self, x: Tensor, power_of_two: bool) -> Tensor:
        unrolls = self.argument("number_of_unrolls")
        return signs.automatic_ternary(x, reduced_axes(x), power_of_two, unrolls, stochastic=False)[1]

    def max(self) -> float:
        return self._reach()

    def min(self) -> float:
        return -self._reach()


@_register
class ternary(_Ternary):
    """scale · (−1, 0 or +1). With a fixed scale, 0 where |x| < threshold; with an automatic one, see
    `automatic_ternary`. Gradient 1 − tanh² where alpha is None, else 1.

    Raises:
        ConfigError: a threshold together with an automatic scale.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        if signs.is_automatic(self.argument("alpha")) and self.argument("threshold") is not None:
            raise ConfigError(f"{self.spec}: an automatic alpha sets the threshold itself; leave out one of the two")

    def __call__(self, x: Tensor, training: bool | None = None) -> Tensor:
        alpha = self.argument("alpha")
        stochastic = bool(training) and bool(self.argument("use_stochastic_rounding"))

        def values(v: Tensor) -> Tensor:
            axes = reduced_axes(v)
            if isinstance(alpha, str):
                unrolls = self.argument("number_of_unrolls")
                levels, scale = signs.automatic_ternary(v, axes, alpha == "auto_po2", unrolls, stochastic)
                return scale * levels
            return signs.scaled(v, signs.ternary_by_threshold(v, self.argument("threshold")), alpha, axes)

        return straight_through(x, values, tanh_slope if alpha is None else None)


@_register
class stochastic_ternary(_Ternary):
    """In training half the sum of two random signs, gradient 1; see `stochastic_ternary_levels`. Else `ternary`."""

    def __call__(self, x: Tensor, training: bool | None = None) -> Tensor:
        alpha, threshold, unrolls = (self.argument(n) for n in ("alpha", "threshold", "number_of_unrolls"))
        if not training:
            return ternary(alpha, threshold, False, unrolls)(x)
        sigmoid = tf.sigmoid if self.argument("use_real_sigmoid") else hard_sigmoid

        def values(v: Tensor) -> Tensor:
            levels, scale = signs.stochastic_ternary_levels(
                v, reduced_axes(v), alpha, threshold, float(self.argument("temperature")), sigmoid, unrolls
            )
            return scale * levels

        return straight_through(x, values, None)


class _Saturating(Quantizer):
    """tanh and sigmoid: y = clip(round(p · m)/m), gradient p' where the rounded value was not clipped."""

    def _steps(self) -> float:
        raise NotImplementedError

    def _share(self, x: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def __call__(self, x: Tensor, training: bool | None = None) -> Tensor:
        stochastic = bool(training) and bool(self.argument("use_stochastic_rounding"))
        steps, lowest = self._steps(), self.min()

        def values(v: Tensor) -> Tensor:
            return activation_functions.saturating_levels(self._share(v)[0], steps, lowest, stochastic)[0]

        def slope(v: Tensor) -> Tensor:
            share, own_slope = self._share(v)
            return own_slope * activation_functions.saturating_levels(share, steps, lowest, False)[1]

        return straight_through(x, values, slope)

    def max(self) -> float:
        return 1.0 - 1.0 / self._steps()


@_register
class quantized_tanh(_Saturating):
    """tanh, or 2σ̂(x) − 1 with the hard sigmoid, on steps of 2^(1 − bits)."""

    def _steps(self) -> float:
        return 2.0 ** (int(self.argument("bits")) - 1)

    def _share(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return activation_functions.tanh_share(x, bool(self.argument("use_real_tanh")))

    def min(self) -> float:
        return -1.0 + float(bool(self.argument("symmetric"))) / self._steps()


@_register
class quantized_sigmoid(_Saturating):
    """The logistic function, or the hard sigmoid, on steps of 2^−bits."""

    def _steps(self) -> float:
        return 2.0 ** int(self.argument("bits"))

    def _share(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return activation_functions.sigmoid_share(x, bool(self.argument("use_real_sigmoid")))

    def min(self) -> float:
        return float(bool(self.argument("symmetric"))) / self._steps()


QUANTIZERS: Mapping[str, type[Quantizer]] = {
    "quantized_bits": quantized_bits,
    "quantized_relu": quantized_relu,
    "quantized_po2": quantized_po2,
    "quantized_relu_po2": quantized_relu_po2,
    "binary": binary,
    "stochastic_binary": stochastic_binary,
    "ternary": ternary,
    "stochastic_ternary": stochastic_ternary,
    "quantized_tanh": quantized_tanh,
    "quantized_sigmoid": quantized_sigmoid,
}
