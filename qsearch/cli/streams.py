"""The standard streams of a process that may lose them: a closed pipe, a full device, a terminal without Unicode.

What cannot be shown is dropped, and the command goes on to its own end and its own exit code: a check that fails must
fail too when nobody reads what it prints, and a run's results are in its folder.
"""

from __future__ import annotations

import io
import os
import select
import sys
from typing import TextIO

STREAMS = (0, 1, 2)
STDERR = 2


class GuardedFile(io.FileIO):
    """A file descriptor that takes everything; `trouble` is the first error that it met."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.trouble: OSError | None = None

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type]  # a buffer, as FileIO takes
        while self.trouble is None:
            try:
                written = super().write(view)
            except OSError as error:
                self.trouble = error
                break
            if written is not None:
                return written
            select.select((), (self,), ())  # a pipe that is full and does not wait
        return view.nbytes


def guard_streams() -> None:
    """Put guarded files in place of this process' standard output and standard error."""
    for descriptor in STREAMS:
        try:
            os.fstat(descriptor)
        except OSError:  # closed: the next file opened would take its number, and print() write into that file
            os.open(os.devnull, os.O_RDWR)
    sys.stdout, sys.stderr = guarded(1, sys.stdout), guarded(STDERR, sys.stderr)


def trouble_of(stream: TextIO) -> OSError | None:
    """What keeps a guarded stream from being shown, after all that was written has been tried."""
    stream.flush()
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.trouble if isinstance(raw, GuardedFile) else None


def reader_is_gone() -> bool:
    """Whether nobody reads the standard output any more, as after `| head -1`."""
    return isinstance(trouble_of(sys.stdout), BrokenPipeError)


def guarded(descriptor: int, stream: TextIO | None) -> TextIO:
    """A stream of text for a descriptor, in place of another one."""
    if stream is not None:
        stream.flush()
    encoding = "utf-8" if stream is None else stream.encoding
    return io.TextIOWrapper(
        io.BufferedWriter(GuardedFile(descriptor)),
        encoding=encoding,
        errors="backslashreplace",  # names of files need not be text, and a terminal may know ASCII alone
        line_buffering=True,
    )
