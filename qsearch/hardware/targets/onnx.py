"""onnx: plain ONNX for onnxruntime, by QuantizeLinear and DequantizeLinear where codes have up to 8 bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from qsearch.hardware.integer.build import NORMS
from qsearch.hardware.integer.formats import Codes
from qsearch.hardware.integer.model import IntegerModel
from qsearch.hardware.targets.onnx_graph import FLOAT, INT64, OPSET, Graph, Grid, require, values_of
from qsearch.hardware.targets.onnx_run import BATCH, WIDE_OPTION, batches, checked_options, exact_values
from qsearch.hardware.targets.onnx_steps import Network
from qsearch.hardware.targets.target import Write

FILE = "model.onnx"
PACKAGES = ("onnx", "onnxruntime")
README = f"""`{FILE}` is plain ONNX, opset {OPSET}, of any batch; inputs and outputs are real numbers, channels last.
Activations of up to 8 bits are QuantizeLinear, Clip and DequantizeLinear (QCDQ), other ones Mul, Round, Clip and Mul;
weights are int8 or int16 where they fit. Sums that need more than float32's 24 bits are computed in float64, so that
`onnxruntime` gives every bit of the integer model on its CPU. 4-bit codes are stored in 8 bits.
"""
_SAFE = 64
"""onnxruntime adds two products in 16 bits on processors without VNNI: weights up to this cannot overflow there."""


class OnnxTarget:
    """Plain ONNX."""

    name, extra, readme = "onnx", "onnx", README
    wide_option, norms, keeps_softmax = WIDE_OPTION, NORMS[0], True

    def prepare(self, model: IntegerModel, options: Mapping[str, Any]) -> Write:
        """The graph is made in memory."""
        dialect = Plain(double=checked_options(self.name, options, float64=True)["float64"])
        require(self.name, self.extra, PACKAGES)
        import onnx

        made = Network(model, dialect).proto("batch", {})
        onnx.checker.check_model(made, full_check=True)

        def write(folder: Path) -> Mapping[str, str]:
            onnx.save(made, str(folder / FILE))
            return {}

        return write

    def run(self, model: IntegerModel, folder: Path, codes: Mapping[str, Codes]) -> Mapping[str, NDArray[Any]]:
        """By onnxruntime on the CPU, with all of its optimizations."""
        import onnxruntime

        session = onnxruntime.InferenceSession(str(folder / FILE), providers=["CPUExecutionProvider"])
        inputs = [one.name for one in session.get_inputs()]

        def called(given: list[NDArray[Any]]) -> list[NDArray[Any]]:
            found: list[NDArray[Any]] = session.run(None, dict(zip(inputs, given, strict=True)))
            return found

        return exact_values(model, codes, batches(model, codes, called, BATCH))


class Plain:
    """Nodes of ONNX itself."""

    averages = False  # onnxruntime's 8-bit averages multiply by a rounded reciprocal

    def __init__(self, double: bool = True) -> None:
        self.double = double

    def quantized(self, graph: Graph, x: str, name: str, grid: Grid, wide: bool) -> str:
        kind: Any = numpy.int8 if grid.least < 0 else numpy.uint8
        ends = numpy.iinfo(kind)
        if not wide and not grid.half_away and ends.min <= grid.least and grid.greatest <= ends.max:
            return self._linear(graph, x, name, grid, kind, grid.cuts(int(ends.min), int(ends.max)))
        return self._rounded(graph, x, name, grid, wide)

    def _linear(self, graph: Graph, x: str, name: str, grid: Grid, kind: Any, cut: bool) -> str:
        scale = graph.constant(f"{name}:scale", 2.0**-grid.fraction)
        zero = graph.constant(f"{name}:zero_point", 0, kind)
        codes = graph.node("QuantizeLinear", [x, scale, zero], f"{name}:codes")
        if cut:
            low, high = (graph.constant(f"{name}:end", end, kind) for end in (grid.least, grid.greatest))
            codes = graph.node("Clip", [codes, low, high], f"{name}:cut")
        return graph.node("DequantizeLinear", [codes, scale, zero], name)

    def _rounded(self, graph: Graph, x: str, name: str, grid: Grid, wide: bool) -> str:
        kind = numpy.float64 if wide else numpy.float32

        def number(end: str, value: float) -> str:
            return graph.constant(f"{name}:{end}", value, kind)

        found = graph.node("Mul", [x, number("steps", 2.0**grid.fraction)], f"{name}:scaled")
        if grid.half_away:
            size = graph.node("Add", [graph.node("Abs", [found], f"{name}:size"), number("half", 0.5)], f"{name}:half")
            sign = graph.node("Sign", [found], f"{name}:sign")
            found = graph.node("Mul", [graph.node("Floor", [size], f"{name}:floor"), sign], f"{name}:rounded")
        else:
            found = graph.node("Round", [found], f"{name}:rounded")
        if grid.cuts(*grid.reach):
            ends = [number("end", end) for end in (grid.least, grid.greatest)]
            found = graph.node("Clip", [found, *ends], f"{name}:cut")
        found = graph.node("Mul", [found, number("step", 2.0**-grid.fraction)], name)
        return graph.node("Cast", [found], f"{name}:float", to=FLOAT) if wide else found

    def stepped(self, graph: Graph, x: str, name: str, thresholds: NDArray[Any], levels: Codes, fraction: int) -> str:
        """The place of x among the thresholds, found by halving, then its level."""
        return self.stepped_by_channel(graph, x, name, thresholds[None], levels[None], fraction, ())

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
        """Rows of all channels lie one behind the other, and each channel counts from where its own begins."""
        channels, steps = thresholds.shape
        bits = steps.bit_length()
        full = numpy.full((channels, (1 << bits) - 1), numpy.inf, thresholds.dtype)
        full[:, :steps] = thresholds
        rows = numpy.pad(levels, ((0, 0), (0, (1 << bits) - levels.shape[1])), mode="edge")
        table = graph.constant(f"{name}:levels", values_of(rows, fraction).reshape(-1))
        starts = numpy.arange(channels).reshape(shape)

        def at(end: str, row: int, more: int) -> str:
            return graph.constant(f"{name}:{end}", starts * row + more, numpy.int64)

        if not bits:
            zero = graph.constant(f"{name}:none", 0, thresholds.dtype)
            place = graph.node("Cast", [graph.node("Mul", [x, zero], f"{name}:zeros")], f"{name}:place", to=INT64)
        else:
            place = self._places(
                graph, x, name, graph.constant(f"{name}:thresholds", full.reshape(-1), full.dtype), bits, at
            )
        if channels > 1:
            place = graph.node("Add", [place, at("row", 1 << bits, 0)], f"{name}:level")
        return graph.node("Gather", [table, place], name)

    def _places(
        self, graph: Graph, x: str, name: str, steps: str, bits: int, at: Callable[[str, int, int], str]
    ) -> str:
        """How many thresholds of a row are not above x, by halving."""
        place = ""
        for bit in reversed(range(bits)):
            ahead = at("ahead", (1 << bits) - 1, (1 << bit) - 1)
            jump = graph.constant(f"{name}:jump", 1 << bit, numpy.int64)
            index = graph.node("Add", [place, ahead], f"{name}:at") if place else ahead
            edge = graph.node("Gather", [steps, index], f"{name}:edge")
            above = graph.node("GreaterOrEqual", [x, edge], f"{name}:above")
            more = graph.node("Mul", [graph.node("Cast", [above], f"{name}:one", to=INT64), jump], f"{name}:more")
            place = graph.node("Add", [place, more], f"{name}:place") if place else more
        return place

    def weights(self, graph: Graph, name: str, codes: Codes, fraction: int) -> str:
        largest = int(numpy.abs(codes).max(initial=0))
        scale = 2.0**-fraction
        # onnxruntime makes MatMulNBits of matrices behind DequantizeLinear, which rounds what it multiplies them with
        if largest <= _SAFE and codes.ndim != 2:
            parts = [
                graph.constant(f"{name}:codes", codes, numpy.int8),
                graph.constant(f"{name}:scale", scale),
                graph.constant(f"{name}:zero_point", 0, numpy.int8),
            ]
            return graph.node("DequantizeLinear", parts, name)
        for kind in (numpy.int8, numpy.int16):
            if codes.min() >= numpy.iinfo(kind).min and codes.max() <= numpy.iinfo(kind).max:
                whole = graph.node("Cast", [graph.constant(f"{name}:codes", codes, kind)], f"{name}:whole", to=FLOAT)
                return graph.node("Mul", [whole, graph.constant(f"{name}:scale", scale)], name)
        return graph.constant(name, values_of(codes, fraction))


TARGET = OnnxTarget()
