"""quantized_po2 and quantized_relu_po2."""

from __future__ import annotations

import keras

from qsearch.quantizers.arithmetic import power_of_two
from qsearch.quantizers.arithmetic.activations import leaky, leaky_slope
from qsearch.quantizers.arithmetic.draws import Uniform
from qsearch.quantizers.arithmetic.tensors import Tensor, straight_through, with_noise_factor
from qsearch.quantizers.base import Noisy, Quantizer

_GREATEST = 1023.0
"""Python's greatest power of two; float32's is far below."""
_register = keras.saving.register_keras_serializable(package="qsearch")


class _PowerOfTwo(Noisy):
    signed: bool

    def _bounds(self) -> tuple[float, float]:
        return power_of_two.exponent_bounds(
            self.argument("bits"),
            self.argument("max_value"),
            self.signed,
            bool(self.argument("quadratic_approximation")),
        )

    def _options(self, training: bool | None) -> tuple[bool, bool, Uniform | None]:
        """(quadratic, floor, random numbers)."""
        uniform = self._uniform(training)
        return bool(self.argument("quadratic_approximation")), self.argument("log2_rounding") == "floor", uniform

    def for_weights(self) -> Quantizer:
        self._refuse_without_gradient()
        return self

    def max(self) -> float:
        return max(1.0, float(self.argument("max_value") or 2.0 ** min(self._bounds()[1], _GREATEST)))


@_register
class quantized_po2(_PowerOfTwo):
    """±2^E, never zero; see `signed_power_of_two`. Gradient 1 everywhere."""

    signed = True

    def __call__(self, x: Tensor, training: bool | None = None) -> Tensor:
        bounds, limit = self._bounds(), self.argument("max_value")
        options, noise = self._options(training), self.noise()

        def values(v: Tensor) -> Tensor:
            return with_noise_factor(power_of_two.signed_power_of_two(v, bounds, limit, *options), v, noise)

        return straight_through(x, values, self.surrogate_slope(None))

    def min(self) -> float:
        return -self.max()


@_register
class quantized_relu_po2(_PowerOfTwo):
    """2^E for x > 0; see `relu_power_of_two`. Gradient 1 on 0 < x <= max_value, the slope below zero."""

    signed = False

    def __call__(self, x: Tensor, training: bool | None = None) -> Tensor:
        bounds, limit = self._bounds(), self.argument("max_value")
        slope = float(self.argument("negative_slope"))
        options, noise = self._options(training), self.noise()

        def values(v: Tensor) -> Tensor:
            levels = power_of_two.relu_power_of_two(v, bounds, limit, slope, *options)
            return with_noise_factor(levels, leaky(v, slope, limit), noise)

        return straight_through(x, values, self.surrogate_slope(lambda v: leaky_slope(v, slope, limit)))

    def min(self) -> float:
        return -self.max() if self.argument("negative_slope") else float(2.0 ** self._bounds()[0])
