"""finn: QONNX within what FINN builds, activations as integer thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy
from numpy.typing import NDArray

from qsearch.errors import ConfigError, ExportError, shown
from qsearch.hardware.integer import operations as ops
from qsearch.hardware.integer.build import NORMS
from qsearch.hardware.integer.formats import Codes, Format
from qsearch.hardware.integer.model import IntegerModel, Step, fits_float32
from qsearch.hardware.targets.finn_thresholds import with_thresholds
from qsearch.hardware.targets.onnx_graph import Graph, Grid, require, values_of
from qsearch.hardware.targets.qonnx import DOMAIN, FILE, LAYOUTS, PACKAGES, Qonnx, QonnxTarget
from qsearch.hardware.targets.target import Write

README = f"""`{FILE}` is a QONNX model within what FINN's builder takes (checked against FINN's documentation and
sources, not built here). Activations are `MultiThreshold` nodes with integer outputs (`out_scale` 1) on the integers of
the sums before them, so that their rounding is exact whatever FINN does; batch normalization and scales of channels are
in the thresholds. Each is followed by one `Mul` with a power of two, which FINN's streamlining moves on. The batch has
1 sample. Biases are `Add` nodes, which it takes into the thresholds; what is behind the last layer stays for the host.
"""
_SUMS = (ops.Dense, ops.Convolution, ops.Scale)
_RULES = (ops.Thresholds, ops.ChannelThresholds)
_REFUSED: Mapping[type, str] = {
    ops.Clamp: "a relu without a quantizer; give it one (limit: Activation)",
    ops.Pad: "padding of its own; let the convolution pad (padding: same)",
    ops.Permute: "a permutation; leave it out",
}


class FinnTarget(QonnxTarget):
    """QONNX that FINN builds."""

    name, readme = "finn", README
    wide_option, norms, keeps_softmax = "", NORMS[1], False

    def prepare(self, model: IntegerModel, options: Mapping[str, Any]) -> Write:
        if options:
            raise ConfigError(f"target finn: option {shown(next(iter(options)))}: unknown; it has none")
        require(self.name, self.extra, PACKAGES)
        by_thresholds = with_thresholds(model)
        for problem in _problems(by_thresholds):
            raise ExportError(f"{problem}; FINN does not build it")
        return self._prepared(by_thresholds, Finn())


class Finn(Qonnx):
    """MultiThreshold nodes for all that is not a weight."""

    def quantized(self, graph: Graph, x: str, name: str, grid: Grid, wide: bool) -> str:
        """Real numbers, which are the inputs: between two levels the nearest float32 beyond the middle steps."""
        levels = numpy.arange(grid.least, grid.greatest + 1)
        middles = numpy.ldexp(levels[1:] - 0.5, -grid.fraction).astype(numpy.float32)
        up = levels[1:] > 0 if grid.half_away else levels[1:] % 2 == 0
        beyond = numpy.nextafter(middles, numpy.float32(numpy.inf))
        return self.stepped(graph, x, name, numpy.where(up, middles, beyond), levels, grid.fraction)

    def stepped(self, graph: Graph, x: str, name: str, thresholds: NDArray[Any], levels: Codes, fraction: int) -> str:
        return self._rising(graph, x, name, thresholds[None], levels[None], fraction, None)

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
        return self._rising(graph, x, name, thresholds, levels, fraction, LAYOUTS.get(len(shape) + 1))

    def _rising(
        self,
        graph: Graph,
        x: str,
        name: str,
        thresholds: NDArray[Any],
        levels: Codes,
        fraction: int,
        layout: str | None,
    ) -> str:
        """Integers that count thresholds, then their scale; levels of all channels begin alike."""
        first, last = int(levels[0, 0]), int(levels[0, -1])
        rows = numpy.stack([numpy.repeat(t, numpy.diff(own)) for t, own in zip(thresholds, levels, strict=True)])
        attributes: dict[str, Any] = {"out_scale": 1.0, "out_bias": float(first)}
        form = Format(fraction=0, least=min(first, 0), greatest=max(last, 1))
        kind = f"{'' if form.signed else 'U'}INT{form.bits}"
        if levels.shape[1] == 2 and first == -last:
            rows, kind = rows[:, :1], "BIPOLAR"
            attributes = {"out_scale": 2.0, "out_bias": -1.0}
            fraction -= int(last).bit_length() - 1
        found = graph.node(
            "MultiThreshold",
            [x, graph.constant(f"{name}:thresholds", rows)],
            name,
            DOMAIN,
            out_dtype=kind,
            **attributes,
            **({} if layout is None else {"data_layout": layout}),
        )
        if fraction == 0:
            return found
        scale = graph.constant(f"{name}:scale", values_of(numpy.array(1), fraction))
        return graph.node("Mul", [found, scale], f"{name}:scaled")


def _problems(model: IntegerModel) -> Iterator[str]:
    """What FINN does not take."""
    steps = {step.name: step for step in model.steps}
    ends = {output.step for output in model.outputs}
    for step in model.steps:
        kind = type(step.operation)
        if kind in _REFUSED:
            yield f"{step.layer}: is {_REFUSED[kind]}"
        yield from _of_one(step)
        for name in step.inputs:
            before = steps.get(name)
            open_sum = before is not None and isinstance(before.operation, _SUMS)
            if before is not None and open_sum and not isinstance(step.operation, (*_RULES, ops.Scale)):
                yield f"{before.layer}: hands sums on to {step.layer}; put a quantizer behind it (limit: linear)"
        if step.name in ends and not fits_float32(step.form):
            yield (
                f"{step.layer}: its result needs {step.form.bits} bits, and float32 has 24; give its kernel a scale "
                "that is a power of two (alpha='auto_po2')"
            )
        if step.form.divisor > 1 and step.name in ends:
            yield f"{step.layer}: is of averages over {step.form.divisor} · 2^n cells; put a quantizer behind them"


def _of_one(step: Step) -> Iterator[str]:
    """What is wrong with a step whatever is around it."""
    match step.operation:
        case ops.Convolution(groups=groups, depthwise=depthwise, kernel=kernel):
            if groups > 1:
                yield f"{step.layer}: has {groups} groups; allowed: 1, or a depthwise convolution"
            if depthwise and kernel.shape[3] > 1:
                yield f"{step.layer}: has a depth multiplier of {kernel.shape[3]}; allowed: 1"
        case ops.Merge(kind=kind, factors=factors):
            if kind != "Add":
                yield f"{step.layer}: is {kind}; allowed: Add"
            elif len({*factors}) > 1:
                yield f"{step.layer}: adds numbers of different steps; give both quantizers the same integer bits"
        case ops.Concatenate(factors=factors) if len({*factors}) > 1:
            yield f"{step.layer}: joins numbers of different steps; give their quantizers the same fraction bits"
        case ops.Pool(largest=False):
            yield f"{step.layer}: averages over windows; use max pooling, or an average over all positions"
        case ops.Global(largest=True):
            yield f"{step.layer}: is a maximum over all positions; use a pooling window of that size"
        case ops.Repeat(sizes=sizes) if len({*sizes}) > 1:
            yield f"{step.layer}: repeats axes by different factors"


TARGET = FinnTarget()
