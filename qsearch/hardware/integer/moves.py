"""Pooling, and what moves codes about."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import keras
import numpy

from qsearch.errors import ExportError
from qsearch.graph import operations as ops
from qsearch.graph.model_graph import Node
from qsearch.hardware.integer.formats import Codes, Format, dyadic
from qsearch.hardware.integer.operations import (
    Global,
    Operation,
    Pad,
    Padding,
    Permute,
    Pool,
    Repeat,
    Reshape,
    Scale,
    Slice,
    same_padding,
)

Made = tuple[str, Operation, Format]
"""A suffix for the step's name, what it computes, and the format of its result."""
_GLOBAL_AVERAGES = (keras.layers.GlobalAveragePooling1D, keras.layers.GlobalAveragePooling2D)
_WINDOWS = (keras.layers.MaxPooling1D, keras.layers.MaxPooling2D)
_GLOBAL = (keras.layers.GlobalMaxPooling1D, keras.layers.GlobalMaxPooling2D)


def average_steps(node: Node, layer: Any, form: Format) -> Iterator[Made]:
    """Sums over windows; what they are divided by is in the format, so that nothing is rounded."""
    assert isinstance(node.operation, ops.AveragePooling)
    if not node.operation.keeps_channels:
        raise ExportError(f"{node.layer}: averages the channels themselves, which is not computed in integers yet")
    if isinstance(layer, _GLOBAL_AVERAGES) or node.operation.pool_size is None:
        factor, made = _averaged(layer, math.prod(node.input_shapes[0][:-1]), form)
        yield "", Global(largest=False, keepdims=bool(getattr(layer, "keepdims", False)), factor=factor), made
        return
    if not hasattr(layer, "padding"):  # adaptive ones
        raise ExportError(f"{node.layer}: a {node.class_name} layer is not computed in integers yet")
    if _channels_first(layer):
        raise ExportError(f"{node.layer}: has its channels first; allowed: channels last")
    window = tuple(node.operation.pool_size)
    counts = _cells(node, layer, window)
    if (counts == math.prod(window)).all():
        factor, made = _averaged(layer, math.prod(window), form)
        yield "", _pool(node, layer, window, False, 0, factor), made
    else:
        yield from _edged(node, layer, window, counts, form)


def _cells(node: Node, layer: Any, window: tuple[int, ...]) -> Codes:
    """How many cells each window has inside the image."""
    ones = numpy.ones((1, *node.input_shapes[0][:-1], 1), numpy.int64)
    found: Codes = _pool(node, layer, window, False, 0)(ones)[0, ..., 0]
    return found


