"""The steps of an integer model, arranged for LiteRT: a sum and the rules behind it as one operation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy

from qsearch.hardware.integer import operations as ops
from qsearch.hardware.integer.formats import Codes, Format
from qsearch.hardware.integer.model import IntegerModel, Step

ELEMENTWISE = (ops.Scale, ops.Uniform, ops.Thresholds, ops.ChannelThresholds, ops.Clamp)
RULES = (ops.Uniform, ops.Thresholds, ops.ChannelThresholds)
"""What rounds to levels."""
_TABLES = (ops.Thresholds, ops.ChannelThresholds)
_EARLY = (ops.Uniform, ops.Thresholds, ops.Clamp)
"""What may come before a move: the same for every channel."""
BYTE = 256
"""Codes of a tensor in int8."""
_WEIGHT = 127


@dataclass(frozen=True, kw_only=True)
class Sums:
    """Sums of products, as TFLite has operations for them.

    Attributes:
        kernel: (in, out) of a dense layer, else (height, width, in, out); by itself for every channel where
            `depthwise`: (height, width, out).
        low, high: of the sums of every channel, the bias not counted.
        bound: no sum of absolute values is larger, the bias counted.
        repeats: channels that a depthwise kernel makes of one.
    """

    kernel: Codes
    bias: Codes | None
    low: Codes
    high: Codes
    bound: int
    depthwise: bool = False
    flat: bool = False
    strides: tuple[int, int] = (1, 1)
    padding: ops.Padding = ((0, 0), (0, 0))
    dilation: tuple[int, int] = (1, 1)
    repeats: int = 1

    @property
    def channels(self) -> int:
        return int(self.kernel.shape[-1])

    @property
    def dense(self) -> bool:
        return self.kernel.ndim == 2


def in_a_byte(form: Format) -> bool:
    """Whether int8 holds the codes, by some zero point, and they mean whole steps."""
    return form.divisor == 1 and max(form.greatest, 0) - min(form.least, 0) < BYTE and abs(form.fraction) < 100


def sums_of(step: Step, form: Format, shape: Sequence[int]) -> Sums | None:
    """The sums that a step computes of codes of a format and shape; None where it computes none."""
    match step.operation:
        case ops.Dense(kernel=kernel, bias=bias):
            return _sums(kernel, bias, form)
        case ops.Convolution() as rule:
            kernel = rule.kernel
            if rule.depthwise:
                kernel = kernel.reshape(*kernel.shape[:2], -1)
            made = _sums(kernel, rule.bias, form, rule.depthwise)
            repeats = rule.kernel.shape[3] if rule.depthwise else 1
            return replace(
                made,
                flat=rule.flat,
                strides=rule.strides,
                padding=rule.padding,
                dilation=rule.dilation,
                repeats=repeats,
            )
        case ops.Pool(largest=False) as rule:
            kernel = numpy.full((*rule.window, shape[-1]), rule.factor, numpy.int64)
            made = _sums(kernel, None, form, True)
            return replace(made, flat=rule.flat, strides=rule.strides, padding=rule.padding)
        case ops.Global(largest=False) as rule:
            sides = (1, math.prod(shape[:-1])) if len(shape) != 3 else shape[:-1]
            kernel = numpy.full((*sides, shape[-1]), rule.factor, numpy.int64)
            return replace(_sums(kernel, None, form, True), flat=len(shape) != 3)
    return None


def identity(form: Format, channels: int) -> Sums:
    """Every number by itself."""
    return _sums(numpy.ones((1, 1, channels), numpy.int64), None, form, True)


def stacked(factors: Sequence[int], form: Format, channels: int) -> Sums:
    """The sum of tensors that lie one behind the other."""
    column = numpy.array(factors, numpy.int64)[:, None, None]
    return _sums(numpy.broadcast_to(column, (len(factors), 1, channels)).copy(), None, form, True)


def _sums(kernel: Codes, bias: Codes | None, form: Format, depthwise: bool = False) -> Sums:
    rows = kernel.reshape(-1, kernel.shape[-1])
    positive, negative = numpy.maximum(rows, 0).sum(axis=0), numpy.minimum(rows, 0).sum(axis=0)
    least, greatest = min(form.least, 0), max(form.greatest, 0)
    offset = 0 if bias is None else numpy.abs(bias)
    return Sums(
        kernel=kernel,
        bias=bias,
        low=positive * least + negative * greatest,
        high=positive * greatest + negative * least,
        bound=int(((positive - negative) * form.magnitude + offset).max()),
        depthwise=depthwise,
    )


class Chain:
    """Elementwise steps behind sums: a function of one number, by channel."""

    def __init__(self, steps: Sequence[Step], bias: Codes | None) -> None:
        self.steps, self.bias = steps, bias

    def __call__(self, sums: Codes) -> Codes:
        found = sums if self.bias is None else sums + self.bias
        for step in self.steps:
            found = step.operation(found)
        return found

    @property
    def monotonic(self) -> bool:
        return all(_monotonic(step.operation) for step in self.steps)

    @property
    def tabled(self) -> bool:
        """Whether it has a table, and is the same for every channel."""
        scales = [step.operation for step in self.steps if isinstance(step.operation, ops.Scale)]
        alike = all(scale.multiplier.size == 1 and (scale.offset is None or scale.offset.size == 1) for scale in scales)
        kinds = {type(step.operation) for step in self.steps}
        return alike and ops.Thresholds in kinds and ops.ChannelThresholds not in kinds

    def lines(self, channels: int) -> list[tuple[Fraction, Fraction] | None]:
        """(slope, offset) of the codes over the sums, before rounding, by channel; None behind a table."""
        if any(isinstance(step.operation, _TABLES) for step in self.steps):
            return [None] * channels
        return [self._line(channel) for channel in range(channels)]

    def _line(self, channel: int) -> tuple[Fraction, Fraction]:
        slope, offset = Fraction(1), Fraction(_of(self.bias, channel))
        for step in self.steps:
            match step.operation:
                case ops.Scale(multiplier=multiplier, offset=shift):
                    factor = _of(multiplier, channel)
                    slope, offset = slope * factor, offset * factor + _of(shift, channel)
                case ops.Uniform(shift=shift, divisor=divisor):
                    factor_ = Fraction(2) ** shift / divisor
                    slope, offset = slope * factor_, offset * factor_
        return slope, offset


def _of(numbers: Codes | None, channel: int) -> int:
    if numbers is None:
        return 0
    flat = numbers.reshape(-1)
    return int(flat[channel if flat.size > 1 else 0])


def _monotonic(operation: ops.Operation) -> bool:
    if not isinstance(operation, _TABLES):
        return True
    steps = numpy.diff(numpy.atleast_2d(operation.levels), axis=1)
    return bool(((steps >= 0).all(axis=1) | (steps <= 0).all(axis=1)).all())


def _rising(operation: ops.Operation) -> bool:
    return not isinstance(operation, ops.Thresholds) or bool((numpy.diff(operation.levels) >= 0).all())


def arranged(model: IntegerModel) -> tuple[Step, ...]:
    """The steps with rules before what moves wide codes about, so that they come right behind the sums."""
    steps = list(model.steps)
    outputs = {output.step for output in model.outputs}
    while True:
        place = _movable(steps, outputs)
        if place is None:
            return tuple(steps)
        rule, mover = steps[place], next(step for step in steps if step.name == steps[place].inputs[0])
        before = next(step for step in steps if step.name == mover.inputs[0])
        early = replace(rule, name=f"{rule.name}:early", inputs=mover.inputs, shape=before.shape)
        late = replace(mover, name=rule.name, inputs=(early.name,), form=rule.form)
        at = steps.index(mover)
        steps[place : place + 1] = []
        steps[at : at + 1] = [early, late]


def _movable(steps: Sequence[Step], outputs: set[str]) -> int | None:
    """The place of a rule that may change places with the step before it."""
    by_name = {step.name: step for step in steps}
    readers: dict[str, int] = {}
    for step in steps:
        for name in step.inputs:
            readers[name] = readers.get(name, 0) + 1
    for place, step in enumerate(steps):
        if not isinstance(step.operation, _EARLY):
            continue
        mover = by_name.get(step.inputs[0])
        if mover is None or mover.name in outputs or readers[mover.name] > 1 or not _moves(mover, step):
            continue
        before = by_name.get(mover.inputs[0])
        alone = before is not None and before.name not in outputs and readers[before.name] == 1
        if alone and before is not None and not in_a_byte(before.form):
            return place
    return None


def _moves(mover: Step, rule: Step) -> bool:
    match mover.operation:
        case ops.Reshape() | ops.Permute() | ops.Repeat():
            return True
        case ops.Pool(largest=True) | ops.Global(largest=True):
            return _rising(rule.operation)
    return False
