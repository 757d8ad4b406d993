"""The steps of an integer model as nodes of ONNX.

Tensors hold real numbers, code · 2^-fraction, which float32 holds exactly up to 24 bits; what averages are divided by
is left to where a quantizer or an output reads them. Channels are first, as in ONNX, wherever nothing asks for them
last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy

from qsearch.errors import ExportError
from qsearch.hardware.integer import operations as ops
from qsearch.hardware.integer.formats import FLOAT32_BITS, MOST_BITS, Codes
from qsearch.hardware.integer.model import Source, Step, fits_float32
from qsearch.hardware.targets.onnx_graph import (
    DOUBLE,
    FIRST,
    FLOAT,
    INT64,
    LAST,
    Grid,
    Layout,
    Tensor,
    channels_first,
    rows_first,
    values_of,
)
from qsearch.hardware.targets.onnx_tensors import Tensors

_MERGES = {"Add": "Add", "Subtract": "Sub", "Multiply": "Mul", "Maximum": "Max", "Minimum": "Min"}


class Network(Tensors):
    """An integer model on its way to an ONNX graph."""

    def proto(self, batch: int | str, domains: Mapping[str, int]) -> Any:
        """The ONNX model."""
        ends = [self.graph.unique(name) for name in self.model.file_outputs]
        inputs = {self.graph.unique(source.name): (batch, *source.shape) for source in self.model.sources}
        for name, source in zip(inputs, self.model.sources, strict=True):
            self._source(name, source)
        for step in self.model.steps:
            self.tensors[step.name] = self._narrowed(step, self._made(step))
        outputs, names = {}, {}
        for name, (output, tensor) in zip(ends, self._ends(), strict=True):
            if tensor.name in names or tensor.name in inputs:
                tensor = replace(tensor, name=self.graph.node("Identity", [tensor.name], output.name))
            names[tensor.name] = name
            outputs[name] = (DOUBLE if tensor.wide else FLOAT, (batch, *self.shapes[output.step]))
        self.graph.renamed(names)
        return self.graph.model(self.model.name, inputs, outputs, domains)

    def _source(self, name: str, source: Source) -> None:
        found = self.dialect.quantized(self.graph, name, f"{source.name}:quantized", source_grid(source), False)
        self.tensors[source.name] = Tensor(found, len(source.shape) + 1)

    def _made(self, step: Step) -> Tensor:
        made: Mapping[type, Callable[[Step, Any], Tensor]] = {
            ops.Uniform: self._uniform,
            ops.Thresholds: self._thresholds,
            ops.ChannelThresholds: self._channel_thresholds,
            ops.Clamp: self._clamp,
            ops.Dense: self._dense,
            ops.Convolution: self._convolution,
            ops.Scale: self._scale,
            ops.Merge: self._merge,
            ops.Concatenate: self._concatenate,
            ops.Pool: self._pool,
            ops.Global: self._global,
            ops.Reshape: self._reshape,
            ops.Permute: self._permute,
            ops.Pad: self._pad,
            ops.Repeat: self._repeat,
            ops.Stuff: self._stuff,
            ops.Slice: self._slice,
            ops.Lookup: self._lookup,
        }
        kind = type(step.operation)
        if kind not in made:
            raise ExportError(f"{step.layer}: {kind.__name__} is not written as ONNX yet")
        return made[kind](step, step.operation)

    # one number each

    def _uniform(self, step: Step, rule: ops.Uniform) -> Tensor:
        form = self.forms[step.inputs[0]]
        far = 1 << MOST_BITS
        ends = replace(rule, least=-far, greatest=far)(numpy.array([form.least, form.greatest]))
        grid = Grid(
            fraction=step.form.fraction,
            least=rule.least,
            greatest=rule.greatest,
            reach=(int(ends[0]), int(ends[1])),
            half_away=rule.half_away,
        )
        x = self._divided(step.inputs[0])
        found = self.dialect.quantized(self.graph, x.name, step.name, grid, x.wide)
        return replace(x, name=found, wide=False, divided=False)

    def _thresholds(self, step: Step, rule: ops.Thresholds) -> Tensor:
        x = self.tensors[step.inputs[0]]
        thresholds = values_of(rule.thresholds, self.forms[step.inputs[0]].fraction)
        kind = numpy.float64 if x.wide else numpy.float32
        found = self.dialect.stepped(
            self.graph, x.name, step.name, thresholds.astype(kind), rule.levels, step.form.fraction
        )
        return replace(x, name=found, wide=False)

    def _channel_thresholds(self, step: Step, rule: ops.ChannelThresholds) -> Tensor:
        tensor = self.tensors[step.inputs[0]]
        x = self._in(tensor, FIRST if tensor.rank > 2 else LAST)
        kind = numpy.float64 if x.wide else numpy.float32
        thresholds = values_of(rule.thresholds, self.forms[step.inputs[0]].fraction).astype(kind)
        made = self.dialect.stepped_by_channel(
            self.graph, x.name, step.name, thresholds, rule.levels, step.form.fraction, (-1, *(1,) * (x.rank - 2))
        )
        return replace(x, name=made, wide=False)

    def _clamp(self, step: Step, rule: ops.Clamp) -> Tensor:
        x, form = self._read(step), self.forms[step.inputs[0]]
        if rule.least == 0 and rule.greatest >= form.greatest:
            return self._put(step, "Relu", [x.name], x)
        ends = values_of(numpy.array([rule.least, rule.greatest]), form.fraction)
        low, high = (self._number(f"{step.name}:end", float(end), x.wide) for end in ends)
        return self._put(step, "Clip", [x.name, low, high], x)

    def _scale(self, step: Step, rule: ops.Scale) -> Tensor:
        x, form = self._read(step), self.forms[step.inputs[0]]
        factors = self._along_channels(rule.multiplier, x)
        factor = self._weights(f"{step.name}:factors", factors, step.form.fraction - form.fraction, x.wide)
        return self._with_bias(step, self._put(step, "Mul", [x.name, factor], x), rule.offset)

    def _with_bias(self, step: Step, x: Tensor, bias: Codes | None) -> Tensor:
        if bias is None or not bias.any():
            return x
        offset = self._weights(f"{step.name}:bias", self._along_channels(bias, x), step.form.fraction, x.wide)
        return self._put(step, "Add", [x.name, offset], x)

    # sums of products

    def _dense(self, step: Step, rule: ops.Dense) -> Tensor:
        tensor, kernel = self.tensors[step.inputs[0]], rule.kernel
        x = self._read(step, tensor.layout if tensor.layout.flat else LAST)
        if x.layout.flat:
            kernel = rows_first(kernel, x.layout.flat)
        fraction = step.form.fraction - self.forms[step.inputs[0]].fraction
        weights = self._weights(f"{step.name}:kernel", kernel, fraction, x.wide)
        made = self._put(step, "MatMul", [x.name, weights], replace(x, layout=LAST))
        return self._with_bias(step, made, rule.bias)

    def _convolution(self, step: Step, rule: ops.Convolution) -> Tensor:
        form, kernel = self.forms[step.inputs[0]], rule.kernel
        if rule.depthwise:
            kernel = kernel.transpose(2, 3, 0, 1).reshape(-1, 1, *kernel.shape[:2])
        else:
            kernel = kernel.transpose(3, 2, 0, 1)
        first = 1 if rule.flat else 0
        kernel = kernel[:, :, 0] if rule.flat else kernel
        attributes = {
            "kernel_shape": list(kernel.shape[2:]),
            "strides": list(rule.strides[first:]),
            "pads": _pads(rule.padding[first:]),
            "dilations": list(rule.dilation[first:]),
            "group": rule.kernel.shape[2] if rule.depthwise else rule.groups,
        }
        fraction, wide = step.form.fraction - form.fraction, self._wide(step.form)
        # onnxruntime convolves in float32 only: kernels in parts, whose sums that holds
        x = self._cast(self._in(self.tensors[step.inputs[0]], FIRST), False)
        found: Tensor | None = None
        for part in _parts(kernel, form.magnitude) if wide else [kernel]:
            weights = self._weights(f"{step.name}:kernel", part, fraction, False)
            one = self._cast(self._put(step, "Conv", [x.name, weights], x, **attributes), wide)
            found = one if found is None else self._put(step, "Add", [found.name, one.name], one)
        assert found is not None
        return self._with_bias(step, found, rule.bias)

    # several tensors

    def _alike(self, step: Step) -> list[Tensor]:
        """The inputs of a step in one layout."""
        tensors = [self.tensors[name] for name in step.inputs]
        layouts = {tensor.layout for tensor in tensors}
        layout = LAST
        if len(layouts) == 1:
            layout = tensors[0].layout
        elif FIRST in layouts and len({tensor.rank for tensor in tensors}) == 1:
            layout = FIRST
        wide = self._wide(step.form) or any(tensor.wide for tensor in tensors)
        return [self._cast(self._in(tensor, layout), wide) for tensor in tensors]

    def _same_divisor(self, step: Step) -> list[Tensor]:
        """Brought to the divisor of the result; their fractions may differ, as they are real numbers."""
        found = []
        for name, tensor in zip(step.inputs, self._alike(step), strict=True):
            factor = step.form.divisor // self.forms[name].divisor
            if factor > 1:
                by = self._number(f"{step.name}:factor", factor, tensor.wide)
                tensor = self._put(step, "Mul", [tensor.name, by], tensor)
            found.append(tensor)
        return found

    def _merge(self, step: Step, rule: ops.Merge) -> Tensor:
        tensors = self._alike(step) if rule.kind == "Multiply" else self._same_divisor(step)
        found = tensors[0]
        for other in tensors[1:]:
            largest = max(found, other, key=lambda one: one.rank)
            found = self._put(step, _MERGES[rule.kind], [found.name, other.name], largest)
        return found

    def _concatenate(self, step: Step, rule: ops.Concatenate) -> Tensor:
        tensors = self._same_divisor(step)
        rank = tensors[0].rank
        axis = rule.axis % rank
        if tensors[0].layout.flat:
            tensors = [self._in(tensor, LAST) for tensor in tensors]
        elif tensors[0].layout.first:
            axis = channels_first(rank).index(axis)
        return self._put(step, "Concat", [tensor.name for tensor in tensors], tensors[0], axis=axis)

    # windows

    def _pool(self, step: Step, rule: ops.Pool) -> Tensor:
        x, first = self._read(step), 1 if rule.flat else 0
        window = rule.window[first:]
        attributes = {"kernel_shape": list(window), "strides": list(rule.strides[first:])}
        pads = _pads(rule.padding[first:])
        if rule.largest:
            return self._put(step, "MaxPool", [x.name], x, pads=pads, **attributes)
        factor, averaged = self._average(step, rule.factor, math.prod(window))
        if averaged is not None and not any(pads):
            return self._put(step, "AveragePool", [x.name], replace(x, divided=averaged), **attributes)
        channels = step.shape[-1]
        ones = numpy.full((channels, 1, *window), rule.factor, numpy.int64)
        weights = self._weights(f"{step.name}:kernel", ones, factor, False)
        x = self._cast(x, False)
        return self._put(step, "Conv", [x.name, weights], x, group=channels, pads=pads, **attributes)

    def _global(self, step: Step, rule: ops.Global) -> Tensor:
        x = self._read(step)
        if rule.largest:
            return self._squeezed(step, self._put(step, "GlobalMaxPool", [x.name], x), rule.keepdims)
        tensor = self.tensors[step.inputs[0]]
        shape = self.shapes[step.inputs[0]]
        factor, averaged = self._average(step, rule.factor, math.prod(shape[:-1]))
        if averaged is not None:
            x = self._put(step, "GlobalAveragePool", [x.name], replace(x, divided=averaged))
            return self._squeezed(step, x, rule.keepdims)
        axes = self.graph.constant(f"{step.name}:axes", list(range(2, tensor.rank)), numpy.int64)
        x = self._put(step, "ReduceSum", [x.name, axes], x, keepdims=1)
        by = self._number(f"{step.name}:factor", float(values_of(numpy.array(rule.factor), factor)), x.wide)
        return self._squeezed(step, self._put(step, "Mul", [x.name, by], x), rule.keepdims)

    def _squeezed(self, step: Step, x: Tensor, keepdims: bool) -> Tensor:
        if keepdims:
            return x
        return Tensor(self._reshaped(x.name, (0, -1)), 2, LAST, x.wide, x.divided)

    def _average(self, step: Step, factor: int, area: int) -> tuple[int, bool | None]:
        """(bits that the fraction grows by, whether an average's values are divided already; None for a sum)."""
        before, grown = self.forms[step.inputs[0]], step.form.fraction - self.forms[step.inputs[0]].fraction
        if factor == 1 and area == 1 << grown and step.form.divisor == before.divisor:
            return grown, False
        readers = [type(reader.operation) for reader in self.readers.get(step.name, [])]
        only = all(kind is ops.Uniform for kind in readers) and fits_float32(step.form)
        if self.dialect.averages and factor == 1 and before.divisor == 1 and step.form.divisor > 1 and only:
            return grown, True
        return grown, None

    def _repeat(self, step: Step, rule: ops.Repeat) -> Tensor:
        x = self._cast(self._read(step), False)
        sizes = self.graph.constant(f"{step.name}:sizes", [1, 1, *rule.sizes])
        return self._put(
            step,
            "Resize",
            [x.name, "", sizes],
            x,
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )

    # other shapes

    def _reshape(self, step: Step, rule: ops.Reshape) -> Tensor:
        tensor = self.tensors[step.inputs[0]]
        shape = self.shapes[step.inputs[0]]
        flat: tuple[int, ...] = ()
        if tensor.layout.first and len(rule.shape) == 1:
            mixed = shape[-1] > 1 and math.prod(shape[:-1]) > 1
            flat, x = (tuple(shape) if mixed else ()), tensor
        else:
            x = self._in(tensor, LAST)
        sides = self.graph.constant(f"{step.name}:shape", [0, *rule.shape], numpy.int64)
        made = self._put(step, "Reshape", [x.name, sides], x)
        return replace(made, rank=len(rule.shape) + 1, layout=Layout(flat=flat))

    def _permute(self, step: Step, rule: ops.Permute) -> Tensor:
        x = self._in(self.tensors[step.inputs[0]], LAST)
        return self._put(step, "Transpose", [x.name], x, perm=list(rule.axes))

    def _pad(self, step: Step, rule: ops.Pad) -> Tensor:
        x = self._read(step)
        sides = [(0, 0), (0, 0), *rule.padding] if x.layout.first else [(0, 0), *rule.padding, (0, 0)]
        pads = self.graph.constant(f"{step.name}:pads", _pads(sides), numpy.int64)
        return self._put(step, "Pad", [x.name, pads, self._number(f"{step.name}:zero", 0, x.wide)], x)

    def _stuff(self, step: Step, rule: ops.Stuff) -> Tensor:
        """A cell of its own behind every position, filled up with zeros; those behind the last are cut off."""
        x, shape = self._read(step), self.shapes[step.inputs[0]]
        positions = zip(shape[:-1], rule.strides, strict=True)
        wide = [part for side, _ in positions for part in (side, 1)]
        fill = [(0, 0), (0, 0)]
        for stride in rule.strides:
            fill += [(0, 0), (0, stride - 1)]
        zero = self._number(f"{step.name}:zero", 0, x.wide)
        pads = self.graph.constant(f"{step.name}:pads", _pads(fill), numpy.int64)
        name = self.graph.node("Pad", [self._reshaped(x.name, (0, shape[-1], *wide)), pads, zero], f"{step.name}:cells")
        sides = [side * stride for side, stride in zip(shape[:-1], rule.strides, strict=True)]
        name = self._reshaped(name, (0, shape[-1], *sides))
        axes = range(2, len(sides) + 2)
        parts = [list(axes), [0] * len(sides), list(step.shape[:-1])]
        axis, start, stop = (self.graph.constant(f"{step.name}:cut", part, numpy.int64) for part in parts)
        return self._put(step, "Slice", [name, start, stop, axis], x)

    def _slice(self, step: Step, rule: ops.Slice) -> Tensor:
        x = self._read(step)
        if x.layout.flat:
            x = self._in(x, LAST)
        axis = channels_first(x.rank).index(rule.axis) if x.layout.first and x.rank > 2 else rule.axis
        parts = [
            self.graph.constant(f"{step.name}:{name}", [number], numpy.int64)
            for name, number in (("start", rule.start), ("stop", rule.stop), ("axis", axis))
        ]
        return self._put(step, "Slice", [x.name, *parts], x)

    def _lookup(self, step: Step, rule: ops.Lookup) -> Tensor:
        x = self._in(self.tensors[step.inputs[0]], LAST)
        index = self.graph.node("Cast", [x.name], f"{step.name}:index", to=INT64)
        table = self.graph.constant(f"{step.name}:table", values_of(rule.table, step.form.fraction))
        found = self.graph.node("Gather", [table, index], step.name, axis=0)
        return Tensor(found, x.rank + 1)


def source_grid(source: Source) -> Grid:
    """The grid that real inputs are rounded to.

    Raises:
        ExportError: its quantizer is not of evenly spaced levels.
    """
    form = source.form
    for half_away in (False, True):
        rule = ops.Uniform(-4, 1, form.least, form.greatest, half_away)  # on sixteenths of a step
        reach = min(form.magnitude, 1 << FLOAT32_BITS - 6) + 2
        near = numpy.arange(-(1 << 12), (1 << 12) + 1)
        probes = numpy.unique(numpy.concatenate([near, numpy.linspace(-16 * reach, 16 * reach, 4001).astype(int)]))
        if numpy.array_equal(source.codes(values_of(probes, form.fraction + 4)), rule(probes)):
            far = 1 << MOST_BITS
            return Grid(
                fraction=form.fraction,
                least=form.least,
                greatest=form.greatest,
                reach=(-far, far),
                half_away=half_away,
            )
    raise ExportError(
        f"{source.name}: {source.quantizer} has no evenly spaced levels, which inputs are rounded to; give it another "
        "quantizer, such as sources='quantized_bits(8,0,1)'"
    )


def _pads(padding: Sequence[tuple[int, int]]) -> list[int]:
    return [low for low, _ in padding] + [high for _, high in padding]


def _parts(kernel: Codes, magnitude: int) -> list[Codes]:
    """Kernels that add up to a kernel, each small enough for sums of 24 bits."""
    taps = math.prod(kernel.shape[1:])
    bits = FLOAT32_BITS - (taps * magnitude).bit_length()
    if bits < 1:
        return [kernel]
    parts: list[Codes] = []
    shift, rest = 0, numpy.abs(kernel)
    while rest.any() or not parts:
        digit = rest & ((1 << bits) - 1)
        parts.append(numpy.sign(kernel) * (digit << shift))
        rest, shift = rest >> bits, shift + bits
    return parts
