"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from qsearch.errors import OutputError, reason_of

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)

_ASIDE = ".partial."


@contextmanager
def written_whole(path: Path, within: Path | None = None) -> Iterator[Path]:
    """Gives a path beside `path` to write to, which takes its place once all of it is on the disk.

    Whatever goes wrong, an error or an interruption, what was at `path` stays, and nothing is left beside it. A link
    goes on pointing to what is written; a file keeps its permissions.

    Args:
        within: a folder that has to be there: where it was taken away, it is not made again with this file alone.

    Raises:
        OutputError: the file cannot be written; see `failing_writes`.
    """
    with failing_writes(path):
        if within is not None and not within.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(within))
        target = path.resolve() if path.is_symlink() else path
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = _new_file_beside(target, path.suffix)
        try:
            yield aside
            with aside.open("rb+") as file:
                os.fsync(file.fileno())
            if target.exists():
                aside.chmod(target.stat().st_mode & 0o7777)
            aside.replace(target)
            _settled(target.parent)
        finally:
            with suppress(OSError):
                aside.unlink(missing_ok=True)


def clear_unfinished(folder: Path) -> None:
    """Drop what killed processes left half written in a folder and below; nobody else may be writing there."""
    for path in folder.rglob(f"{_ASIDE}*"):
        with suppress(OSError):
            path.unlink()


def _settled(folder: Path) -> None:
    """Have the names of a folder on the disk too, as far as its file system knows how."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _new_file_beside(target: Path, suffix: str) -> Path:
    """An empty file of a name that nobody has, nor can have foreseen; Keras and NumPy go by its suffix."""
    aside = target.with_name(f"{_ASIDE}{secrets.token_hex(8)}{suffix}")
    os.close(os.open(aside, _NEW_FILE, 0o666))
    return aside


@contextmanager
def failing_writes(path: Path) -> Iterator[None]:
    """Tell what keeps a file from being written: a full disk, a folder that is taken away, permissions.

    Raises:
        OutputError: in place of an OSError, or of what was raised because of one.
    """
    try:
        yield
    except Exception as error:
        reason = _of_the_system(error)
        if reason is None:
            raise
        way_out = _WAYS_OUT.get(reason.errno or 0, "")
        raise OutputError(f"{path} cannot be written: {reason.strerror or reason_of(reason)}{way_out}") from None


_WAYS_OUT = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "; free some space"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "; name a place that you may write to"),
}


def _of_the_system(error: BaseException | None) -> OSError | None:
    """The system's error behind one; closing a zip archive on a full disk hides it behind a ValueError."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


def writable(path: Path) -> None:
    """See whether a file can be written, before anything is computed for it; what is there stays as it is.

    Raises:
        OutputError: it cannot.
    """
    with failing_writes(path):
        try:
            target = path.resolve()
        except RuntimeError:
            raise OutputError(f"{path} cannot be written: it is a link to itself; name another file") from None
        if target.is_dir():
            raise OutputError(f"{path} cannot be written: it is a folder; name a file in it")
        if target.exists() and not target.is_file():
            raise OutputError(f"{path} cannot be written: it is a pipe or a device; name a file")
        if target.exists() and not os.access(target, os.W_OK):
            raise OutputError(f"{path} cannot be written: it is write-protected; name another file")
        target.parent.mkdir(parents=True, exist_ok=True)
        _new_file_beside(target, path.suffix).unlink()
