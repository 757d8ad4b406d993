"""Reading .npz files without more copies than the arrays that are wanted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy

from qsearch.datasets.dataset import Array
from qsearch.errors import DatasetError
from qsearch.paths import expanded


def arrays_in(npz: str, prefixes: Sequence[str], where: str) -> dict[str, Array | None]:
    """The arrays of a file by name, one after the other; floats become float32 before the next is read.

    They are not mapped into memory: a search takes hours, and the file may be written anew while it runs.

    Args:
        prefixes: of the names that are read; others are None.
        where: how messages call it: "dataset.npz: data.npz".

    Raises:
        DatasetError: no such file, or one that cannot be read as arrays of numbers.
    """
    path = expanded(npz)
    if not path.is_file():
        raise DatasetError(f"{where}: no such file")
    try:
        with numpy.load(path, allow_pickle=False) as file:
            return {name: _float32(file[name]) if name.startswith(tuple(prefixes)) else None for name in file.files}
    except Exception as error:  # whatever a broken file makes zip and numpy stumble over
        reason = str(error).strip().partition("\n")[0]
        ragged = "; pad rows of different lengths to one" if "allow_pickle" in reason else ""
        raise DatasetError(f"{where}: cannot be read as a .npz file of plain arrays ({reason}){ragged}") from None


def _float32(array: Array) -> Array:
    return array.astype(numpy.float32, copy=False) if array.dtype.kind == "f" else array
