"""An integer model as alkaid traces it: every number of every tensor is a variable of one large circuit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy
from numpy.typing import NDArray

from qsearch.errors import ExportError
from qsearch.hardware.integer.formats import Format
from qsearch.hardware.integer.model import IntegerModel, Step
from qsearch.hardware.integer.operations import (
    Clamp,
    Concatenate,
    Convolution,
    Dense,
    Global,
    Merge,
    Operation,
    Pad,
    Permute,
    Pool,
    Repeat,
    Reshape,
    Scale,
    Thresholds,
    Uniform,
    windows_of,
)
from qsearch.hardware.targets.verilog_numbers import (
    Element,
    Elements,
    add,
    clip,
    folded,
    greater,
    less,
    multiply,
    times,
    total,
    variables,
)
from qsearch.hardware.targets.verilog_rules import (
    Staircase,
    applied,
    applied_cost,
    climbed,
    staircase_of,
)
from qsearch.hardware.targets.verilog_sums import Sums

SUPPORTED = (
    *(Clamp, Concatenate, Convolution, Dense, Global, Merge, Pad, Permute),
    *(Pool, Repeat, Reshape, Scale, Thresholds, Uniform),
)


class Trace:
    """The elements of every step that outputs need."""

    def __init__(self, model: IntegerModel, extra_depth: int) -> None:
        self.steps = {step.name: step for step in model.steps}
        self.forms = model.forms
        self.sums = Sums(extra_depth)
        self.known: dict[str, Elements] = {}
        for source in model.sources:
            made = variables(math.prod(source.shape), source.form.bits, source.form.signed)
            self.known[source.name] = _shaped(made, source.shape)
        for step in _needed(model):
            self.known[step.name] = self._elements(step)

    def _elements(self, step: Step) -> Elements:
        chain, base = chain_of(self.steps, step)
        given = [self.known[name] for name in (step.inputs if len(chain) == 1 else (base,))]
        try:
            found = self._computed(step.operation, chain, given, self.forms[base])
        except ExportError as error:
            raise ExportError(f"{step.layer}: {error}") from None
        return found.reshape(step.shape)

    def _computed(self, operation: Operation, chain: list[Operation], given: list[Elements], form: Format) -> Elements:
        x = given[0]
        match operation:
            case Uniform() | Thresholds():
                return _quantized(x, chain, form)
            case Dense():
                rows = x.reshape(-1, x.shape[-1])
                return numpy.stack([self.sums.product(list(row), operation.kernel, operation.bias) for row in rows])
            case Convolution():
                return self._convolved(x, operation)
            case Scale():
                return _by_channel(x, operation)
            case Clamp(least=least, greatest=greatest):
                return _each(x, lambda element: clip(element, least, greatest))
            case Merge():
                return _merged(operation, given)
            case Concatenate():
                scaled = [_scaled(part, factor) for part, factor in zip(given, operation.factors, strict=True)]
                return numpy.concatenate(scaled, axis=operation.axis - 1 if operation.axis > 0 else operation.axis)
            case Pool():
                return _pooled(x, operation)
            case Global():
                cells = x.reshape(-1, x.shape[-1])
                return _shaped([_reduced(list(column), operation) for column in cells.T], (x.shape[-1],))
            case _:
                return _moved(x, operation)

    def _convolved(self, x: Elements, layer: Convolution) -> Elements:
        image = x[None] if layer.flat else x
        at = _windows(image, layer.kernel.shape[:2], layer.strides, layer.padding, layer.dilation)
        inside = layer.kernel.shape[2]
        rows = []
        for window in at.reshape(-1, *at.shape[2:]):
            cells = _gathered(image, window)
            row: list[Element] = []
            if layer.depthwise:
                for channel in range(inside):
                    kernel = layer.kernel[:, :, channel].reshape(-1, layer.kernel.shape[3])
                    row.extend(self.sums.product(list(cells[..., channel].reshape(-1)), kernel, None))
            else:
                outside = layer.kernel.shape[3] // layer.groups
                for group in range(layer.groups):
                    part = cells[..., group * inside : (group + 1) * inside].reshape(-1)
                    kernel = layer.kernel[..., group * outside : (group + 1) * outside].reshape(-1, outside)
                    row.extend(self.sums.product(list(part), kernel, None))
            if layer.bias is not None:
                row = [add(element, int(code)) for element, code in zip(row, layer.bias, strict=True)]
            rows.append(_shaped(row, (len(row),)))
        return numpy.stack(rows)


def chain_of(steps: dict[str, Step], step: Step) -> tuple[list[Operation], str]:
    """(a quantizer with the scales before it, which are computed as one; the step or source that they read)."""
    chain, base = [step.operation], step.inputs[0]
    if isinstance(step.operation, Uniform | Thresholds):
        while base in steps and isinstance(steps[base].operation, Scale | Clamp):
            chain.insert(0, steps[base].operation)
            base = steps[base].inputs[0]
    return chain, base


def _needed(model: IntegerModel) -> list[Step]:
    """Steps whose elements are read, in order; not scales that are computed as a part of a quantizer."""
    steps = {step.name: step for step in model.steps}
    wanted = {output.step for output in model.outputs}
    for step in reversed(model.steps):
        if step.name in wanted:
            chain, base = chain_of(steps, step)
            wanted.update(step.inputs if len(chain) == 1 else (base,))
    return [step for step in model.steps if step.name in wanted]


def _quantized(x: Elements, chain: list[Operation], form: Format) -> Elements:
    """A quantizer, with the scales before it."""
    last = chain[-1]
    scaled = any(isinstance(operation, Scale) for operation in chain)
    if isinstance(last, Uniform) and last.divisor == 1 and not scaled:
        return _each(x, lambda element: applied(element, chain, 0))
    known: dict[int, Staircase | None] = {}
    found = []
    channels = x.shape[-1] if x.ndim else 1
    for index, element in enumerate(x.reshape(-1)):
        channel = index % channels if scaled else 0
        if channel not in known:
            known[channel] = staircase_of(chain, form, channel)
        found.append(_level(element, chain, channel, known[channel]))
    return _shaped(found, x.shape)


def _level(element: Element, chain: list[Operation], channel: int, stairs: Staircase | None) -> Element:
    last = chain[-1]
    if stairs is None:
        if isinstance(last, Thresholds):
            raise ExportError("is a table of too many levels; give its quantizer fewer bits")
        return applied(element, chain, channel)
    if isinstance(last, Uniform) and last.divisor == 1:
        cost = applied_cost(element, chain, channel)
        return climbed(element, stairs, (cost, lambda: applied(element, chain, channel)))
    return climbed(element, stairs)


def _by_channel(x: Elements, scale: Scale) -> Elements:
    channels = x.shape[-1]
    found = [applied(element, [scale], index % channels) for index, element in enumerate(x.reshape(-1))]
    return _shaped(found, x.shape)


def _merged(merge: Merge, given: list[Elements]) -> Elements:
    same = [_scaled(part, factor) for part, factor in zip(given, merge.factors, strict=True)]
    same = list(numpy.broadcast_arrays(*same))
    if merge.kind == "Subtract":
        same[1] = _scaled(same[1], -1)
    function = {
        "Add": add,
        "Subtract": add,
        "Multiply": multiply,
        "Maximum": greater,
        "Minimum": less,
    }[merge.kind]
    cells = zip(*(part.reshape(-1) for part in same), strict=True)
    return _shaped([folded(list(cell), function) for cell in cells], same[0].shape)


def _pooled(x: Elements, pool: Pool) -> Elements:
    image = x[None] if pool.flat else x
    at = _windows(image, pool.window, pool.strides, pool.padding, (1, 1))
    outside = pool.outside if pool.largest else 0
    windows = numpy.moveaxis(at, -1, 2).reshape(-1, math.prod(pool.window))
    cells = (list(_gathered(image, window, outside)) for window in windows)
    found = [_reduced(cell, pool) for cell in cells]
    return _shaped(found, (*at.shape[:2], image.shape[-1]))


def _reduced(cells: list[Element], pool: Pool | Global) -> Element:
    return folded(cells, greater) if pool.largest else times(total(cells), pool.factor)


def _moved(x: Elements, operation: Operation) -> Elements:
    """What moves numbers about, found out by moving their places."""
    places = numpy.arange(1, x.size + 1, dtype=numpy.int64).reshape(1, *x.shape)
    return _gathered(x, operation(places)[0])


def _windows(
    image: Elements,
    window: Sequence[int],
    strides: tuple[int, int],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, int],
) -> NDArray[numpy.int64]:
    """(rows, columns, height, width, channels): the place + 1 of every cell of a window, 0 outside."""
    places = numpy.arange(1, image.size + 1, dtype=numpy.int64).reshape(1, *image.shape)
    found: NDArray[numpy.int64] = windows_of(places, window, strides, padding, dilation, 0)[0]
    return found


def _gathered(x: Elements, places: NDArray[numpy.int64], outside: int = 0) -> Elements:
    """The elements at places + 1; a constant at 0."""
    cells = _shaped([outside, *x.reshape(-1)], (x.size + 1,))
    found: Elements = cells[places]
    return found


def _scaled(x: Elements, factor: int) -> Elements:
    return _each(x, lambda element: times(element, factor))


def _each(x: Elements, function: Callable[[Element], Element]) -> Elements:
    return _shaped([function(element) for element in x.reshape(-1)], x.shape)


def _shaped(elements: Sequence[Element], shape: tuple[int, ...]) -> Elements:
    made = numpy.empty(len(elements), object)
    made[:] = elements
    return made.reshape(shape)
