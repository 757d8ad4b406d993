"""Memory that TensorFlow can use as it is: without that, Keras copies whole arrays in every `fit` and `evaluate`."""

from __future__ import annotations

from typing import Any

import numpy
from numpy.typing import DTypeLike, NDArray

ALIGNMENT = 64
"""Bytes at whose multiples TensorFlow's kernels expect a tensor to begin."""
_WORTH_IT = 1 << 20
"""Bytes from which on a copy is worth saving."""


def aligned_empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array of unset values in memory that tensors can share."""
    kind = numpy.dtype(dtype)
    size = int(numpy.prod(shape, dtype=numpy.int64)) * kind.itemsize
    memory = numpy.empty(size + ALIGNMENT, numpy.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(kind).reshape(shape)


def converted(array: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """The same numbers in another type, in memory that tensors can share."""
    copy = aligned_empty(array.shape, dtype)
    with numpy.errstate(over="ignore"):  # what is beyond the type is infinite, which is told where data is looked at
        numpy.copyto(copy, array, casting="unsafe")
    return copy


def rows_of(array: NDArray[Any], which: Any) -> NDArray[Any]:
    """Some of the rows: a view of a slice, or else a copy in memory that tensors can share."""
    if isinstance(which, slice) or array.dtype.kind not in "biuf":
        return numpy.asarray(array[which])
    rows = aligned_empty((len(which), *array.shape[1:]), array.dtype)
    # numpy.take makes the whole of it once more before it fills `out`
    step = max(1, _WORTH_IT // max(1, int(numpy.prod(array.shape[1:])) * array.itemsize))
    for start in range(0, len(which), step):
        rows[start : start + step] = array[which[start : start + step]]
    return rows


def shared(given: Any) -> Any:
    """Arrays, in whatever structure, as tensors with the same memory where that can be."""
    import keras

    return keras.tree.map_structure(_tensor, given)


def _tensor(value: Any) -> Any:
    usable = (
        isinstance(value, numpy.ndarray)
        and value.dtype.kind in "iuf"
        and value.dtype.isnative
        and value.nbytes >= _WORTH_IT
        and value.flags.c_contiguous
        and value.flags.writeable  # DLPack lends no others
        and value.ctypes.data % ALIGNMENT == 0
    )
    if not usable:
        return value
    import tensorflow

    return tensorflow.experimental.dlpack.from_dlpack(value.__dlpack__())
