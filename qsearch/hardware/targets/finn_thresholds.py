"""An integer model as FINN wants it: every activation a table of thresholds on the integers of a sum.

What stands between a sum and its quantizer (scales of channels, batch normalization) goes into the thresholds, and
where that makes a channel fall, its kernel changes its sign, as FINN's thresholds only rise. (Umuroglu et al. 2017,
doi:10.1145/3020078.3021744.)
"""

from __future__ import annotations

from dataclasses import replace

import numpy

from qsearch.errors import ExportError
from qsearch.hardware.integer.channel_steps import first_codes
from qsearch.hardware.integer.formats import Codes, Format
from qsearch.hardware.integer.model import IntegerModel, Step
from qsearch.hardware.integer.operations import (
    ChannelThresholds,
    Convolution,
    Dense,
    Operation,
    Scale,
    Thresholds,
    Uniform,
)

MOST_LEVELS = 256
Rule = Uniform | Thresholds | ChannelThresholds


def with_thresholds(model: IntegerModel) -> IntegerModel:
    """The same function of the same inputs, its activations as rising thresholds.

    Raises:
        ExportError: an activation of more than 8 bits, one that rises and falls, or a falling one behind something
            that is no sum of products.
    """
    return _Rewritten(model).model()


class _Rewritten:
    def __init__(self, model: IntegerModel) -> None:
        self.given = model
        self.steps = {step.name: step for step in model.steps}
        self.forms = model.forms
        self.readers: dict[str, list[str]] = {}
        for step in model.steps:
            for name in step.inputs:
                self.readers.setdefault(name, []).append(step.name)
        for output in model.outputs:
            self.readers.setdefault(output.step, []).append("")

    def model(self) -> IntegerModel:
        for step in self.given.steps:
            if isinstance(step.operation, Rule):
                self._rewrite(step)
        ordered = (step.name for step in self.given.steps if step.name in self.steps)
        return replace(self.given, steps=tuple(self.steps[name] for name in ordered))

    def _rewrite(self, step: Step) -> None:
        """Take in the scales before a rule, and let it rise."""
        operations: list[Operation] = [step.operation]
        source = step.inputs[0]
        while source in self.steps and isinstance(self.steps[source].operation, Scale) and self._alone(source):
            before = self.steps.pop(source)
            operations.insert(0, before.operation)
            source = before.inputs[0]
        form = self.forms[source]
        channels = step.shape[-1] if any(isinstance(one, Scale | ChannelThresholds) for one in operations) else 1
        rule = _thresholds(step.layer, operations, channels, form)
        falling = rule.levels[:, -1] < rule.levels[:, 0]
        if falling.any():
            rule = self._turned(step, source, rule, falling)
        operation = Thresholds(rule.thresholds[0], rule.levels[0]) if channels == 1 else rule
        self.steps[step.name] = replace(step, inputs=(source,), operation=operation)

    def _alone(self, name: str) -> bool:
        return len(self.readers[name]) == 1

    def _turned(self, step: Step, source: str, rule: ChannelThresholds, falling: numpy.ndarray) -> ChannelThresholds:
        """The thresholds of -x in falling channels, whose kernels change their sign: x >= t where -x < 1 - t."""
        before = self.steps.get(source)
        if before is None or not isinstance(before.operation, Dense | Convolution) or not self._alone(source):
            raise ExportError(
                f"{step.layer}: falls in a channel, and FINN's thresholds rise; put it right behind a layer with a "
                "kernel"
            )
        signs = numpy.where(numpy.broadcast_to(falling, before.shape[-1:]), -1, 1)
        self.steps[source] = replace(before, operation=_signed(before.operation, signs), form=_mirrored(before.form))
        turned = (1 - rule.thresholds)[:, ::-1]
        return ChannelThresholds(
            numpy.where(falling[:, None], turned, rule.thresholds),
            numpy.where(falling[:, None], rule.levels[:, ::-1], rule.levels),
        )


def _signed(operation: Dense | Convolution, signs: Codes) -> Operation:
    bias = None if operation.bias is None else operation.bias * signs
    if isinstance(operation, Convolution) and operation.depthwise:
        return replace(operation, kernel=operation.kernel * signs.reshape(operation.kernel.shape[2:]), bias=bias)
    return replace(operation, kernel=operation.kernel * signs, bias=bias)


def _mirrored(form: Format) -> Format:
    """Room for both signs."""
    return replace(form, least=min(form.least, -form.greatest), greatest=max(form.greatest, -form.least))


def _thresholds(layer: str, operations: list[Operation], channels: int, form: Format) -> ChannelThresholds:
    """By channel and level the first code on or beyond it, found by halving."""

    def levels_of(codes: Codes) -> Codes:
        for operation in operations:
            codes = operation(codes)
        return codes

    ends = levels_of(numpy.array([[form.least] * channels, [form.greatest] * channels], numpy.int64))
    least, greatest = int(ends.min()), int(ends.max())
    if greatest - least >= MOST_LEVELS:
        raise ExportError(
            f"{layer}: has {greatest - least + 1} levels, and FINN's thresholds give at most {MOST_LEVELS}; give it a "
            "quantizer of 8 bits or fewer"
        )
    rising = ends[1] >= ends[0]
    table = numpy.where(rising[:, None], numpy.arange(least, greatest + 1), numpy.arange(greatest, least - 1, -1))
    rule = ChannelThresholds(first_codes(levels_of, table, rising, form), table)
    probes = numpy.linspace(form.least, form.greatest, 1001).round().astype(numpy.int64)[:, None]
    probes = numpy.broadcast_to(probes, (len(probes), channels))
    if not numpy.array_equal(rule(probes), levels_of(numpy.array(probes))):
        raise ExportError(f"{layer}: neither only rises nor only falls, as FINN's thresholds do")
    return rule
