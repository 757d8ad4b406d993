"""Reading .npz files: arrays that are stored as they are stay in the file until they are used."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Literal

import numpy

from qsearch.datasets.dataset import Array
from qsearch.errors import DatasetError

_LOCAL_HEADER = 30
"""Bytes of a zip member's own header before its name."""


def arrays_in(npz: str, where: str) -> dict[str, Array]:
    """The arrays of a file, by name.

    Args:
        where: how messages call it: "dataset.npz: data.npz".

    Raises:
        DatasetError: no such file, or one that cannot be read as arrays of numbers.
    """
    path = Path(npz).expanduser()
    if not path.is_file():
        raise DatasetError(f"{where}: no such file")
    try:
        mapped = _mapped(path)
        with numpy.load(path, allow_pickle=False) as file:
            return {name: mapped[name] if name in mapped else file[name] for name in file.files}
    except Exception as error:  # whatever a broken file makes zip and numpy stumble over
        reason = str(error).strip().partition("\n")[0]
        ragged = "; pad rows of different lengths to one" if "allow_pickle" in reason else ""
        raise DatasetError(f"{where}: cannot be read as a .npz file of plain arrays ({reason}){ragged}") from None


def _mapped(path: Path) -> dict[str, Array]:
    """The arrays that `numpy.savez` stored without compression, mapped into memory instead of read."""
    found: dict[str, Array] = {}
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED or not member.filename.endswith(".npy"):
                continue
            file.seek(member.header_offset + _LOCAL_HEADER - 4)
            lengths = file.read(4)  # of the name and of the extra field; the central directory's may differ
            file.seek(int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little"), 1)
            version = numpy.lib.format.read_magic(file)
            read = numpy.lib.format.read_array_header_1_0 if version == (1, 0) else None
            if read is None:
                continue
            shape, fortran, kind = read(file)
            if kind.hasobject or 0 in shape or not shape:
                continue
            order: Literal["F", "C"] = "F" if fortran else "C"
            found[member.filename.removesuffix(".npy")] = numpy.memmap(path, kind, "r", file.tell(), shape, order)
    return found
