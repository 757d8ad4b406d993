"""Pooling, and what moves codes about."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy

from qsearch.errors import ExportError
from qsearch.graph import operations as ops
from qsearch.graph.model_graph import Node
from qsearch.hardware.integer.formats import Format, dyadic
from qsearch.hardware.integer.operations import (
    Global,
    Operation,
    Pad,
    Padding,
    Permute,
    Pool,
    Repeat,
    Reshape,
    same_padding,
)

_WINDOWS = (keras.layers.MaxPooling1D, keras.layers.MaxPooling2D)
_GLOBAL = (keras.layers.GlobalMaxPooling1D, keras.layers.GlobalMaxPooling2D)


def average_step(node: Node, layer: Any, form: Format) -> tuple[Operation, Format]:
    """Sums over windows; what they are divided by is in the format, so that nothing is rounded.

    Raises:
        ExportError: a window that reaches over the edge, whose averages are over fewer cells.
    """
    assert isinstance(node.operation, ops.AveragePooling)
    window = node.operation.pool_size
    operation: Operation
    if window is None:
        area = math.prod(node.input_shapes[0][:-1])
        factor, made = _averaged(layer, area, form)
        operation = Global(largest=False, keepdims=bool(getattr(layer, "keepdims", False)), factor=factor)
        return operation, made
    if layer.padding != "valid":
        sizes = zip(node.input_shapes[0][:-1], window, layer.strides, strict=True)
        if any(size % side or side != stride for size, side, stride in sizes):
            raise ExportError(
                f"{node.layer}: averages over fewer cells at the edge; allowed: padding 'valid', or windows that "
                "divide the image"
            )
    factor, made = _averaged(layer, math.prod(window), form)
    return _pool(node, layer, tuple(window), False, 0, factor), made


def _averaged(layer: Any, area: int, form: Format) -> tuple[int, Format]:
    """(what sums are multiplied with, the format of the average)."""
    quantizer = getattr(layer, "average_quantizer", None)
    if quantizer is not None:
        codes, fraction = dyadic(numpy.asarray(quantizer(keras.ops.convert_to_tensor([1.0 / area], "float32"))))
        factor = int(codes[0])
        ends = sorted((form.least * area * factor, form.greatest * area * factor))
        return factor, Format(fraction=form.fraction + fraction, least=ends[0], greatest=ends[1], divisor=form.divisor)
    odd = area
    while odd % 2 == 0:
        odd //= 2
    return 1, Format(
        fraction=form.fraction + (area // odd).bit_length() - 1,
        least=form.least * area,
        greatest=form.greatest * area,
        divisor=form.divisor * odd,
    )


def _pool(node: Node, layer: Any, window: tuple[int, ...], largest: bool, outside: int, factor: int = 1) -> Pool:
    flat = len(window) == 1
    strides = tuple(layer.strides)
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


def move_step(node: Node, layer: Any, form: Format) -> tuple[Operation, Format]:
    """Maxima, other shapes, padding and repetition.

    Raises:
        ExportError: a layer that is not known, or channels first.
    """
    if getattr(layer, "data_format", None) == "channels_first":
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
