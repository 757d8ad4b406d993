"""Paths as people write them, and folders that are gone when they are done with."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qsearch.errors import OutputError
from qsearch.startup import check_temporary

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def expanded(path: str | Path) -> Path:
    """The path with `~` as the home folder it stands for; as it is where there is no such home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is removed afterwards.

    Raises:
        OutputError: there is none that can be written to, or it is full.
    """
    check_temporary()
    try:
        made = tempfile.TemporaryDirectory(prefix="qsearch-", ignore_cleanup_errors=True)
    except OSError as error:
        raise _not_written(error) from None
    with made as folder:
        try:
            yield Path(folder)
        except OSError as error:
            if error.errno in _NO_ROOM and str(error.filename or folder).startswith(folder):
                raise _not_written(error) from None
            raise


def _not_written(error: OSError) -> OutputError:
    return OutputError(
        f"the folder for temporary files, {tempfile.gettempdir()}, cannot be written to: {error.strerror}; "
        "free some space, or set TMPDIR to another folder"
    )
