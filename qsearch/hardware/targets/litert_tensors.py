"""Tensors of a LiteRT file for the steps of an integer model: int8 codes, or float32 where int8 has too few bits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy

from qsearch.hardware.integer.formats import Codes, Format
from qsearch.hardware.targets.litert_file import File, Quantization
from qsearch.hardware.targets.litert_rounding import DEFAULT, DENSE_REFERENCE, REFERENCE

LEAST, GREATEST = -128, 127
NONE, RELU, RELU_N1_TO_1, RELU6 = 0, 1, 2, 3
"""TFLite's numbers for activations."""
VALID, SAME = 1, 0


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A tensor of the file.

    Attributes:
        shape: as it lies in the file, the batch axis not counted; of as many numbers as the step's.
        form: of its codes; real numbers are code · 2^-fraction, whatever the divisor.
        zero: the zero point of int8; None for float32.
    """

    index: int
    shape: tuple[int, ...]
    form: Format
    zero: int | None

    @property
    def real(self) -> bool:
        return self.zero is None


@dataclass(frozen=True, kw_only=True)
class Ends:
    """How codes are kept in their range.

    Attributes:
        activation: a fused one.
        least, greatest: a code that a further operation cuts off at; None for none.
    """

    zero: int
    activation: int = NONE
    least: int | None = None
    greatest: int | None = None


class Tensors:
    """A file in the making, and what brings its tensors into other shapes and scales."""

    def __init__(self) -> None:
        self.file = File()
        self.tensors: dict[str, Tensor] = {}
        self.made: dict[tuple[Any, ...], Tensor] = {}

    def _new(self, name: str, shape: Sequence[int], form: Format, zero: int | None) -> Tensor:
        quantization = None if zero is None else Quantization(scales=(2.0**-form.fraction,), zero_point=zero)
        kind = "float32" if zero is None else "int8"
        index = self.file.tensor(name, kind, (1, *shape), quantization)
        return Tensor(index=index, shape=tuple(shape), form=form, zero=zero)

    def _shaped(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        """The same numbers in another shape."""
        wanted = tuple(shape)
        if x.shape == wanted:
            return x
        key = "shape", x.index, wanted
        if key not in self.made:
            made = self._new(f"{self._name(x)}:shaped", wanted, x.form, x.zero)
            sides = self.file.constant(f"{self._name(x)}:shape", "int32", [-1, *wanted])
            self.file.operator("RESHAPE", [x.index, sides], [made.index], "Reshape", newShape=[-1, *wanted])
            self.made[key] = made
        return replace(self.made[key], form=x.form)

    def _name(self, x: Tensor) -> str:
        return self.file.tensors[x.index].name

    def _as_real(self, x: Tensor) -> Tensor:
        """In float32."""
        if x.real:
            return x
        key = "real", x.index
        if key not in self.made:
            made = self._new(f"{self._name(x)}:real", x.shape, x.form, None)
            self.file.operator("DEQUANTIZE", [x.index], [made.index], "Dequantize", version=2)
            self.made[key] = made
        return self.made[key]

    def _as_codes(self, x: Tensor, fraction: int, zero: int) -> Tensor:
        """An int8 tensor with another zero point, or finer steps."""
        if x.zero == zero and x.form.fraction == fraction:
            return x
        key = "codes", x.index, fraction, zero
        if key not in self.made:
            factor = 1 << (fraction - x.form.fraction)
            form = Format(fraction=fraction, least=x.form.least * factor, greatest=x.form.greatest * factor)
            channels = x.shape[-1] if x.shape else 1
            image = self._shaped(x, (1, math.prod(x.shape) // channels, channels))
            made = self._new(f"{self._name(x)}:codes", image.shape, form, zero)
            self._depthwise_of_one(image, made, float(factor))
            self.made[key] = self._shaped(made, x.shape)
        return self.made[key]

    def _depthwise_of_one(self, x: Tensor, made: Tensor, scale: float) -> None:
        """made = round(scale · x) by an operation that rounds as convolutions do."""
        channels = x.shape[-1]
        scales = (scale * 2.0 ** (x.form.fraction - made.form.fraction),) * channels
        name = self._name(made)
        ones = self.file.constant(
            f"{name}:ones", "int8", numpy.ones((1, 1, 1, channels)), Quantization(scales=scales, axis=3)
        )
        zeros = Quantization(scales=tuple(one * 2.0**-x.form.fraction for one in scales))
        bias = self.file.constant(f"{name}:zeros", "int32", numpy.zeros(channels), zeros)
        self._windowed("DEPTHWISE_CONV_2D", [x.index, ones, bias], made.index, VALID, NONE, depthMultiplier=1)

    def _windowed(
        self,
        kind: str,
        inputs: Sequence[int],
        output: int,
        padding: int,
        activation: int,
        strides: Sequence[int] = (1, 1),
        dilation: Sequence[int] = (1, 1),
        **options: int,
    ) -> None:
        own = "Conv2D" if kind == "CONV_2D" else "DepthwiseConv2D"
        self.file.operator(
            kind,
            inputs,
            [output],
            own,
            version=3,
            padding=padding,
            fusedActivationFunction=activation,
            strideH=strides[0],
            strideW=strides[1],
            dilationHFactor=dilation[0],
            dilationWFactor=dilation[1],
            **options,
        )

    def _cut(self, x: Tensor, ends: Ends) -> Tensor:
        """Codes cut off where neither int8 nor an activation does it."""
        for kind, code in (("MAXIMUM", ends.least), ("MINIMUM", ends.greatest)):
            if code is not None and x.zero is not None:
                name = self._name(x)
                own = Quantization(scales=(2.0**-x.form.fraction,), zero_point=x.zero)
                end = self.file.constant(f"{name}:end", "int8", [code + x.zero], own)
                made = self._new(f"{name}:cut", x.shape, x.form, x.zero)
                self.file.operator(kind, [x.index, end], [made.index], "MaximumMinimum", version=2)
                x = made
        return x

    def _real_constant(self, name: str, values: Any) -> int:
        return self.file.constant(name, "float32", values)

    def _arithmetic(self, kind: str, name: str, x: Tensor, other: int) -> Tensor:
        """ADD, SUB or MUL of a float32 tensor and another one, or a constant."""
        made = self._new(name, x.shape, x.form, None)
        own = {"ADD": "Add", "SUB": "Sub", "MUL": "Mul"}.get(kind, "MaximumMinimum")
        options = {} if own == "MaximumMinimum" else {"fusedActivationFunction": NONE}
        self.file.operator(kind, [x.index, other], [made.index], own, **options)
        return made


def ends_of(form: Format, reach: tuple[int, int], fused: bool = True) -> Ends:
    """A zero point with which as much as possible is cut off by int8's own ends, or by an activation.

    Args:
        reach: the least and the greatest code before anything is cut off.
        fused: whether the operation may have an activation.
    """
    low, high = reach[0] < form.least, reach[1] > form.greatest
    zeros = {
        zero: None
        for zero in (GREATEST - form.greatest, 0, LEAST - form.least)
        if zero + form.least >= LEAST and zero + form.greatest <= GREATEST and LEAST <= zero <= GREATEST
    }
    found = []
    for zero in zeros:
        for activation in (NONE, RELU, RELU_N1_TO_1, RELU6) if fused else (NONE,):
            least, greatest = _range(activation, form.fraction, zero)
            if least > form.least or greatest < form.greatest:
                continue
            below, above = low and least < form.least, high and greatest > form.greatest
            ends = Ends(
                zero=zero,
                activation=activation,
                least=form.least if below else None,
                greatest=form.greatest if above else None,
            )
            found.append((below + above, ends))
    return min(found, key=lambda one: one[0])[1]


def _range(activation: int, fraction: int, zero: int) -> tuple[int, int]:
    """The codes that int8 and an activation leave."""
    least, greatest = LEAST - zero, GREATEST - zero
    if activation == NONE:
        return least, greatest
    low, high = {RELU: (0.0, math.inf), RELU_N1_TO_1: (-1.0, 1.0), RELU6: (0.0, 6.0)}[activation]
    ends = math.ldexp(low, fraction), math.ldexp(high, fraction) if high < math.inf else math.inf
    if any(end != int(end) for end in ends if end < math.inf):
        return 1, 0  # rounded by the kernel in its own way
    return max(least, int(ends[0])), int(min(greatest, ends[1]))


def zero_of(form: Format, zeros: Sequence[int | None] = ()) -> int:
    """A zero point for codes: the first of some that does, else 0, else one that does."""
    for zero in (*zeros, 0):
        if zero is not None and zero + form.least >= LEAST and zero + form.greatest <= GREATEST:
            return zero
    return LEAST - form.least


def simulated(kernels: Sequence[str], dense: bool) -> tuple[str, ...]:
    """The ways of rounding that an operation must be exact with."""
    found: list[str] = []
    for kernel in kernels:
        found += [kernel] if kernel == DEFAULT or not dense else [REFERENCE, DENSE_REFERENCE]
    return tuple(found)


def common(codes: Codes) -> Codes:
    """The greatest common divisor of every channel's codes, at least 1; channels last."""
    found = numpy.gcd.reduce(numpy.abs(codes).reshape(-1, codes.shape[-1]), axis=0)
    divisors: Codes = numpy.maximum(found, 1)
    return divisors
