"""Dense layers, convolutions and what multiplies channels, as steps on codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy

from qsearch.errors import ExportError
from qsearch.graph import operations as ops
from qsearch.graph.model_graph import Node
from qsearch.hardware.integer.formats import Codes, Format, dyadic
from qsearch.hardware.integer.operations import Convolution, Dense, Operation, Scale, same_padding
from qsearch.hardware.weights import QuantizedWeight, exported

Made = tuple[str, Operation, Format]
"""A suffix for the step's name, what it computes, and the format of its result."""
_FINE = 30
"""Bits of the largest factor, where factors differ too much to be exact."""


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """How a convolution moves over its input, by axis of positions; see `Convolution`."""

    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int = 1
    depthwise: bool = False


def dense_steps(node: Node, layer: Any, form: Format) -> Iterator[Made]:
    """The steps of a layer with a kernel: sums of products, and the scales of its channels where they have any.

    Raises:
        ExportError: weights without a quantizer, channels first, or a padding that is not known.
    """
    weights = weights_of(node, layer)
    if isinstance(node.operation, ops.Dense):
        yield from sums(node, weights["kernel"], weights.get("bias"), form)
        return
    depthwise = weights.get("depthwise")
    kernel, bias = weights.get("pointwise", weights.get("kernel")), weights.get("bias")
    if depthwise is not None:
        separable = isinstance(node.operation, ops.SeparableConvolution)
        geometry = _geometry(node, layer, depthwise, True)
        ending = ":depthwise" if separable else ""
        for suffix, operation, made in sums(node, depthwise, None if separable else bias, form, geometry, ending):
            yield suffix, operation, made
            form = made
        if separable and kernel is not None:
            yield from sums(node, kernel, bias, form, pointwise(kernel))
    elif kernel is not None:
        yield from sums(node, kernel, bias, form, _geometry(node, layer, kernel, False))


def weights_of(node: Node, layer: Any) -> dict[str, QuantizedWeight]:
    """The weights of a quantized layer.

    Raises:
        ExportError: it is none, or has its channels first.
    """
    parts = getattr(layer, "weight_parts", None)
    if parts is None:
        raise ExportError(
            f"{node.layer}: is no quantized layer, so that its weights are real numbers; quantize it "
            f"(limit: {node.class_name}), or leave it out of the exported model"
        )
    if getattr(layer, "data_format", None) == "channels_first":
        raise ExportError(f"{node.layer}: has its channels first; allowed: channels last")
    weights = {name: exported(part) for name, part in parts().items()}
    mask = getattr(layer, "mask", None)  # of QConv2D: cells of its kernel that count
    if mask is not None:
        kernel, cells = weights["kernel"], numpy.asarray(mask)[:, :, None, None]
        codes = None if kernel.codes is None else (kernel.codes * cells).astype(numpy.int64)
        weights["kernel"] = replace(kernel, values=kernel.values * cells, codes=codes)
    return weights


def sums(
    node: Node,
    weight: QuantizedWeight,
    bias: QuantizedWeight | None,
    form: Format,
    geometry: Geometry | None = None,
    suffix: str = "",
) -> Iterator[Made]:
    """Sums of products with a kernel: of a convolution where a geometry is given, else on the last axis.

    Raises:
        ExportError: a kernel without a quantizer, or over more than two axes.
    """
    kernel, fraction, channels = _kernel(node, weight, geometry is not None and geometry.depthwise)
    fraction += form.fraction
    offset, places = None, 0
    if bias is not None:
        offset, places = _dyadic(f"{node.layer}: its bias", bias.values)
        if channels is None:
            if places > fraction:
                kernel, fraction = kernel << (places - fraction), places
            offset = offset << (fraction - places)
            offset = offset * form.divisor
    plain = offset if channels is None else None
    operation, least, greatest = _operation(node, kernel, plain, form, geometry)
    made = Format(fraction=fraction, least=least, greatest=greatest, divisor=form.divisor)
    if channels is None:
        yield suffix, operation, made
        return
    yield f"{suffix}:sums", operation, made
    factors, scale_fraction = channels
    yield suffix, *scale_step(factors, scale_fraction, None if offset is None else (offset, places), made)


