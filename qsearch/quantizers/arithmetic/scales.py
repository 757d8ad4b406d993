"""Scales that a tensor asks for: least squares, one per channel or per group of channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from qsearch.errors import ConfigError
from qsearch.quantizers.arithmetic.tensors import Tensor, kept_axes, least_squares, reduced_axes

Axes = int | Sequence[int] | None


@dataclass(frozen=True)
class Sharing:
    """Which values share one scale, and the powers of two that it may be.

    Attributes:
        axis: scales vary along these axes; None for the last.
        elements: along each of these axes, consecutive groups of so many entries share a scale.
        least, greatest: bounds of a power of two's exponent.

    Raises:
        ConfigError: a tensor whose axes the groups do not divide.
    """

    axis: Axes = None
    elements: Axes = None
    least: int | None = None
    greatest: int | None = None

    def scale(self, x: Tensor, levels: Tensor, power_of_two: bool) -> Tensor:
        """The least-squares scale; broadcasts against x."""
        if self.elements is None or len(x.shape) < 2:
            found = least_squares(x, levels, reduced_axes(x, self.axis), power_of_two)
        else:
            found = self._grouped(x, levels, power_of_two)
        if power_of_two and self.least is not None:
            found = tf.maximum(found, 2.0**self.least)
        return tf.minimum(found, 2.0**self.greatest) if power_of_two and self.greatest is not None else found

    def _grouped(self, x: Tensor, levels: Tensor, power_of_two: bool) -> Tensor:
        kept = kept_axes(x, self.axis)
        sizes = [self.elements] * len(kept) if isinstance(self.elements, int) else list(self.elements or ())
        size_of = dict(zip(kept, sizes, strict=True))
        split: list[int] = []
        reduced: list[int] = []
        for axis, length in enumerate(x.shape):
            size = size_of.get(axis)
            if size is None:
                reduced.append(len(split))
                split.append(length)
            elif length % size:
                raise ConfigError(
                    f"elements_per_scale: axis {axis} has {length} entries, which is no multiple of {size}"
                )
            else:
                split += [length // size, size]
                reduced.append(len(split) - 1)
        groups = least_squares(tf.reshape(x, split), tf.reshape(levels, split), reduced, power_of_two)
        scales = tf.reshape(groups, [x.shape[a] // size_of[a] if a in size_of else 1 for a in range(len(x.shape))])
        for axis, size in size_of.items():
            scales = tf.repeat(scales, size, axis=axis)
        return scales
