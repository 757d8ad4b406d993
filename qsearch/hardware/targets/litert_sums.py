"""Sums and the rules behind them as operations of LiteRT: one in int8, or several in float32."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy

from qsearch.hardware.integer import operations as ops
from qsearch.hardware.integer.formats import FLOAT32_BITS, Codes, Format
from qsearch.hardware.targets.litert_file import Quantization
from qsearch.hardware.targets.litert_rounding import Fit, fitted, fitted_real, steps_of
from qsearch.hardware.targets.litert_steps import Chain, Sums
from qsearch.hardware.targets.litert_tensors import (
    NONE,
    SAME,
    VALID,
    Ends,
    Tensor,
    Tensors,
    common,
    ends_of,
    simulated,
    zero_of,
)

WEIGHT = 127
"""The greatest weight that int8 tensors of TFLite have."""
_INT32 = 2**31
Found = TypeVar("Found")
_LONGEST = 2**16
_TABLE = 2**12
"""Entries of a table, a byte each."""


class NotExactError(Exception):
    """What int8, or float32, does not compute exactly; told as an ExportError where nothing else does."""


class SumsWriter(Tensors):
    """Writes sums of products, with the rule behind them.

    Args:
        kernels: "default", "reference", or both: what the file must be exact with.
    """

    def __init__(self, kernels: Sequence[str]) -> None:
        super().__init__()
        self.kernels = tuple(kernels)

    # in int8

    def _fused(self, x: Tensor, sums: Sums, chain: Chain, name: str, form: Format, shape: Sequence[int]) -> Tensor:
        """A sum and its rule as one operation with int8 in and out.

        Raises:
            NotExactError: no scale and bias give the rule.
        """
        if not chain.monotonic:
            raise NotExactError("rule")
        scaled = common(sums.kernel)
        kernel = sums.kernel // scaled
        largest = numpy.abs(kernel).reshape(-1, sums.channels).max(axis=0)
        if largest.max() > WEIGHT:
            raise NotExactError("kernel")
        steps = steps_of(
            lambda found: chain(found * scaled), sums.low // scaled, sums.high // scaled, form.least, form.greatest
        )
        lines = chain.lines(sums.channels)
        own = [None if line is None else (line[0] * int(by), line[1]) for line, by in zip(lines, scaled, strict=True)]
        for dense in (True, False) if sums.dense and len(shape) == 1 else (False,):
            ways = simulated(self.kernels, dense)
            fits = _all(
                fitted(step, line, int(size), ways) for step, line, size in zip(steps, own, largest, strict=True)
            )
            if fits is not None:
                break
        else:
            raise NotExactError("rule")
        used = numpy.abs(kernel).reshape(-1, sums.channels).sum(axis=0) * x.form.magnitude
        if any(abs(fit.factor) * int(most) + abs(fit.bias) >= _INT32 for fit, most in zip(fits, used, strict=True)):
            raise NotExactError("int32")
        ends = ends_of(form, (min(fit.reach[0] for fit in fits), max(fit.reach[1] for fit in fits)))
        return self._written(x, sums, kernel, fits, name, form, shape, ends, dense)

    def _written(
        self,
        x: Tensor,
        sums: Sums,
        kernel: Codes,
        fits: Sequence[Fit],
        name: str,
        form: Format,
        shape: Sequence[int],
        ends: Ends,
        dense: bool,
    ) -> Tensor:
        places = 2.0 ** (x.form.fraction - form.fraction)
        scales = [fit.scale * places for fit in fits]
        if dense and len(set(scales)) == 1:
            scales = scales[:1]
        codes = kernel * numpy.array([fit.factor for fit in fits])
        bias = [fit.bias for fit in fits]
        own = tuple(scales), tuple(scale * 2.0**-x.form.fraction for scale in scales)
        if dense:
            return self._cut(self._dense(x, codes, bias, name, form, own, ends), ends)
        read, output_shape, padding = self._image(x, sums, shape)
        made = self._new(name, output_shape, form, ends.zero)
        weights, axis = _oriented(sums, codes)
        inputs = [
            read.index,
            self.file.constant(f"{name}:kernel", "int8", weights, Quantization(scales=own[0], axis=axis)),
            self.file.constant(f"{name}:bias", "int32", bias, Quantization(scales=own[1])),
        ]
        self._convolved(sums, inputs, made.index, padding, ends.activation)
        return self._cut(made, ends)

    def _dense(
        self,
        x: Tensor,
        codes: Codes,
        bias: list[int],
        name: str,
        form: Format,
        scales: tuple[tuple[float, ...], tuple[float, ...]],
        ends: Ends,
    ) -> Tensor:
        read = self._shaped(x, codes.shape[:1])
        made = self._new(name, codes.shape[1:], form, ends.zero)
        weights = self.file.constant(f"{name}:kernel", "int8", codes.T, Quantization(scales=scales[0]))
        offset = self.file.constant(f"{name}:bias", "int32", bias, Quantization(scales=scales[1]))
        self.file.operator(
            "FULLY_CONNECTED",
            [read.index, weights, offset],
            [made.index],
            "FullyConnected",
            version=12 if len(scales[0]) > 1 else 4,
            fusedActivationFunction=ends.activation,
        )
        return made

    def _image(self, x: Tensor, sums: Sums, shape: Sequence[int]) -> tuple[Tensor, tuple[int, ...], int]:
        """(what a convolution reads, padded where TFLite has no such padding; the shape that it gives; its padding)."""
        sides: tuple[int, ...] = tuple(shape)
        if sums.dense:
            logical = (*sides[:-1], sums.kernel.shape[0])
            positions = math.prod(sides[:-1])
            return self._shaped(x, (1, positions, logical[-1])), (1, positions, sides[-1]), VALID
        if len(x.shape) != 3:
            x = self._shaped(x, (1, math.prod(x.shape[:-1]), x.shape[-1]))
        reach = [(side - 1) * step + 1 for side, step in zip(sums.kernel.shape[:2], sums.dilation, strict=True)]
        sizes = [
            (size + sum(more) - far) // step + 1
            for size, more, far, step in zip(x.shape[:2], sums.padding, reach, sums.strides, strict=True)
        ]
        output = (*sizes, sums.channels)
        if not any(low or high for low, high in sums.padding):
            return x, output, VALID
        if sums.padding == ops.same_padding(x.shape[:2], reach, sums.strides):
            return x, output, SAME
        return self._padded(x, sums.padding), output, VALID

    def _padded(self, x: Tensor, padding: ops.Padding) -> Tensor:
        """With zeros around; the codes' zeros are what int8 tensors are padded with."""
        sides = [(0, 0), *padding, *((0, 0),) * (len(x.shape) - len(padding))]
        key = "padded", x.index, tuple(sides)
        if key not in self.made:
            shape = tuple(size + low + high for size, (low, high) in zip(x.shape, sides[1:], strict=True))
            made = self._new(f"{self._name(x)}:padded", shape, x.form, x.zero)
            amounts = self.file.constant(f"{self._name(x)}:padding", "int32", sides)
            self.file.operator("PAD", [x.index, amounts], [made.index], "Pad", version=1 if x.real else 2)
            self.made[key] = made
        return self.made[key]

    def _convolved(self, sums: Sums, inputs: Sequence[int], output: int, padding: int, activation: int = NONE) -> None:
        options: dict[str, Any] = {"depthMultiplier": sums.repeats} if sums.depthwise else {}
        kind = "DEPTHWISE_CONV_2D" if sums.depthwise else "CONV_2D"
        self._windowed(kind, inputs, output, padding, activation, sums.strides, sums.dilation, **options)

    # in float32

    def _real_sums(self, x: Tensor, sums: Sums, name: str, form: Format, shape: Sequence[int]) -> Tensor:
        """Sums in float32, by weights in int8.

        Raises:
            NotExactError: sums that float32 rounds.
        """
        if sums.bound > 1 << FLOAT32_BITS:
            raise NotExactError("float32")
        by = int(numpy.gcd.reduce(sums.kernel.reshape(-1)))
        power = (by & -by) if by else 1
        codes = sums.kernel // power
        if numpy.abs(codes).max() > WEIGHT:
            raise NotExactError("kernel")
        fraction = form.fraction - x.form.fraction
        dense = sums.dense and len(shape) == 1
        read, output_shape, padding = (x, (), VALID) if dense else self._image(x, sums, shape)
        read = self._as_real(self._shaped(x, sums.kernel.shape[:1]) if dense else read)
        weights, _ = (codes.T, 0) if dense else _oriented(sums, codes)
        own = Quantization(scales=(power * 2.0**-fraction,))
        kernel = self.file.constant(f"{name}:kernel", "int8", weights, own)
        whole = self.file.tensor(f"{name}:kernel:real", "float32", weights.shape)
        self.file.operator("DEQUANTIZE", [kernel], [whole], "Dequantize", version=2)
        bias = numpy.zeros(sums.channels) if sums.bias is None else sums.bias
        offset = self._real_constant(f"{name}:bias", numpy.ldexp(bias.astype(numpy.float64), -form.fraction))
        made = self._new(name, shape if dense else output_shape, form, None)
        if dense:
            inputs = [read.index, whole, offset]
            self.file.operator("FULLY_CONNECTED", inputs, [made.index], "FullyConnected", fusedActivationFunction=NONE)
        else:
            self._convolved(sums, [read.index, whole, offset], made.index, padding)
        return made

    def _real_rule(self, x: Tensor, chain: Chain, name: str, form: Format, channels: int) -> Tensor:
        """The rule on a float32 tensor: multiply, add, quantize.

        Raises:
            NotExactError: float32 does not give the rule.
        """
        if x.form.magnitude > 1 << FLOAT32_BITS:
            raise NotExactError("float32")
        if not chain.monotonic:
            raise NotExactError("table")
        low, high = numpy.full(channels, x.form.least), numpy.full(channels, x.form.greatest)
        steps = steps_of(chain, low, high, form.least, form.greatest)
        fits = _all(
            fitted_real(step, line, self.kernels) for step, line in zip(steps, chain.lines(channels), strict=True)
        )
        if fits is None:
            raise NotExactError("rule")
        ends = ends_of(form, (min(fit.reach[0] for fit in fits), max(fit.reach[1] for fit in fits)), fused=False)
        factors = numpy.ldexp([fit.slope for fit in fits], x.form.fraction - form.fraction)
        offsets = numpy.ldexp([fit.offset for fit in fits], -form.fraction)
        found = x
        for kind, numbers, idle in (("MUL", factors, 1.0), ("ADD", offsets, 0.0)):
            if (numbers != idle).any():
                alike = (numbers == numbers[0]).all()
                number = self._real_constant(f"{name}:{kind.lower()}", numbers[:1] if alike else numbers)
                found = self._arithmetic(kind, f"{name}:{kind.lower()}", found, number)
        made = self._new(name, found.shape, form, ends.zero)
        self.file.operator("QUANTIZE", [found.index], [made.index], "Quantize", version=1)
        return self._cut(made, ends)

    def _real_table(self, x: Tensor, chain: Chain, name: str, form: Format) -> Tensor:
        """Any function of a float32 tensor's codes, looked up.

        Raises:
            NotExactError: the codes are too many.
        """
        low, high = x.form.least, x.form.greatest
        if high - low > _LONGEST:
            raise NotExactError("table")
        levels = chain(numpy.arange(low, high + 1))
        changes = numpy.flatnonzero(numpy.diff(levels))
        first, last = (int(changes[0]), int(changes[-1]) + 1) if changes.size else (0, 0)
        if last - first >= _TABLE:
            raise NotExactError("table")
        zero = zero_of(form)
        own = Quantization(scales=(2.0**-form.fraction,), zero_point=zero)
        table = self.file.constant(f"{name}:table", "int8", levels[first : last + 1] + zero, own)
        found = x
        for kind, number, idle in (
            ("MUL", 2.0**x.form.fraction, 1.0),
            ("ADD", -float(low + first), 0.0),
            ("MAXIMUM", 0.0, -numpy.inf),
            ("MINIMUM", float(last - first), numpy.inf),
        ):
            if number != idle:
                own_number = self._real_constant(f"{name}:{kind.lower()}", [number])
                found = self._arithmetic(kind, f"{name}:{kind.lower()}", found, own_number)
        places = self.file.tensor(f"{name}:places", "int32", (1, *found.shape))
        self.file.operator("CAST", [found.index], [places], "Cast", inDataType=0, outDataType=2)
        made = self._new(name, found.shape, form, zero)
        self.file.operator("GATHER", [table, places], [made.index], "Gather", version=2, axis=0, batchDims=0)
        return made


def _all(fits: Iterable[Found | None]) -> list[Found] | None:
    """All of them, or None as soon as one is missing."""
    found = []
    for fit in fits:
        if fit is None:
            return None
        found.append(fit)
    return found


def _oriented(sums: Sums, codes: Codes) -> tuple[Codes, int]:
    """(a kernel as TFLite has it, the axis of its output channels)."""
    if sums.dense:
        return codes.T[:, None, None], 0
    if sums.depthwise:
        return codes[None], 3
    return codes.transpose(3, 0, 1, 2), 0