def _kernel(node: Node, weight: QuantizedWeight, depthwise: bool) -> tuple[Codes, int, tuple[Codes, int] | None]:
    """(codes, fraction, the factors of output channels with their fraction, where they are not all alike)."""
    where = f"{node.layer}: its kernel"
    if weight.codes is None:
        raise ExportError(f"{where} has no quantizer; give it one (limit: {node.class_name}), or quantize the layer")
    if weight.scale is None:
        return *_dyadic(where, weight.values), None
    scale = numpy.asarray(weight.scale, numpy.float64)
    if not numpy.isfinite(scale).all():
        raise ExportError(
            f"{where} has a scale that is not finite: all of its weights are 0; train it again, or drop it"
        )
    codes = numpy.broadcast_to(weight.codes, weight.values.shape)
    axes = weight.values.ndim - (2 if depthwise else 1)
    shape = (1,) * (weight.values.ndim - scale.ndim) + scale.shape
    if any(side > 1 for side in shape[:axes]):  # scales of groups inside a kernel
        return *_dyadic(where, weight.values), None
    factors, fraction = _dyadic(f"{where}: its scale", scale)
    if (factors == factors.flat[0]).all() and int(factors.flat[0]) == 1:
        return numpy.ascontiguousarray(codes), fraction, None
    side = weight.values.shape[axes:]
    spread = numpy.broadcast_to(factors.reshape(shape), (*(1,) * axes, *side)).reshape(-1)
    return numpy.ascontiguousarray(codes), 0, (spread.copy(), fraction)


def _operation(
    node: Node, kernel: Codes, bias: Codes | None, form: Format, geometry: Geometry | None
) -> tuple[Operation, int, int]:
    """(the operation, the least and the greatest sum)."""
    if geometry is None:
        matrix = kernel.reshape(-1, kernel.shape[-1])
        least, greatest, bound = _range(matrix[:, :, None], bias, form)
        return Dense(matrix, bias, bound), least, greatest
    rank = kernel.ndim - 2
    if rank not in (1, 2):
        raise ExportError(f"{node.layer}: convolves over {rank} axes; allowed: 1 or 2")
    flat = rank == 1
    kernel = kernel[None] if flat else kernel
    depthwise = geometry.depthwise
    columns = kernel.reshape(-1, *kernel.shape[2:]) if depthwise else kernel.reshape(-1, kernel.shape[-1], 1)
    least, greatest, bound = _range(columns, bias, form)
    full = (1,) if flat else ()
    operation = Convolution(
        kernel=kernel,
        bias=bias,
        strides=(*full, *geometry.strides),
        padding=(((0, 0), *geometry.padding) if flat else geometry.padding),
        dilation=(*full, *geometry.dilation),
        groups=geometry.groups,
        depthwise=depthwise,
        flat=flat,
        bound=bound,
    )
    return operation, least, greatest


def _geometry(node: Node, layer: Any, weight: QuantizedWeight, depthwise: bool) -> Geometry:
    """As Keras' convolutions have it."""
    window = weight.values.shape[:-2]
    strides, dilation = tuple(layer.strides), tuple(layer.dilation_rate)
    return Geometry(
        strides=strides,
        padding=_padding(node, layer, window, strides, dilation),
        dilation=dilation,
        groups=1 if depthwise else getattr(layer, "groups", 1),
        depthwise=depthwise,
    )


def pointwise(weight: QuantizedWeight) -> Geometry:
    """Of a convolution of size 1."""
    rank = weight.values.ndim - 2
    return Geometry(strides=(1,) * rank, padding=((0, 0),) * rank, dilation=(1,) * rank)


