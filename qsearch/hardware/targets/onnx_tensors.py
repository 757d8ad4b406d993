"""What the steps' tensors in an ONNX graph look like: layouts, types, divisors and constants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy

from qsearch.functions import SOFTMAX
from qsearch.hardware.integer import operations as ops
from qsearch.hardware.integer.formats import Codes, Format
from qsearch.hardware.integer.model import IntegerModel, Output, Step, fits_float32
from qsearch.hardware.targets.onnx_graph import (
    DOUBLE,
    FIRST,
    FLOAT,
    LAST,
    Dialect,
    Graph,
    Layout,
    Tensor,
    channels_first,
    channels_last,
    reduced,
    rows_first,
    values_of,
)

_WINDOWED = (ops.Convolution, ops.Pool, ops.Global, ops.Repeat, ops.Stuff)


class Tensors:
    """The tensors of an integer model's steps, brought to what the next step needs."""

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

    def _ends(self) -> list[tuple[Output, Tensor]]:
        """The tensors of the file's outputs."""
        exact = [(output, self._in(self._divided(output.step), LAST)) for output in self.model.outputs]
        ends = [(output, self._kept(output, x) if output.logits else x) for output, x in exact]
        return ends + [(output, x) for output, x in exact if output.logits]

    def _kept(self, output: Output, x: Tensor) -> Tensor:
        """The softmax or sigmoid behind an output, in float32."""
        x, name = self._cast(x, False), f"{output.name}:{output.function_name}"
        if output.function_name == SOFTMAX:
            return replace(x, name=self.graph.node("Softmax", [x.name], name, axis=-1))
        return replace(x, name=self.graph.node("Sigmoid", [x.name], name))

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
