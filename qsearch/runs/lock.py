"""One process at a time writes to a run directory."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from qsearch.errors import OutputError

if sys.platform != "win32":
    import fcntl

LOCK = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a run directory. The system gives it back when a process ends, in whatever way.

    Where a file system knows no locks, there is none.

    Raises:
        OutputError: another process holds it, which is named.
    """
    descriptor = _taken(folder / LOCK)
    try:
        yield
    finally:
        if descriptor is not None:
            with suppress(OSError):
                (folder / LOCK).unlink(missing_ok=True)
            os.close(descriptor)


def is_locked(folder: Path) -> bool:
    """Whether a process is writing to a run directory; False where that cannot be told."""
    if sys.platform == "win32":
        return False
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EACCES, errno.EAGAIN)
    finally:
        os.close(descriptor)
    return False


def _taken(path: Path) -> int | None:
    if sys.platform == "win32":
        return None
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
            os.close(descriptor)
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                return None
            raise OutputError(
                f"{path.parent}: {holder} is writing to it; wait until that has ended, stop it, or name another folder"
            ) from None
        if _is_still(descriptor, path):
            with suppress(OSError):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
            return descriptor
        os.close(descriptor)  # of a process that has just ended, and taken its file away


def _is_still(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False