def _padding(
    node: Node, layer: Any, window: tuple[int, ...], strides: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    sizes = node.input_shapes[0][:-1]
    reach = tuple((side - 1) * step + 1 for side, step in zip(window, dilation, strict=True))
    match layer.padding:
        case "valid":
            return ((0, 0),) * len(window)
        case "causal":
            return ((reach[0] - 1, 0),)
        case "same":
            return same_padding(sizes, reach, strides)
    raise ExportError(f"{node.layer}: padding {layer.padding!r} is not computed in integers")


def _range(columns: Codes, bias: Codes | None, form: Format) -> tuple[int, int, int]:
    """(least, greatest, bound) of sums over the first axis; a window may lie outside, where there are zeros."""
    low, high = min(form.least, 0), max(form.greatest, 0)
    positive = numpy.maximum(columns, 0).sum(axis=0).reshape(-1).astype(object)
    negative = numpy.minimum(columns, 0).sum(axis=0).reshape(-1).astype(object)
    offsets = numpy.zeros(len(positive), object) if bias is None else bias.astype(object)
    least = min(positive * low + negative * high + offsets)
    greatest = max(positive * high + negative * low + offsets)
    bound = max((positive - negative) * max(-low, high) + abs(offsets))
    return int(least), int(greatest), int(bound)


def norm_step(name: str, layer: Any, form: Format) -> tuple[Operation, Format]:
    """Batch normalization: x · inverse + shift, with the float32 factors that Keras computes with.

    Raises:
        ExportError: it does not work along the channels.
    """
    if layer.axis not in (-1, len(layer.input.shape) - 1 if hasattr(layer, "input") else -1):
        raise ExportError(f"{name}: does not work along the last axis")
    inverse, shift = norm_factors(layer)
    try:
        factors, fraction = dyadic(inverse)
    except ExportError:
        factors, fraction = _coarse(inverse)
    return scale_step(factors, fraction, _dyadic(f"{name}: its shift", shift), form)


def norm_factors(layer: Any) -> tuple[numpy.ndarray, numpy.ndarray]:
    """(inverse, shift), float32, of a batch normalization at inference: y = x · inverse + shift."""
    affine = getattr(layer, "affine", None)
    if affine is not None:
        inverse, shift = affine()
        return numpy.asarray(inverse), numpy.asarray(shift)
    mean = keras.ops.convert_to_tensor(layer.moving_mean)
    inverse = keras.ops.rsqrt(keras.ops.convert_to_tensor(layer.moving_variance) + layer.epsilon)
    if layer.scale:
        inverse = inverse * keras.ops.convert_to_tensor(layer.gamma)
    shift = -mean * inverse
    if layer.center:
        shift = shift + keras.ops.convert_to_tensor(layer.beta)
    return numpy.asarray(inverse), numpy.asarray(shift)


def scaled(name: str, layer: Any, form: Format) -> tuple[Operation, Format]:
    """Rescaling: x · scale + offset.

    Raises:
        ExportError: any other layer of constants.
    """
    if not isinstance(layer, keras.layers.Rescaling):
        raise ExportError(f"{name}: a {type(layer).__name__} layer is not computed in integers yet")
    factors, fraction = _dyadic(f"{name}: its scale", numpy.asarray(layer.scale, "float32").reshape(-1))
    offset = _dyadic(f"{name}: its offset", numpy.asarray(layer.offset, "float32").reshape(-1))
    return scale_step(factors, fraction, offset, form)


def scale_step(
    factors: Codes, fraction: int, offset: tuple[Codes, int] | None, form: Format
) -> tuple[Operation, Format]:
    """x · factors + offset on one fraction."""
    total = form.fraction + fraction
    shift: Codes | None = None
    if offset is not None:
        codes, places = offset
        if places > total:
            factors, total = factors.astype(object) << (places - total), places
        shift = (codes.astype(object) << (total - places)) * form.divisor
    rows = numpy.broadcast_arrays(factors.astype(object), numpy.zeros(1, object) if shift is None else shift)
    ends = [f * end + o for f, o in zip(rows[0].flat, rows[1].flat, strict=True) for end in (form.least, form.greatest)]
    made = Scale(_short(factors), None if shift is None else _short(shift))
    return made, Format(fraction=total, least=min(ends), greatest=max(ends), divisor=form.divisor)


def _short(codes: numpy.ndarray) -> Codes:
    """In int64, where all of them fit; else their step is refused by its format."""
    fit = all(abs(int(code)) < 1 << 63 for code in codes.flat)
    return codes.astype(numpy.int64) if fit else codes


def _coarse(values: numpy.ndarray) -> tuple[Codes, int]:
    """Factors that differ by more than an int64 holds, on one grid of 2^−30 of the largest."""
    fraction = _FINE - int(numpy.frexp(numpy.abs(values).max())[1])
    return numpy.round(numpy.ldexp(values.astype(numpy.float64), fraction)).astype(numpy.int64), fraction


def _dyadic(what: str, values: Any) -> tuple[Codes, int]:
    try:
        return dyadic(values)
    except ExportError as error:
        raise ExportError(f"{what}: {error}") from None
