"""What moves codes about, as operations of LiteRT."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qsearch.hardware.integer import operations as ops
from qsearch.hardware.integer.formats import Codes
from qsearch.hardware.integer.model import Step
from qsearch.hardware.targets.litert_file import Quantization
from qsearch.hardware.targets.litert_steps import in_a_byte
from qsearch.hardware.targets.litert_sums import NotExactError, SumsWriter
from qsearch.hardware.targets.litert_tensors import NONE, SAME, VALID, Tensor, zero_of


class MovesWriter(SumsWriter):
    """Writes what moves codes about; `shapes` are of sources and steps, by name."""

    def __init__(self, kernels: Sequence[str]) -> None:
        super().__init__(kernels)
        self.shapes: dict[str, tuple[int, ...]] = {}

    def _read(self, step: Step, index: int = 0) -> Tensor:
        """What a step reads, in the shape that the integer model has, or with axes of 1 before it."""
        name = step.inputs[index]
        x, shape = self.tensors[name], self.shapes[name]
        extra = len(x.shape) - len(shape)
        if x.shape != shape and (extra <= 0 or x.shape != (1,) * extra + shape):
            x = self._shaped(x, shape)
        return x

    def _plain(self, step: Step) -> Tensor:
        return self._shaped(self.tensors[step.inputs[0]], self.shapes[step.inputs[0]])

    def _permuted(self, step: Step, axes: Sequence[int]) -> Tensor:
        x = self._plain(step)
        made = self._new(step.name, step.shape, step.form, x.zero)
        order = self.file.constant(f"{step.name}:axes", "int32", axes)
        self.file.operator("TRANSPOSE", [x.index, order], [made.index], "Transpose", version=1 if x.real else 2)
        return made

    def _repeated(self, step: Step, sizes: Sequence[int]) -> Tensor:
        x = self._read(step)
        if len(x.shape) == 2:
            x = self._shaped(x, (1, *x.shape))
        rows, columns = (1, *sizes) if len(sizes) == 1 else sizes
        made = self._new(step.name, (x.shape[0] * rows, x.shape[1] * columns, x.shape[2]), step.form, x.zero)
        sides = self.file.constant(f"{step.name}:sizes", "int32", made.shape[:2])
        self.file.operator(
            "RESIZE_NEAREST_NEIGHBOR",
            [x.index, sides],
            [made.index],
            "ResizeNearestNeighbor",
            version=3,
            alignCorners=False,
            halfPixelCenters=True,  # positions in the middle of cells, which no rounding moves to another cell
        )
        return made

    def _largest(self, step: Step) -> Tensor:
        x, rule = self._read(step), step.operation
        if len(x.shape) != 3:
            x = self._shaped(x, (1, math.prod(x.shape[:-1]), x.shape[-1]))
        window, strides, padding = x.shape[:2], x.shape[:2], VALID
        size: tuple[int, ...] = (1, 1)
        if isinstance(rule, ops.Pool):
            window, strides = rule.window, rule.strides
            size = tuple(
                (side + sum(more) - reach) // step_ + 1
                for side, more, reach, step_ in zip(x.shape[:2], rule.padding, window, strides, strict=True)
            )
            if any(low or high for low, high in rule.padding):
                padding = SAME
                if rule.padding != ops.same_padding(x.shape[:2], window, strides):
                    raise NotExactError("padding")
        made = self._new(step.name, (*size, x.shape[-1]), step.form, x.zero)
        self.file.operator(
            "MAX_POOL_2D",
            [x.index],
            [made.index],
            "Pool2D",
            version=1 if x.real else 2,
            padding=padding,
            strideH=strides[0],
            strideW=strides[1],
            filterHeight=window[0],
            filterWidth=window[1],
            fusedActivationFunction=NONE,
        )
        return made if isinstance(rule, ops.Pool) else self._shaped(made, step.shape)

    def _sliced(self, x: Tensor, axis: int, start: int, stop: int) -> Tensor:
        """From `start` to before `stop` along an axis, the batch axis counted."""
        shape = list(x.shape)
        shape[axis - 1] = stop - start
        name = f"{self._name(x)}:sliced"
        made = self._new(name, shape, x.form, x.zero)
        first, sides = [0] * (len(shape) + 1), [-1, *shape]
        first[axis] = start
        ends = [self.file.constant(f"{name}:{end}", "int32", own) for end, own in (("first", first), ("sides", sides))]
        self.file.operator("SLICE", [x.index, *ends], [made.index], "Slice", version=1 if x.real else 2)
        return made

    def _stuffed(self, step: Step, strides: Sequence[int]) -> Tensor:
        """Zeros behind every position, those behind the last one cut off again: axis by axis."""
        x = self._plain(step)
        for axis, stride in enumerate(strides):
            if stride > 1:
                before, behind = x.shape[: axis + 1], x.shape[axis + 1 :]
                rows = self._shaped(x, (math.prod(before), 1, math.prod(behind)))
                padded = self._padded(rows, ((0, 0), (0, stride - 1)))
                longer = (*before[:-1], before[-1] * stride, *behind)
                x = self._sliced(self._shaped(padded, longer), axis + 1, 0, (before[-1] - 1) * stride + 1)
        return Tensor(index=x.index, shape=x.shape, form=step.form, zero=x.zero)

    def _looked_up(self, step: Step, table: Codes) -> Tensor:
        """Rows of a table by int32 numbers of tokens."""
        places = self.tensors[step.inputs[0]]
        if self.file.tensors[places.index].kind != "int32":
            raise NotExactError("tokens")
        if not in_a_byte(step.form):
            raise NotExactError("bits")
        zero = zero_of(step.form)
        own = Quantization(scales=(2.0**-step.form.fraction,), zero_point=zero)
        rows = self.file.constant(f"{step.name}:table", "int8", table + zero, own)
        made = self._new(step.name, step.shape, step.form, zero)
        self.file.operator("GATHER", [rows, places.index], [made.index], "Gather", version=2, axis=0, batchDims=0)
        return made
