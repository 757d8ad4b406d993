"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from qsearch.errors import OutputError, reason_of


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Gives a path beside `path` to write to, which takes its place once all of it is on the disk.

    Whatever goes wrong, an error or an interruption, what was at `path` stays, and nothing is left beside it.

    Raises:
        OutputError: the file cannot be written; see `failing_writes`.
    """
    target = path.resolve() if path.is_symlink() else path  # a link goes on pointing to what is written
    aside = target.with_name(f".partial.{target.name}")  # ends as the target does, which Keras and NumPy go by
    with failing_writes(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield aside
            with aside.open("rb+") as file:
                os.fsync(file.fileno())
            aside.replace(target)
        finally:
            with suppress(OSError):
                aside.unlink(missing_ok=True)


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
        raise OutputError(f"{path} cannot be written: {reason.strerror or reason_of(reason)}") from None


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
    if path.is_dir():
        raise OutputError(f"{path} cannot be written: it is a folder; name a file in it")
    if path.exists() and not os.access(path, os.W_OK):
        raise OutputError(f"{path} cannot be written: it is write-protected; name another file")
    probe = path.with_name(f".probe.{path.name}")
    with failing_writes(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
