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
from qsearch.hardware.integer.formats import FLOAT32_BITS, MOST_BITS, Codes, Format
from qsearch.hardware.integer.model import IntegerModel, Source, Step, fits_float32
from qsearch.hardware.targets.onnx_graph import (
    DOUBLE,
    FIRST,
    FLOAT,
    LAST,
    Dialect,
    Graph,
    Grid,
    Layout,
    Tensor,
    channels_first,
    channels_last,
    reduced,
    rows_first,
    values_of,
)

_MERGES = {"Add": "Add", "Subtract": "Sub", "Multiply": "Mul", "Maximum": "Max", "Minimum": "Min"}
_WINDOWED = (ops.Convolution, ops.Pool, ops.Global, ops.Repeat)


class Network:
    """An integer model on its way to an ONNX graph."""

    def __init__(self, model: IntegerModel, dialect: Dialect) -> None:
        self.model, self.dialect = model, dialect
        self.graph, self.forms = Graph(), model.forms
        self.tensors: dict[str, Tensor] = {}
        self.shapes = {source.name: source.shape for source in model.sources}
        self.shapes |= {step.name: step.shape for step in model.steps}
        self.moved: dict[tuple[str, Layout], Tensor] = {}
        self.readers: dict[str, list[Step]] = {}
        for step in model.steps:
            for name in step.inputs:
                self.readers.setdefault(name, []).append(step)

    def proto(self, batch: int | str, domains: Mapping[str, int]) -> Any:
        """The ONNX model."""
        ends = [self.graph.unique(output.name) for output in self.model.outputs]
        inputs = {self.graph.unique(source.name): (batch, *source.shape) for source in self.model.sources}
        for name, source in zip(inputs, self.model.sources, strict=True):
            self._source(name, source)
        for step in self.model.steps:
            self.tensors[step.name] = self._narrowed(step, self._made(step))
        outputs, names = {}, {}
        for name, output in zip(ends, self.model.outputs, strict=True):
            tensor = self._in(self._divided(output.step), LAST)
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
        }
        kind = type(step.operation)
        if kind not in made:
            raise ExportError(f"{step.layer}: {kind.__name__} is not written as ONNX yet")
        return made[kind](step, step.operation)

    # what tensors look like

    def _wide(self, form: Format) -> bool:
        return self.dialect.double and not fits_float32(form)

    def _read(self, step: Step, layout: Layout | None = None, index: int = 0) -> Tensor:
        """An input of a step, in float64 where the step's result is."""
        tensor = self.tensors[step.inputs[index]]
        if layout is None:
            layout = FIRST if isinstance(step.operation, _WINDOWED) else tensor.layout
        return self._cast(self._in(tensor, layout), tensor.wide or self._wide(step.form))

    def _in(self, tensor: Tensor, layout: Layout) -> Tensor:
        """A tensor in another layout."""
        if tensor.layout == layout or (tensor.rank < 3 and not tensor.layout.flat):
            return replace(tensor, layout=layout if tensor.rank > 2 else tensor.layout)
        key = tensor.name, layout
        if key not in self.moved:
            name = tensor.name
            flat = tensor.layout.flat
            if flat:
                name = self._reshaped(name, (0, flat[-1], *flat[:-1]))
                name = self.graph.node("Transpose", [name], f"{name}:last", perm=channels_last(len(flat) + 1))
                name = self._reshaped(name, (0, math.prod(flat)))
            else:
                order = channels_first(tensor.rank) if layout.first else channels_last(tensor.rank)
                end = "first" if layout.first else "last"
                name = self.graph.node("Transpose", [name], f"{name}:{end}", perm=order)
            self.moved[key] = replace(tensor, name=name, layout=layout)
        return self.moved[key]

    def _cast(self, tensor: Tensor, wide: bool) -> Tensor:
        if tensor.wide == wide:
            return tensor
        kind, end = (DOUBLE, "double") if wide else (FLOAT, "float")
        return replace(tensor, name=self.graph.node("Cast", [tensor.name], f"{tensor.name}:{end}", to=kind), wide=wide)

    def _narrowed(self, step: Step, tensor: Tensor) -> Tensor:
        """In float32 again where that has enough bits."""
        return self._cast(tensor, self._wide(step.form))

    def _divided(self, name: str) -> Tensor:
        """The values of a step, rounded to float32 where its format has a divisor."""
        tensor, divisor = self.tensors[name], self.forms[name].divisor
        if divisor == 1 or tensor.divided:
            return tensor
        by = self._number(f"{name}:divisor", divisor, tensor.wide)
        return replace(tensor, name=self.graph.node("Div", [tensor.name, by], f"{name}:divided"), divided=True)

    def _number(self, name: str, value: float, wide: bool) -> str:
        return self.graph.constant(name, value, numpy.float64 if wide else numpy.float32)

    def _weights(self, name: str, codes: Codes, fraction: int, wide: bool) -> str:
        small, places = reduced(codes, fraction)
        values = values_of(small, places)
        held = numpy.array_equal(values.astype(numpy.float32).astype(numpy.float64), values)
        if wide and not held:
            return self.graph.constant(name, values, numpy.float64)
        found = self.dialect.weights(self.graph, name, small, places)
        return self.graph.node("Cast", [found], f"{name}:double", to=DOUBLE) if wide else found

    def _along_channels(self, codes: Codes, tensor: Tensor) -> Codes:
        """One number per channel, shaped to meet a tensor."""
        if codes.size == 1:
            return codes.reshape(())
        if tensor.layout.flat:
            return rows_first(codes, tensor.layout.flat)
        if tensor.layout.first and tensor.rank > 2:
            return codes.reshape(1, -1, *(1,) * (tensor.rank - 2))
        return codes.reshape(-1)

    def _reshaped(self, x: str, shape: Sequence[int]) -> str:
        return self.graph.node("Reshape", [x, self.graph.constant(f"{x}:shape", shape, numpy.int64)], f"{x}:reshaped")

    def _put(self, step: Step, kind: str, inputs: Sequence[str], like: Tensor, **attributes: Any) -> Tensor:
        return replace(like, name=self.graph.node(kind, inputs, step.name, **attributes))

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
