"""Archives and HDF5 files looked through before anything is read from them.

A model file may hold nothing but itself: no links, no data in other files, and no more data than its size can explain.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import h5py

from qsearch.errors import ModelError, reason_of, shown
from qsearch.models import bounds
from qsearch.models.bounds import allowed
from qsearch.models.limited import memory_limited

_ENTRY = b"PK\x01\x02"
"""What each entry of an archive's list of contents begins with; the list is at the end."""
_END_BYTES = 1 << 26
_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf"}
"""Of HDF5 itself and h5py; others are loaded from shared libraries."""
_NUMBERS = "biufc"


def check_size(where: str, declared: int, stored: int) -> None:
    """Refuse what would become far larger than it is.

    Raises:
        ModelError: with both sizes.
    """
    free, expansion = allowed(bounds.FREE_BYTES), allowed(bounds.EXPANSION)
    if declared > max(free, expansion * stored):
        raise ModelError(
            f"{where}: holds {shown_bytes(declared)} in {shown_bytes(stored)}; more than {shown_bytes(free)} may "
            f"be at most {expansion} times what is stored; save the model again without compression, or, "
            f"{bounds.HOW_TO_RAISE}"
        )


def shown_bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.3g} {unit}"
        count /= 1000
    raise AssertionError


def check_members(path: Path) -> None:
    """Refuse an archive of very many files before its list of contents is read: an entry takes a kilobyte then.

    Raises:
        ModelError: there are more than are read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _END_BYTES))
        count = file.read().count(_ENTRY)
    most = allowed(bounds.MEMBERS)
    if count > most:
        raise ModelError(f"{path}: holds {count:,} files, at most {most:,} are read; {bounds.HOW_TO_RAISE}")


def check_zip(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse an archive with names outside it, or with more in it than it can hold.

    Raises:
        ModelError: naming what is wrong.
    """
    members = archive.infolist()
    for member in members:
        name = PurePosixPath(member.filename)
        if name.is_absolute() or ".." in name.parts or "\\" in member.filename:
            raise ModelError(f"{path}: holds a file named {member.filename!r}, which is outside the archive")
    check_size(str(path), sum(one.file_size for one in members), sum(one.compress_size for one in members))


def check_hdf5(where: str, file: h5py.File) -> int:
    """Refuse links, data kept elsewhere, and declared data without stored data.

    Returns:
        How many bytes its arrays hold.

    Raises:
        ModelError: naming the object.
    """
    with memory_limited(allowed(bounds.ATTRIBUTE_BYTES)):
        _check_attributes(f"{where}: /", file)
    declared = stored = 0
    most = allowed(bounds.OBJECTS)
    for count, (name, item) in enumerate(_objects(where, file)):
        if count >= most:
            raise ModelError(f"{where}: holds more than {most:,} arrays and groups; {bounds.HOW_TO_RAISE}")
        with memory_limited(allowed(bounds.ATTRIBUTE_BYTES)):
            _check_attributes(f"{where}: {name}", item)
        if isinstance(item, h5py.Dataset):
            _check_dataset(f"{where}: {name}", item)
            declared += item.size * item.dtype.itemsize if item.size else 0
            stored += item.id.get_storage_size()
        elif not isinstance(item, h5py.Group):
            raise ModelError(f"{where}: {name}: is a {type(item).__name__}, expected arrays and groups")
    check_size(where, declared, stored)
    return declared


def _objects(where: str, file: h5py.File) -> Iterator[tuple[str, Any]]:
    """Every object once, however many names it has; links are not followed."""
    seen: set[tuple[int, int]] = set()
    waiting: list[Any] = [file["/"]]
    while waiting:
        group = waiting.pop()
        for name in group:
            full = f"{group.name.rstrip('/')}/{name}"
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                kind = "to another file" if isinstance(link, h5py.ExternalLink) else "to another place"
                raise ModelError(f"{where}: {full}: is a link {kind}, which model files have not; save the model again")
            info = h5py.h5o.get_info(group.id, name.encode())
            if (info.fileno, info.addr) in seen:
                continue
            seen.add((info.fileno, info.addr))
            item = group[name]
            yield full, item
            if isinstance(item, h5py.Group):
                waiting.append(item)


def _check_attributes(where: str, item: h5py.Group | h5py.Dataset) -> None:
    """Read them all once: the length of a text may be a broken number, which HDF5 takes memory for before it looks."""
    for name in item.attrs:
        try:
            item.attrs[name]
        except Exception as error:  # of HDF5's, in many classes
            raise ModelError(
                f"{where}: its attribute {shown(name)} cannot be read ({reason_of(error)}); the file is damaged"
            ) from None


def _check_dataset(where: str, dataset: h5py.Dataset) -> None:
    if dataset.external or dataset.is_virtual:
        raise ModelError(f"{where}: keeps its values in another file, which model files do not; save the model again")
    plist = dataset.id.get_create_plist()
    for index in range(plist.get_nfilters()):
        if plist.get_filter(index)[0] not in _FILTERS:
            raise ModelError(f"{where}: is compressed by a plugin of HDF5; save the model again without it")
    if (
        dataset.dtype.kind not in _NUMBERS
        and h5py.check_string_dtype(dataset.dtype) is None
        and dataset.dtype.kind != "V"
    ):
        raise ModelError(f"{where}: holds {dataset.dtype}, expected numbers")
