"""Paths as people write them, and folders that are gone when they are done with."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qsearch.errors import OutputError
from qsearch.startup import check_temporary

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)


def expanded(path: str | Path) -> Path:
    """The path with `~` as the home folder it stands for; as it is where there is no such home.

    Where the locale knows ASCII alone (`LC_ALL=C`), names beyond it are those of the same UTF-8 bytes.
    """
    name = str(path)
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        name = os.fsdecode(name.encode("utf-8", "surrogateescape"))
    try:
        return Path(name).expanduser()
    except RuntimeError:
        return Path(name)


def unreadable(path: Path) -> str | None:
    """Why the system cannot even look for a path: a name that is too long, a folder that is closed; else None."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None  # it is not there
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None


def as_text(argument: str) -> str:
    """An argument of the command line as the text that its bytes are, where they are UTF-8."""
    try:
        return os.fsencode(argument).decode("utf-8")
    except UnicodeError:
        return argument


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
