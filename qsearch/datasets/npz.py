"""Reading .npz files without more copies than the arrays that are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Any

import numpy

from qsearch.datasets.dataset import Array
from qsearch.datasets.memory import aligned_empty
from qsearch.errors import DatasetError
from qsearch.paths import expanded, unreadable

_CHUNK = 1 << 20
"""Bytes that are read at once."""
_HEADERS = {
    (1, 0): numpy.lib.format.read_array_header_1_0,
    (2, 0): numpy.lib.format.read_array_header_2_0,
}


def arrays_in(npz: str, prefixes: Sequence[str], where: str) -> dict[str, Array | None]:
    """The arrays of a file by name; floats become float32 while they are read.

    They are not mapped into memory: every epoch needs all of them, and the file may be written anew during the hours
    that a search takes.

    Args:
        prefixes: of the names that are read; others are None.
        where: how messages call it: "data.npz".

    Raises:
        DatasetError: no such file, or one that cannot be read as arrays of numbers.
    """
    path = expanded(npz)
    if (problem := unreadable(path)) is not None:
        raise DatasetError(f"{where}: {problem}")
    if not path.is_file():
        raise DatasetError(f"{where}: no such file")
    try:
        # numpy leaves a file open that is no whole zip
        with path.open("rb") as opened, numpy.load(opened, allow_pickle=False) as file:
            return {name: _read(file, name) if name.startswith(tuple(prefixes)) else None for name in file.files}
    except Exception as error:  # whatever a broken file makes zip and numpy stumble over
        reason = str(error).strip().partition("\n")[0]
        ragged = "; pad rows of different lengths to one" if "allow_pickle" in reason else ""
        raise DatasetError(f"{where}: cannot be read as a .npz file of plain arrays ({reason}){ragged}") from None


def _read(file: Any, name: str) -> Array:
    """A member of the file, in memory that tensors can share if it holds numbers row by row."""
    with file.zip.open(f"{name}.npy" if f"{name}.npy" in file.zip.namelist() else name) as stream:
        header = _HEADERS.get(numpy.lib.format.read_magic(stream))
        if header is not None:
            shape, by_column, dtype = header(stream)
            if dtype.kind in "biuf" and not by_column:
                return _filled(stream, shape, dtype)
    return numpy.asarray(file[name])


def _filled(stream: IO[bytes], shape: tuple[int, ...], dtype: numpy.dtype[Any]) -> Array:
    array = aligned_empty(shape, numpy.float32 if dtype.kind == "f" else dtype.newbyteorder("="))
    flat = array.reshape(-1)
    step = max(1, _CHUNK // dtype.itemsize)
    for start in range(0, flat.size, step):
        count = min(step, flat.size - start)
        read = stream.read(count * dtype.itemsize)
        if len(read) < count * dtype.itemsize:
            raise ValueError(f"ends after {start + len(read) // dtype.itemsize} of {flat.size} numbers")
        with numpy.errstate(over="ignore"):
            flat[start : start + count] = numpy.frombuffer(read, dtype)
    return array
