"""qonnx: QONNX, which FINN and hls4ml read: float tensors, with Quant nodes that tell their precision."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from qsearch.hardware.integer.build import NORMS
from qsearch.hardware.integer.formats import Codes, Format
from qsearch.hardware.integer.model import IntegerModel
from qsearch.hardware.targets.onnx_graph import FLOAT, OPSET, Graph, Grid, require, values_of
from qsearch.hardware.targets.onnx_run import BATCH, WIDE_OPTION, batches, checked_options, exact_values
from qsearch.hardware.targets.onnx_steps import Network
from qsearch.hardware.targets.target import Write

FILE, DOMAIN = "model.onnx", "qonnx.custom_op.general"
LAYOUTS = {2: "NC", 3: "NCW", 4: "NCHW"}
"""By the rank of a tensor with its channels first; qonnx takes them to be last where there are three axes."""
PACKAGES = ("onnx", "onnxruntime", "qonnx")
README = f"""`{FILE}` is a QONNX model (ONNX opset {OPSET}, and `{DOMAIN}` 1). Real inputs, channels last, go through a
`Quant` node first. `Quant` and `BipolarQuant` nodes tell the precision of every weight and activation; all scales are
powers of two, zero points are 0, and rounding_mode is ROUND (half to even) or HALF_UP (half away from zero). Tables
are `MultiThreshold` nodes, which FINN reads and hls4ml does not. The batch has 1 sample. Tidy it up with
`qonnx-cleanup {FILE}` before FINN or hls4ml reads it. Exported with `options={{"float64": True}}`, sums that need more
than float32's 24 bits are computed in float64, which qonnx executes, and neither FINN nor hls4ml reads.
"""


class QonnxTarget:
    """QONNX by nodes of our own choice."""

    name, extra, readme = "qonnx", "qonnx", README
    wide_option, norms, keeps_softmax = WIDE_OPTION, NORMS[0], True

    def prepare(self, model: IntegerModel, options: Mapping[str, Any]) -> Write:
        dialect = Qonnx(double=checked_options(self.name, options)["float64"])
        require(self.name, self.extra, PACKAGES)
        return self._prepared(model, dialect)

    def _prepared(self, model: IntegerModel, dialect: Qonnx) -> Write:
        """The graph is made in memory."""
        import onnx
        from qonnx.core.modelwrapper import ModelWrapper
        from qonnx.transformation.infer_shapes import InferShapes

        made = Network(model, dialect).proto(1, {DOMAIN: 1})

        def write(folder: Path) -> Mapping[str, str]:
            onnx.save(ModelWrapper(made).transform(InferShapes()).model, str(folder / FILE))
            return {}

        return write

    def run(self, model: IntegerModel, folder: Path, codes: Mapping[str, Codes]) -> Mapping[str, NDArray[Any]]:
        """By qonnx's own executor, tidied up as FINN and hls4ml want it."""
        from qonnx.core.modelwrapper import ModelWrapper
        from qonnx.core.onnx_exec import execute_onnx
        from qonnx.util.cleanup import cleanup_model

        size = min(BATCH, len(next(iter(codes.values()))))
        made = ModelWrapper(str(folder / FILE))
        for one in (*made.graph.input, *made.graph.output):  # its own change of the batch is of the first input only
            one.type.tensor_type.shape.dim[0].dim_value = size
        del made.graph.value_info[:]
        made = cleanup_model(made)
        inputs, outputs = ([one.name for one in part] for part in (made.graph.input, made.graph.output))

        def called(given: list[NDArray[Any]]) -> list[NDArray[Any]]:
            found = execute_onnx(made, dict(zip(inputs, given, strict=True)))
            return [found[name] for name in outputs]

        return exact_values(model, codes, batches(model, codes, called, size))


