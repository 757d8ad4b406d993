"""Reading .npz files without more copies than the arrays that are wanted."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import IO, Any

import numpy

from qsearch.datasets.dataset import Array
from qsearch.datasets.memory import aligned_empty
from qsearch.errors import DatasetError, reason_of
from qsearch.paths import expanded, unreadable

_LONGEST_HEADER = 10_000
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
        what = "is a folder, a pipe or a device, expected a file" if path.exists() else "no such file"
        raise DatasetError(f"{where}: {what}")
    if not zipfile.is_zipfile(path):
        raise DatasetError(
            f"{where}: cannot be read as a .npz file of plain arrays (it is no zip archive, as numpy.savez writes one)"
        )
    try:
        # numpy leaves a file open that is no whole zip
        with path.open("rb") as opened, numpy.load(opened, allow_pickle=False) as file:
            return {name: _read(file, name) if name.startswith(tuple(prefixes)) else None for name in file.files}
    except Exception as error:  # whatever a broken file makes zip and numpy stumble over
        reason = reason_of(error)
        ragged = "; pad rows of different lengths to one" if "allow_pickle" in reason else ""
        raise DatasetError(f"{where}: cannot be read as a .npz file of plain arrays ({reason}){ragged}") from None


def _read(file: Any, name: str) -> Array:
    """A member of the file, in memory that tensors can share if it holds numbers row by row."""
    with file.zip.open(f"{name}.npy" if f"{name}.npy" in file.zip.namelist() else name) as stream:
        version = numpy.lib.format.read_magic(stream)
        header = _HEADERS.get(version)
        if header is not None:
            shape, by_column, dtype = header(_header(stream, 2 if version == (1, 0) else 4))
            if any(side < 0 for side in shape):
                raise ValueError(f"{name}: has the shape {shape}")
            if dtype.kind in "biuf" and not by_column:
                return _filled(stream, shape, dtype)
    return numpy.asarray(file[name])


def _header(stream: IO[bytes], length_bytes: int) -> IO[bytes]:
    """The header of an array, from its length on; one that is longer than any is not read."""
    length = stream.read(length_bytes)
    count = int.from_bytes(length, "little")
    if count > _LONGEST_HEADER:
        raise ValueError(f"a header of {count:,} bytes")
    return io.BytesIO(length + stream.read(count))


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
