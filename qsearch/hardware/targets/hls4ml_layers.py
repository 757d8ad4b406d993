"""Steps of an integer model as hls4ml's layers, each with the fixed-point types that make it exact.

A value is code · 2^-fraction; a divisor (of an average) is left to whoever reads the output.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy
from numpy.typing import NDArray

from qsearch.errors import ExportError
from qsearch.hardware.integer.formats import Codes, Format
from qsearch.hardware.integer.model import IntegerModel, Step
from qsearch.hardware.integer.operations import (
    Clamp,
    Concatenate,
    Convolution,
    Dense,
    Global,
    Merge,
    Padding,
    Permute,
    Pool,
    Reshape,
    Scale,
    Thresholds,
    Uniform,
)

_DOUBLE_BITS = 53
"""Outputs are read as float64."""
Pair = tuple[int, int]
_ELSE = "leave the layer out of the exported model, or export it to c or onnx"
_MISSING = {
    "Pad": "hls4ml has no zero padding; pad in a convolution (padding 'same')",
    "Repeat": f"hls4ml has no exact up-sampling; {_ELSE}",
    "Stuff": f"hls4ml has no transposed convolutions; {_ELSE}",
    "Slice": f"hls4ml has no slices, which recurrent layers, layers over time and cropping need; {_ELSE}",
    "ChannelThresholds": "hls4ml has no thresholds of channels; export with norms='scale'",
    "Lookup": f"hls4ml has no embeddings; {_ELSE}",
}
"""What is missing, by the operation."""


@dataclass
class Network:
    """hls4ml's layers and types, in the form in which its front ends hand them on.

    Attributes:
        names: of the layer that gives the values of a source or step.
        forms: what the values of a layer can be.
    """

    layers: list[dict[str, Any]] = field(default_factory=list)
    precisions: dict[str, dict[str, str]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    forms: dict[str, Format] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def add(
        self, kind: str, inputs: list[str], shape: tuple[int, ...], types: dict[str, str], form: Format, **options: Any
    ) -> str:
        """Append a layer; its name."""
        name = f"q{len(self.layers)}_{kind.lower()}"
        layer = {"class_name": kind, "name": name, "data_format": "channels_last", **options}
        self.layers.append(layer | ({"inputs": inputs} if inputs else {}))
        self.precisions[name] = types
        self.forms[name], self.shapes[name] = form, shape
        return name


def network_of(model: IntegerModel) -> Network:
    """The layers of a model.

    Raises:
        ExportError: a step that hls4ml cannot compute exactly.
    """
    made = Network()
    for source in model.sources:
        shape = source.shape
        made.names[source.name] = made.add(
            "InputLayer", [], shape, {"result": type_of(source.form)}, source.form, input_shape=list(shape)
        )
    for step in model.steps:
        made.names[step.name] = _layer(made, step, [made.names[name] for name in step.inputs])
    for output in model.outputs:
        name = made.names[output.step]
        if name not in made.forms or output.step in {source.name for source in model.sources}:
            raise ExportError(f"{output.name}: is an input of the model; take it out of the outputs")
        if made.forms[name].bits > _DOUBLE_BITS:
            raise ExportError(f"{output.name}: has more than {_DOUBLE_BITS} bits; put a quantizer behind it")
    return made


def type_of(form: Format, mode: str = "", signed: bool = False) -> str:
    """The smallest ap_fixed type that holds a format, of at least two bits."""
    signed = signed or form.signed
    bits = max(form.bits + (signed and not form.signed), 2)
    return f"{'' if signed else 'u'}fixed<{bits},{bits - form.fraction}{mode}>"


def _layer(made: Network, step: Step, inputs: list[str]) -> str:
    match step.operation:
        case Uniform():
            return _uniform(made, step, step.operation, inputs[0])
        case Thresholds():
            raise ExportError(
                f"{step.layer}: steps where no fixed-point type rounds; use quantized_bits or quantized_relu with at "
                "least 2 bits"
            )
        case Clamp():
            return _clamp(made, step, step.operation, inputs[0])
        case Dense():
            return _dense(made, step, step.operation, inputs[0])
        case Convolution():
            return _convolution(made, step, step.operation, inputs[0])
        case Scale():
            return _scale(made, step, step.operation, inputs[0])
        case Merge():
            return _merge(made, step, step.operation, inputs)
        case Concatenate():
            return _concatenate(made, step, step.operation, inputs)
        case Pool():
            return _pool(made, step, step.operation, inputs[0])
        case Global():
            return _global(made, step, step.operation, inputs[0])
        case Reshape():
            return _reshape(made, inputs[0], step.operation.shape)
        case Permute():
            axes = [axis - 1 for axis in step.operation.axes[1:]]
            return made.add("Transpose", inputs, step.shape, {"result": type_of(step.form)}, step.form, perm=axes)
    kind = type(step.operation).__name__
    raise ExportError(f"{step.layer}: {_MISSING.get(kind, f'hls4ml has no exact {kind}; {_ELSE}')}")


def _reshape(made: Network, source: str, shape: tuple[int, ...]) -> str:
    form = made.forms[source]
    return made.add("Reshape", [source], shape, {"result": type_of(form)}, form, target_shape=list(shape))


def _cast(made: Network, source: str, form: Format, text: str, function: str = "linear") -> str:
    """Every value in another type: this is where hls4ml rounds and saturates."""
    shape = made.shapes[source]
    return made.add("Activation", [source], shape, {"result": text}, form, activation=function, n_in=math.prod(shape))


def _uniform(made: Network, step: Step, rule: Uniform, source: str) -> str:
    if rule.divisor != 1:
        raise ExportError(
            f"{step.layer}: rounds an average over an area that is no power of two; give the pooling layer an "
            "average_quantizer, or a window whose area is one"
        )
    form = made.forms[source]
    ends = numpy.array([form.least, form.greatest], numpy.int64)
    free = Uniform(rule.shift, 1, -(2**62), 2**62, rule.half_away)(ends)
    mode, signed, bits = _saturated(step, (rule.least, rule.greatest), (int(free[0]), int(free[1])))
    dropped = form.fraction - step.form.fraction
    if max(form.bits, 2) < dropped + 2:  # ap_fixed reads the bit that it rounds at, which a narrow type has not
        wide = Format(fraction=form.fraction, least=form.least, greatest=max(form.greatest, 1 << (dropped + 1)))
        source = _cast(made, source, form, type_of(wide))
    rounding = "RND_INF" if rule.half_away else "RND_CONV"
    text = f"{'' if signed else 'u'}fixed<{bits},{bits - step.form.fraction},{rounding},{mode}>"
    return _cast(made, source, step.form, text)


def _saturated(step: Step, ends: Pair, free: Pair) -> tuple[str, bool, int]:
    """(mode, signed, bits) of a type that saturates where a rule clips, and holds all where it does not.

    Raises:
        ExportError: there is none.
    """
    for bits in range(2, 63):
        half = 1 << (bits - 1)
        for mode, signed, low, high in (
            ("SAT", False, 0, 2 * half - 1),
            ("SAT", True, -half, half - 1),
            ("SAT_SYM", True, 1 - half, half - 1),
        ):
            below = low <= ends[0] if ends[0] <= free[0] else low == ends[0]
            above = high >= ends[1] if ends[1] >= free[1] else high == ends[1]
            if below and above:
                return mode, signed, bits
    raise ExportError(
        f"{step.layer}: clips at {ends[0]} and {ends[1]} steps, where no fixed-point type saturates; use "
        "quantized_relu or quantized_bits with at least 2 bits"
    )


def _clamp(made: Network, step: Step, rule: Clamp, source: str) -> str:
    form = made.forms[source]
    if rule.greatest >= form.greatest and rule.least == 0:
        return _cast(made, source, step.form, type_of(step.form), "relu")
    mode, signed, bits = _saturated(step, (rule.least, rule.greatest), (form.least, form.greatest))
    text = f"{'' if signed else 'u'}fixed<{bits},{bits - step.form.fraction},TRN,{mode}>"
    return _cast(made, source, step.form, text)


def _weights(name: str, codes: Codes, fraction: int) -> tuple[NDArray[Any], dict[str, str]]:
    """(values, the type that holds them)."""
    form = Format(fraction=fraction, least=min(int(codes.min()), 0), greatest=max(int(codes.max()), 0))
    return numpy.ldexp(codes.astype(numpy.float64), -fraction), {name: type_of(form)}


def _sums(made: Network, step: Step, source: str, kernel: Codes, bias: Codes | None) -> tuple[Any, Any, dict[str, str]]:
    """(kernel, bias, types) of a layer of sums."""
    weights, types = _weights("weight", kernel, step.form.fraction - made.forms[source].fraction)
    text = type_of(step.form)
    types |= {"result": text, "accum": text}
    offsets = None
    if bias is not None:
        offsets, kind = _weights("bias", bias, step.form.fraction)
        types |= kind
    return weights, offsets, types


def _dense(made: Network, step: Step, operation: Dense, source: str) -> str:
    kernel, bias, types = _sums(made, step, source, operation.kernel, operation.bias)
    options = {"weight_data": kernel, "bias_data": bias, "n_in": kernel.shape[0], "n_out": kernel.shape[1]}
    return made.add("Dense", [source], step.shape, types, step.form, **options)


def _convolution(made: Network, step: Step, operation: Convolution, source: str) -> str:
    if operation.groups > 1:
        raise ExportError(f"{step.layer}: has groups, which hls4ml has not; use groups=1 or a depthwise convolution")
    if operation.depthwise and operation.kernel.shape[3] > 1:
        raise ExportError(f"{step.layer}: has a depth multiplier, which hls4ml has not; use depth_multiplier=1")
    kernel = _dilated(operation.kernel, operation.dilation)
    return _convolved(made, step, source, kernel, operation)


def _dilated(kernel: Codes, dilation: Pair) -> Codes:
    """The same sums without dilation: zeros between the weights."""
    height, width = ((side - 1) * gap + 1 for side, gap in zip(kernel.shape[:2], dilation, strict=True))
    found = numpy.zeros((height, width, *kernel.shape[2:]), numpy.int64)
    found[:: dilation[0], :: dilation[1]] = kernel
    return found


def _convolved(made: Network, step: Step, source: str, kernel: Codes, operation: Convolution) -> str:
    weights, bias, types = _sums(made, step, source, kernel, operation.bias)
    weights = weights[0] if operation.flat else weights
    shape = made.shapes[source]
    options = _geometry(shape, kernel.shape[:2], operation.strides, operation.padding, operation.flat, "filt")
    rank = 1 if operation.flat else 2
    filters = shape[-1] if operation.depthwise else kernel.shape[3]
    options |= {"n_chan": shape[-1], "n_filt": filters, "bias_data": bias, "weight_data": weights}
    out = tuple(options[f"out_{axis}"] for axis in ("height", "width")[2 - rank :])
    if operation.depthwise:
        options |= {"depthwise_data": weights, "depth_multiplier": 1}
    kind = f"{'Depthwise' if operation.depthwise else ''}Conv{rank}D"
    return made.add(kind, [source], (*out, filters), types, step.form, **options)


def _geometry(
    shape: tuple[int, ...], window: tuple[int, ...], strides: Pair, padding: Padding, flat: bool, side: str
) -> dict[str, Any]:
    """Sizes of windows, as hls4ml calls them."""
    found: dict[str, Any] = {}
    sizes = (1, *shape[:-1]) if flat else shape[:-1]
    ends = (("top", "bottom"), ("left", "right"))
    for axis, name in enumerate(("height", "width")):
        if flat and axis == 0:
            continue
        before, after = padding[axis]
        found |= {
            f"in_{name}": sizes[axis],
            f"out_{name}": (sizes[axis] + before + after - window[axis]) // strides[axis] + 1,
            f"{side}_{name}": window[axis],
            f"stride_{name}": strides[axis],
            f"pad_{ends[axis][0]}": before,
            f"pad_{ends[axis][1]}": after,
        }
    return found


def _scale(made: Network, step: Step, operation: Scale, source: str) -> str:
    channels = made.shapes[source][-1]
    fraction = step.form.fraction - made.forms[source].fraction
    scale, types = _weights("scale", numpy.broadcast_to(operation.multiplier, (channels,)).copy(), fraction)
    offset = numpy.zeros(1, numpy.int64) if operation.offset is None else operation.offset
    bias, kind = _weights("bias", numpy.broadcast_to(offset, (channels,)).copy(), step.form.fraction)
    types |= kind | {"result": type_of(step.form)}
    shape = made.shapes[source]
    options = {"scale_data": scale, "bias_data": bias, "n_in": math.prod(shape)}
    options["n_filt"] = channels if len(shape) > 1 else -1
    return made.add("BatchNormalization", [source], shape, types, step.form, **options)


def _merge(made: Network, step: Step, operation: Merge, inputs: list[str]) -> str:
    forms = [made.forms[name] for name in inputs]
    if operation.kind != "Multiply" and len({form.divisor for form in forms}) > 1:
        raise ExportError(f"{step.layer}: merges averages over different areas; put quantizers behind them")
    if len({made.shapes[name] for name in inputs}) > 1:
        raise ExportError(f"{step.layer}: merges tensors of different shapes; reshape them to one")
    text = type_of(step.form, signed=True)
    found = inputs[0]
    for other in inputs[1:]:
        found = made.add("Merge", [found, other], step.shape, {"result": text}, step.form, op=operation.kind.lower())
    return found


def _concatenate(made: Network, step: Step, operation: Concatenate, inputs: list[str]) -> str:
    if len({made.forms[name].divisor for name in inputs}) > 1:
        raise ExportError(f"{step.layer}: joins averages over different areas; put quantizers behind them")
    rank = len(step.shape)
    axis = operation.axis % (rank + 1)
    found = inputs[0]
    for other in inputs[1:]:
        shape = list(made.shapes[found])
        shape[axis - 1] += made.shapes[other][axis - 1]
        types = {"result": type_of(step.form)}
        options = {"axis": axis, "op": f"Concatenate{rank}d"}
        found = made.add("Concatenate", [found, other], tuple(shape), types, step.form, **options)
    return found


def _pool(made: Network, step: Step, operation: Pool, source: str) -> str:
    shape = made.shapes[source]
    if not operation.largest:
        return _summed(made, step, source, operation.window, operation.strides, operation.flat, operation.factor)
    padded = any(sum(ends) for ends in operation.padding)
    form = made.forms[source]
    if padded and not form.signed:  # outside, hls4ml takes the least value of a signed type
        source = _cast(made, source, form, type_of(form, signed=True))
    text = type_of(step.form, signed=padded)
    options = _geometry(shape, operation.window, operation.strides, operation.padding, operation.flat, "pool")
    rank = 1 if operation.flat else 2
    if operation.flat:
        options |= {"n_in": options["in_width"], "n_out": options["out_width"]}
    kind, types = f"MaxPooling{rank}D", {"result": text, "accum": text}
    return made.add(kind, [source], step.shape, types, step.form, n_filt=shape[-1], **options)


def _global(made: Network, step: Step, operation: Global, source: str) -> str:
    shape = made.shapes[source]
    flat = len(shape) == 2
    window = (1, shape[0]) if flat else (shape[0], shape[1])
    if operation.largest:
        pool = Pool(largest=True, window=window, strides=window, padding=((0, 0), (0, 0)), outside=0, flat=flat)
        found = _pool(made, step, pool, source)
    else:
        found = _summed(made, step, source, window, window, flat, operation.factor)
    made.shapes[found] = (1,) * (len(shape) - 1) + shape[-1:]
    return _reshape(made, found, step.shape)


def _summed(made: Network, step: Step, source: str, window: Pair, strides: Pair, flat: bool, factor: int) -> str:
    """Averages as depthwise sums, as hls4ml's pooling divides with a rounding of its own."""
    kernel = numpy.full((*window, made.shapes[source][-1], 1), factor, numpy.int64)
    operation = Convolution(
        kernel=kernel,
        bias=None,
        strides=strides,
        padding=((0, 0), (0, 0)),
        dilation=(1, 1),
        groups=1,
        depthwise=True,
        flat=flat,
        bound=0,
    )
    return _convolved(made, step, source, kernel, operation)