class Qonnx:
    """Quant, BipolarQuant and MultiThreshold nodes."""

    averages = True

    def __init__(self, double: bool = False) -> None:
        self.double = double

    def quantized(self, graph: Graph, x: str, name: str, grid: Grid, wide: bool) -> str:
        form = Format(fraction=grid.fraction, least=grid.least, greatest=grid.greatest)
        signed, bits, narrow, ends = _width(form)
        found = self._quant(graph, x, name, grid.fraction, signed, bits, narrow, grid.half_away)
        if not grid.cuts(*ends):
            return found
        low, high = (graph.constant(f"{name}:end", end) for end in grid.ends)
        return graph.node("Clip", [found, low, high], name)

    def stepped(self, graph: Graph, x: str, name: str, thresholds: NDArray[Any], levels: Codes, fraction: int) -> str:
        if len(levels) == 2 and thresholds[0] == 0 and levels[1] > 0 and levels[0] == -levels[1]:
            return self._bipolar(graph, x, name, int(levels[1]), fraction)
        if len(levels) == 1:
            end = float(values_of(levels, fraction)[0])
            ends = [graph.constant(f"{name}:level", end, thresholds.dtype) for _ in range(2)]
            return self._float(graph, graph.node("Clip", [x, *ends], name), thresholds)
        jumps = numpy.diff(levels)
        step = int(numpy.gcd.reduce(numpy.abs(jumps)))
        found = ""
        for sign in (1, -1):  # what rises, and what falls
            times = numpy.maximum(sign * jumps // step, 0)
            if not times.any():
                continue
            base = int(levels[0]) if not found else 0
            rows = numpy.repeat(thresholds, times)[None]
            part = self._threshold(graph, x, name, rows, sign * step, base, fraction)
            found = graph.node("Add", [found, part], name) if found else part
        return self._float(graph, found, thresholds)

    def stepped_by_channel(
        self,
        graph: Graph,
        x: str,
        name: str,
        thresholds: NDArray[Any],
        levels: Codes,
        fraction: int,
        shape: tuple[int, ...],
    ) -> str:
        """What rises and what falls in any channel, on the level that each channel begins with."""
        jumps = numpy.diff(levels)
        step = int(numpy.gcd.reduce(numpy.abs(jumps), axis=None)) or 1
        base = values_of(levels[:, 0].reshape(shape), fraction)
        found = graph.constant(f"{name}:first", base, thresholds.dtype)
        if not jumps.any():
            zeros = graph.node("Mul", [x, graph.constant(f"{name}:none", 0, thresholds.dtype)], f"{name}:zeros")
            found = graph.node("Add", [zeros, found], name)
        for sign in (1, -1):
            times = numpy.maximum(sign * jumps // step, 0)
            if not times.any():
                continue
            rows = [numpy.repeat(row, count) for row, count in zip(thresholds, times, strict=True)]
            table = numpy.full((len(rows), max(map(len, rows))), numpy.inf, thresholds.dtype)
            for row, own in zip(table, rows, strict=True):
                row[: len(own)] = own
            part = self._threshold(graph, x, name, table, sign * step, 0, fraction, LAYOUTS.get(len(shape) + 1))
            found = graph.node("Add", [part, found], name)
        return self._float(graph, found, thresholds)

    def _float(self, graph: Graph, x: str, like: NDArray[Any]) -> str:
        return graph.node("Cast", [x], f"{x}:float", to=FLOAT) if like.dtype == numpy.float64 else x

    def weights(self, graph: Graph, name: str, codes: Codes, fraction: int) -> str:
        values = graph.constant(f"{name}:values", values_of(codes, fraction))
        if codes.size > 1 and (numpy.abs(codes) == 1).all() and (codes < 0).any():
            return self._bipolar(graph, values, name, 1, fraction)
        form = Format(fraction=fraction, least=int(codes.min()), greatest=int(codes.max()))
        signed, bits, narrow, _ = _width(form)
        return self._quant(graph, values, name, fraction, signed, bits, narrow, False)

    def _quant(
        self, graph: Graph, x: str, name: str, fraction: int, signed: bool, bits: int, narrow: bool, half_away: bool
    ) -> str:
        parts = [("scale", 2.0**-fraction), ("zero_point", 0.0), ("bits", float(bits))]
        return graph.node(
            "Quant",
            [x, *(graph.constant(f"{name}:{part}", value) for part, value in parts)],
            name,
            DOMAIN,
            signed=int(signed),
            narrow=int(narrow),
            rounding_mode="HALF_UP" if half_away else "ROUND",
        )

    def _bipolar(self, graph: Graph, x: str, name: str, level: int, fraction: int) -> str:
        scale = graph.constant(f"{name}:scale", values_of(numpy.array(level), fraction))
        return graph.node("BipolarQuant", [x, scale], name, DOMAIN)

    def _threshold(
        self,
        graph: Graph,
        x: str,
        name: str,
        rows: NDArray[Any],
        step: int,
        base: int,
        fraction: int,
        layout: str | None = None,
    ) -> str:
        scale, bias = (float(values_of(numpy.array(number), fraction)) for number in (step, base))
        ends = sorted((base, base + step * rows.shape[1]))
        form = Format(fraction=0, least=ends[0], greatest=ends[1])
        return graph.node(
            "MultiThreshold",
            [x, graph.constant(f"{name}:thresholds", rows, rows.dtype)],
            name,
            DOMAIN,
            out_dtype=f"{'' if form.signed else 'U'}INT{form.bits}",
            out_scale=scale,
            out_bias=bias,
            **({} if layout is None else {"data_layout": layout}),
        )


def _width(form: Format) -> tuple[bool, int, bool, tuple[int, int]]:
    """(signed, bits, narrow, the ends) of the smallest Quant that holds a format's codes.

    A signed Quant of 1 bit has the levels -1 and 1, and never 0, so that a kernel of zeros needs 2 bits.
    """
    if not form.signed:
        bits = form.bits
        narrow = bits > 1 and form.greatest == (1 << bits) - 2
        return False, bits, narrow, (0, (1 << bits) - 1 - narrow)
    bits = max(form.bits, 2)
    half = 1 << (bits - 1)
    narrow = form.least > -half
    return True, bits, narrow, (-half + narrow, half - 1)


TARGET = QonnxTarget()