def _edged(node: Node, layer: Any, window: tuple[int, ...], counts: Codes, form: Format) -> Iterator[Made]:
    """Windows that reach over the edge, whose averages are over fewer cells: each position has its own factor.

    Sums are brought to one divisor that all counts have in common.
    """
    common, area = math.lcm(*(int(count) for count in counts.flat)), math.prod(window)
    factors, fraction = common // counts, form.fraction
    quantizer = getattr(layer, "average_quantizer", None)
    if quantizer is not None:
        code, places = _reciprocal(quantizer, area)
        factors, fraction = factors * (code * area), fraction + places
    whole = int(numpy.gcd.reduce(factors, axis=None)) or 1
    shared = math.gcd(whole, common)
    factors, common = factors // shared, common // shared
    odd = _odd(common)
    sums = Format(fraction=form.fraction, least=min(form.least * area, 0), greatest=max(form.greatest * area, 0))
    yield ":sums", _pool(node, layer, window, False, 0), replace(sums, divisor=form.divisor)
    shape = node.output_shape
    yield ":flat", Reshape((math.prod(shape),)), replace(sums, divisor=form.divisor)
    table = numpy.repeat(factors.reshape(-1), shape[-1])
    ends = [int(end) * int(factor) for end in (sums.least, sums.greatest) for factor in (table.min(), table.max())]
    made = Format(
        fraction=fraction + (common // odd).bit_length() - 1,
        least=min(ends),
        greatest=max(ends),
        divisor=form.divisor * odd,
    )
    yield ":averages", Scale(table, None), made
    yield "", Reshape(shape), made


def _averaged(layer: Any, area: int, form: Format) -> tuple[int, Format]:
    """(what sums are multiplied with, the format of the average)."""
    quantizer = getattr(layer, "average_quantizer", None)
    if quantizer is not None:
        factor, fraction = _reciprocal(quantizer, area)
        ends = sorted((form.least * area * factor, form.greatest * area * factor))
        return factor, Format(fraction=form.fraction + fraction, least=ends[0], greatest=ends[1], divisor=form.divisor)
    odd = _odd(area)
    return 1, Format(
        fraction=form.fraction + (area // odd).bit_length() - 1,
        least=form.least * area,
        greatest=form.greatest * area,
        divisor=form.divisor * odd,
    )


def _reciprocal(quantizer: Any, area: int) -> tuple[int, int]:
    """(code, fraction) of 1/area on a quantizer's grid."""
    codes, fraction = dyadic(numpy.asarray(quantizer(keras.ops.convert_to_tensor([1.0 / area], "float32"))))
    return int(codes[0]), fraction


def _odd(number: int) -> int:
    while number % 2 == 0:
        number //= 2
    return number


def _pool(node: Node, layer: Any, window: tuple[int, ...], largest: bool, outside: int, factor: int = 1) -> Pool:
    flat = len(window) == 1
    strides = tuple(layer.strides or window)
    padding: Padding = ((0, 0),) * len(window)
    if layer.padding == "same":
        padding = same_padding(node.input_shapes[0][:-1], window, strides)
    full = (1,) if flat else ()
    return Pool(
        largest=largest,
        window=(*full, *window),
        strides=(*full, *strides),
        padding=((0, 0), *padding) if flat else padding,
        outside=outside,
        flat=flat,
        factor=factor,
    )


def move_steps(node: Node, layer: Any, form: Format) -> Iterator[Made]:
    """What moves codes about, as one step or several.

    Raises:
        ExportError: as `move_step`.
    """
    if isinstance(layer, keras.layers.Cropping1D | keras.layers.Cropping2D) and not _channels_first(layer):
        sides = layer.cropping if isinstance(layer.cropping[0], list | tuple) else (layer.cropping,)
        for axis, (low, high) in enumerate(sides):
            if low or high:
                yield f":{axis}", Slice(axis + 1, int(low), node.input_shapes[0][axis] - int(high)), form
    elif isinstance(layer, keras.layers.RepeatVector):
        yield ":row", Reshape((1, *node.input_shapes[0])), form
        yield "", Repeat((int(layer.n),)), form
    else:
        yield "", *move_step(node, layer, form)


def _channels_first(layer: Any) -> bool:
    return getattr(layer, "data_format", None) == "channels_first"


def move_step(node: Node, layer: Any, form: Format) -> tuple[Operation, Format]:
    """Maxima, other shapes, padding and repetition.

    Raises:
        ExportError: a layer that is not known, or channels first.
    """
    if _channels_first(layer):
        raise ExportError(f"{node.layer}: has its channels first; allowed: channels last")
    if isinstance(layer, _WINDOWS):
        window = tuple(layer.pool_size)
        return _pool(node, layer, window, True, form.least), form
    if isinstance(layer, _GLOBAL):
        return Global(largest=True, keepdims=bool(getattr(layer, "keepdims", False))), form
    if isinstance(layer, keras.layers.Permute):
        return Permute((0, *layer.dims)), form
    if isinstance(layer, keras.layers.ZeroPadding1D | keras.layers.ZeroPadding2D):
        sides = layer.padding if isinstance(layer.padding[0], list | tuple) else (layer.padding,)
        padded = Format(
            fraction=form.fraction, least=min(form.least, 0), greatest=max(form.greatest, 0), divisor=form.divisor
        )
        return Pad(tuple((int(low), int(high)) for low, high in sides)), padded
    if isinstance(layer, keras.layers.UpSampling1D | keras.layers.UpSampling2D):
        if getattr(layer, "interpolation", "nearest") != "nearest":
            raise ExportError(f"{node.layer}: interpolates; allowed: interpolation 'nearest'")
        size = layer.size if isinstance(layer.size, list | tuple) else (layer.size,)
        return Repeat(tuple(size)), form
    assert isinstance(node.operation, ops.DataMover)
    if node.operation.move in (ops.Move.FLATTEN, ops.Move.RESHAPE):
        return Reshape(node.output_shape), form
    raise ExportError(f"{node.layer}: a {node.class_name} layer is not computed in integers yet")
