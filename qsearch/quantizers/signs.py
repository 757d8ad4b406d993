"""binary, ternary, their stochastic forms, and bernoulli."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import keras

from qsearch.quantizers.arithmetic import signs
from qsearch.quantizers.arithmetic.draws import Uniform
from qsearch.quantizers.arithmetic.sigmoids import SIGMOIDS
from qsearch.quantizers.arithmetic.tensors import (
    Tensor,
    least_squares,
    reduced_axes,
    sign,
    straight_through,
    tanh_slope,
)
from qsearch.quantizers.base import Quantizer
from qsearch.quantizers.self_scaling import SelfScaling, constant_scale, sharing_of

_register = keras.saving.register_keras_serializable(package="qsearch")


class _Signs(SelfScaling):
    """Levels of at most 1 in magnitude, times a scale."""

    def step(self, x: Tensor) -> Tensor | None:
        return self.scale(x)

    def max(self) -> float:
        return self._reach()

    def min(self) -> float:
        return -self._reach()

    def _sigmoid(self) -> Callable[[Tensor], Tensor]:
        return SIGMOIDS["real" if self.argument("use_real_sigmoid") else self.argument("internal_sigmoid")]


@_register
class binary(_Signs):
    """scale · (+1 or −1), or 0/1 with `use_01`. Gradient 1 − tanh² where alpha is None, else 1.

    The sign of 0 is +1. With `use_stochastic_rounding`, x is rounded at random to eighths in training.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._shared = sharing_of(self)

    def __call__(self, x: Tensor, training: bool | None = None) -> Tensor:
        alpha = self.argument("alpha")
        uniform = self._uniform(training)

        def values(v: Tensor) -> Tensor:
            axes = reduced_axes(v, self.argument("scale_axis"))
            rounded = v if uniform is None else signs.rounded_in_eighths(v, axes, uniform)
            levels = self._levels(rounded, uniform)
            if isinstance(alpha, str):
                return self._shared.scale(rounded, levels, alpha == "auto_po2") * levels
            return constant_scale(alpha) * levels

        return straight_through(x, values, tanh_slope if alpha is None else None)

    def _levels(self, x: Tensor, uniform: Uniform | None) -> Tensor:
        levels = sign(x) if uniform is None else signs.signs_with_random_zeros(x, uniform)
        return (levels + 1.0) / 2.0 if self.argument("use_01") else levels

    def _automatic_scale(self, x: Tensor, power_of_two: bool) -> Tensor:
        return self._shared.scale(x, self._levels(x, None), power_of_two)

    def min(self) -> float:
        return 0.0 if self.argument("use_01") else -self._reach()


class _Sampled(_Signs):
    """Levels drawn in training, with the scale of the levels that inference has; gradient 1."""

    @abstractmethod
    def _likeliest(self, x: Tensor) -> Tensor:
        """The levels at inference."""

    @abstractmethod
    def _drawn(self, probability: Tensor, uniform: Uniform) -> Tensor:
        """Levels that are high with a probability."""

    def _sampled(self, x: Tensor, uniform: Uniform) -> Tensor:
        def values(v: Tensor) -> Tensor:
            width = signs.width_of(v, self.argument("alpha"), reduced_axes(v))
            probability = self._sigmoid()(float(self.argument("temperature")) * v / width)
            # An automatic scale belongs to the weights, not to one draw of their signs.
            return self.scale(v) * self._drawn(probability, uniform)

        return straight_through(x, values, None)

    def _automatic_scale(self, x: Tensor, power_of_two: bool) -> Tensor:
        return least_squares(x, self._likeliest(x), reduced_axes(x), power_of_two)


@_register
class stochastic_binary(_Sampled):
    """In training +1 with probability σ(T · x/w), w the deviation of the channel for an automatic alpha, else 1.

    At inference `binary`.
    """

    def __call__(self, x: Tensor, training: bool | None = None) -> Tensor:
        uniform = self._uniform(training)
        return binary(alpha=self.argument("alpha"))(x) if uniform is None else self._sampled(x, uniform)

    def _likeliest(self, x: Tensor) -> Tensor:
        return sign(x)

    def _drawn(self, probability: Tensor, uniform: Uniform) -> Tensor:
        return signs.random_signs(probability, uniform)


@_register
class bernoulli(_Sampled):
    """In training 1 with probability σ(T · x/w), else 0, times the scale; at inference 1 where x >= 0."""

    def __call__(self, x: Tensor, training: bool | None = None) -> Tensor:
        uniform = self._uniform(training)
        if uniform is not None:
            return self._sampled(x, uniform)
        return straight_through(x, lambda v: self.scale(v) * self._likeliest(v), None)

    def _likeliest(self, x: Tensor) -> Tensor:
        return (sign(x) + 1.0) / 2.0

    def _drawn(self, probability: Tensor, uniform: Uniform) -> Tensor:
        return (signs.random_signs(probability, uniform) + 1.0) / 2.0

    def min(self) -> float:
        return 0.0


class _Ternary(_Signs):
    def for_weights(self) -> Quantizer:
        """A threshold that was asked for is kept: it goes with a fixed scale only."""
        return self if self.argument("threshold") is not None else super().for_weights()

    def _automatic_scale(self, x: Tensor, power_of_two: bool) -> Tensor:
        unrolls = self.argument("number_of_unrolls")
        return signs.automatic_ternary(x, reduced_axes(x), power_of_two, unrolls, None)[1]


@_register
class ternary(_Ternary):
    """scale · (−1, 0 or +1). With a fixed scale, 0 where |x| < threshold; with an automatic one, see
    `automatic_ternary`. Gradient 1 − tanh² where alpha is None, else 1.
    """

    def __call__(self, x: Tensor, training: bool | None = None) -> Tensor:
        alpha = self.argument("alpha")
        uniform = self._uniform(training)

        def values(v: Tensor) -> Tensor:
            if isinstance(alpha, str):
                unrolls = self.argument("number_of_unrolls")
                levels, scale = signs.automatic_ternary(v, reduced_axes(v), alpha == "auto_po2", unrolls, uniform)
                return scale * levels
            return constant_scale(alpha) * signs.ternary_by_threshold(v, self.argument("threshold"))

        return straight_through(x, values, tanh_slope if alpha is None else None)


@_register
class stochastic_ternary(_Ternary):
    """In training half the sum of two random signs, gradient 1; see `stochastic_ternary_levels`. Else `ternary`."""

    def __call__(self, x: Tensor, training: bool | None = None) -> Tensor:
        alpha, threshold, unrolls = (self.argument(n) for n in ("alpha", "threshold", "number_of_unrolls"))
        uniform = self._uniform(training)
        if uniform is None:
            return ternary(alpha, threshold, False, unrolls)(x)

        def values(v: Tensor) -> Tensor:
            levels, scale = signs.stochastic_ternary_levels(
                v,
                reduced_axes(v),
                alpha,
                threshold,
                float(self.argument("temperature")),
                self._sigmoid(),
                unrolls,
                uniform,
            )
            return scale * levels

        return straight_through(x, values, None)
