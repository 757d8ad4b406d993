"""Operations on integer codes, int64 in and out, by numpy; arrays have the batch axis first and channels last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy

from qsearch.hardware.integer.formats import Codes, rounded_division

_EXACT = 2**53
"""Whole numbers up to this are exact in float64, whose matrix products are fast."""


Padding = tuple[tuple[int, int], ...]
"""Zeros before and after each axis of positions."""


class Operation(Protocol):
    """What one step computes."""

    def __call__(self, *inputs: Codes) -> Codes:
        """The codes of the output."""


@dataclass(frozen=True)
class Uniform:
    """Rounding to evenly spaced levels: clip(round(x · 2^shift / divisor), least, greatest)."""

    shift: int
    divisor: int
    least: int
    greatest: int
    half_away: bool = False

    def __call__(self, *inputs: Codes) -> Codes:
        codes = inputs[0]
        if self.shift >= 0:
            found = rounded_division(codes << self.shift, self.divisor, self.half_away)
        else:
            found = rounded_division(codes, self.divisor << -self.shift, self.half_away)
        return numpy.clip(found, self.least, self.greatest)


@dataclass(frozen=True, eq=False)
class Thresholds:
    """A step function: levels[how many thresholds are not above the code]."""

    thresholds: Codes
    levels: Codes

    def __call__(self, *inputs: Codes) -> Codes:
        return self.levels[numpy.searchsorted(self.thresholds, inputs[0], side="right")]


@dataclass(frozen=True, eq=False)
class ChannelThresholds:
    """A step function for each channel of the last axis; thresholds (channels, steps), levels (channels, steps + 1)."""

    thresholds: Codes
    levels: Codes

    def __call__(self, *inputs: Codes) -> Codes:
        codes = inputs[0]
        found = numpy.empty_like(codes)
        for channel, (thresholds, levels) in enumerate(zip(self.thresholds, self.levels, strict=True)):
            found[..., channel] = levels[numpy.searchsorted(thresholds, codes[..., channel], side="right")]
        return found


@dataclass(frozen=True)
class Clamp:
    """min(max(x, least), greatest): relu and its like."""

    least: int
    greatest: int

    def __call__(self, *inputs: Codes) -> Codes:
        return numpy.clip(inputs[0], self.least, self.greatest)


@dataclass(frozen=True, eq=False)
class Dense:
    """x · kernel + bias on the last axis; kernel (in, out), bias (out,)."""

    kernel: Codes
    bias: Codes | None
    bound: int

    def __call__(self, *inputs: Codes) -> Codes:
        return _with_bias(_product(inputs[0], self.kernel, self.bound), self.bias)


@dataclass(frozen=True, eq=False, kw_only=True)
class Convolution:
    """A convolution over one or two axes; kernel (height, width, in / groups, out), bias (out,).

    Attributes:
        padding: zeros before and after each axis.
        depthwise: kernel (height, width, in, multiplier): every channel by itself.
        flat: the tensors have one axis of positions; the kernel's height is 1.
        bound: no sum is larger.
    """

    kernel: Codes
    bias: Codes | None
    strides: tuple[int, int]
    padding: Padding
    dilation: tuple[int, int]
    groups: int
    depthwise: bool
    flat: bool
    bound: int

    def __call__(self, *inputs: Codes) -> Codes:
        x = inputs[0][:, None] if self.flat else inputs[0]
        windows = windows_of(x, self.kernel.shape[:2], self.strides, self.padding, self.dilation, 0)
        found = self._depthwise(windows) if self.depthwise else self._grouped(windows)
        found = _with_bias(found, self.bias)
        return found[:, 0] if self.flat else found

    def _grouped(self, windows: Codes) -> Codes:
        inside, outside = self.kernel.shape[2], self.kernel.shape[3] // self.groups
        parts = []
        for group in range(self.groups):
            part = windows[..., group * inside : (group + 1) * inside]
            kernel = self.kernel[..., group * outside : (group + 1) * outside]
            parts.append(_product(part.reshape(*part.shape[:3], -1), kernel.reshape(-1, outside), self.bound))
        return numpy.concatenate(parts, axis=-1)

    def _depthwise(self, windows: Codes) -> Codes:
        products: Codes = numpy.einsum("nhwijc,ijcm->nhwcm", windows, self.kernel)
        return products.reshape(*products.shape[:3], -1)


@dataclass(frozen=True, eq=False)
class Scale:
    """x · multiplier + offset, each of one number or one per channel: batch normalization, scales of channels."""

    multiplier: Codes
    offset: Codes | None

    def __call__(self, *inputs: Codes) -> Codes:
        return _with_bias(inputs[0] * self.multiplier, self.offset)


@dataclass(frozen=True)
class Merge:
    """Add, Subtract, Multiply, Maximum, Minimum of codes that are brought to one scale by their factors."""

    kind: str
    factors: tuple[int, ...]

    def __call__(self, *inputs: Codes) -> Codes:
        same = [codes * factor for codes, factor in zip(inputs, self.factors, strict=True)]
        if self.kind == "Subtract":
            return same[0] - same[1]
        functions = {"Add": numpy.add, "Multiply": numpy.multiply, "Maximum": numpy.maximum, "Minimum": numpy.minimum}
        found = same[0]
        for other in same[1:]:
            found = functions[self.kind](found, other)
        return found


@dataclass(frozen=True)
class Concatenate:
    """Codes side by side, brought to one scale by their factors; axis with the batch axis counted."""

    axis: int
    factors: tuple[int, ...]

    def __call__(self, *inputs: Codes) -> Codes:
        same = [codes * factor for codes, factor in zip(inputs, self.factors, strict=True)]
        return numpy.concatenate(same, axis=self.axis)


@dataclass(frozen=True, kw_only=True)
class Pool:
    """The greatest, or the sum times a factor, of each window; cells outside are the least code, or 0."""

    largest: bool
    window: tuple[int, int]
    strides: tuple[int, int]
    padding: Padding
    outside: int
    flat: bool
    factor: int = 1

    def __call__(self, *inputs: Codes) -> Codes:
        x = inputs[0][:, None] if self.flat else inputs[0]
        windows = windows_of(x, self.window, self.strides, self.padding, (1, 1), self.outside)
        pooled: Codes = windows.max(axis=(3, 4)) if self.largest else windows.sum(axis=(3, 4)) * self.factor
        return pooled[:, 0] if self.flat else pooled


@dataclass(frozen=True)
class Global:
    """The greatest, or the sum times a factor, over all positions."""

    largest: bool
    keepdims: bool = False
    factor: int = 1

    def __call__(self, *inputs: Codes) -> Codes:
        axes = tuple(range(1, inputs[0].ndim - 1))
        reduce = numpy.max if self.largest else numpy.sum
        return numpy.asarray(reduce(inputs[0], axis=axes, keepdims=self.keepdims)) * self.factor


@dataclass(frozen=True)
class Reshape:
    """The same codes in another shape, the batch axis not counted."""

    shape: tuple[int, ...]

    def __call__(self, *inputs: Codes) -> Codes:
        return inputs[0].reshape(len(inputs[0]), *self.shape)


@dataclass(frozen=True)
class Permute:
    """Axes in another order, the batch axis counted."""

    axes: tuple[int, ...]

    def __call__(self, *inputs: Codes) -> Codes:
        return inputs[0].transpose(self.axes)


@dataclass(frozen=True)
class Pad:
    """Zeros before and after each axis of positions."""

    padding: tuple[tuple[int, int], ...]

    def __call__(self, *inputs: Codes) -> Codes:
        return numpy.pad(inputs[0], ((0, 0), *self.padding, (0, 0)))


@dataclass(frozen=True)
class Repeat:
    """Every position several times: up-sampling by the nearest."""

    sizes: tuple[int, ...]

    def __call__(self, *inputs: Codes) -> Codes:
        found = inputs[0]
        for axis, size in enumerate(self.sizes, 1):
            found = found.repeat(size, axis=axis)
        return found


@dataclass(frozen=True)
class Stuff:
    """Zeros between neighbouring positions, one less than the stride: what a transposed convolution reads."""

    strides: tuple[int, ...]

    def __call__(self, *inputs: Codes) -> Codes:
        x = inputs[0]
        sides = [(side - 1) * stride + 1 for side, stride in zip(x.shape[1:-1], self.strides, strict=True)]
        found = numpy.zeros((len(x), *sides, x.shape[-1]), numpy.int64)
        found[(slice(None), *(slice(None, None, stride) for stride in self.strides))] = x
        return found


@dataclass(frozen=True)
class Slice:
    """The codes from `start` to before `stop` along an axis, the batch axis counted."""

    axis: int
    start: int
    stop: int

    def __call__(self, *inputs: Codes) -> Codes:
        whole: tuple[slice, ...] = (slice(None),) * self.axis
        return inputs[0][(*whole, slice(self.start, self.stop))]


@dataclass(frozen=True, eq=False)
class Lookup:
    """A row of a table for every code, along a new last axis; table (codes, row)."""

    table: Codes

    def __call__(self, *inputs: Codes) -> Codes:
        return self.table[inputs[0]]


def windows_of(
    x: Codes,
    window: Sequence[int],
    strides: tuple[int, int],
    padding: Padding,
    dilation: tuple[int, int],
    outside: int,
) -> Codes:
    """(batch, rows, columns, height, width, channels): what each output position looks at."""
    padded = numpy.pad(x, ((0, 0), *padding, (0, 0)), constant_values=outside)
    reach = [(side - 1) * step + 1 for side, step in zip(window, dilation, strict=True)]
    views: Any = numpy.lib.stride_tricks.sliding_window_view(padded, reach, axis=(1, 2))
    views = views[:, :: strides[0], :: strides[1], :, :: dilation[0], :: dilation[1]]
    return numpy.moveaxis(views, 3, 5)


def same_padding(sizes: Sequence[int], window: Sequence[int], strides: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Zeros before and after each axis so that ceil(size / stride) positions fit, as TensorFlow pads."""
    found = []
    for size, side, stride in zip(sizes, window, strides, strict=True):
        total = max((math.ceil(size / stride) - 1) * stride + side - size, 0)
        found.append((total // 2, total - total // 2))
    return tuple(found)


def _product(x: Codes, kernel: Codes, bound: int) -> Codes:
    if bound < _EXACT:
        return (x.astype(numpy.float64) @ kernel.astype(numpy.float64)).astype(numpy.int64)
    return x @ kernel


def _with_bias(x: Codes, bias: Codes | None) -> Codes:
    return x if bias is None else x + bias
