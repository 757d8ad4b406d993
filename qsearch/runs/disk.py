"""How much disk a run directory takes."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path


def bytes_in(folder: Path, without: Collection[str] = ()) -> int:
    """The lengths of all files in a folder and below, but of those of these names."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # gone by now
            if path.name not in without and path.is_file() and not path.is_symlink():
                total += path.stat().st_size
    return total
