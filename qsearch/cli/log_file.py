"""`--log-file FILE`: what qsearch and every library under it say, with the time, added to a file.

What C++ writes to the standard error goes there too: while the log is open, the file is descriptor 2, and this
process' own messages reach the terminal by another one.
"""

from __future__ import annotations

import logging
import os
import shlex
import sys
import time
from contextlib import suppress
from pathlib import Path

from qsearch.cli.streams import STDERR, guarded
from qsearch.errors import OutputError
from qsearch.paths import expanded

OWN = "qsearch"
"""The logger of what qsearch itself says."""
_LOUD = ("absl", "tensorflow")
"""Of these, what is no error is about their own inner workings."""
_FORM = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class _Descriptor(logging.Handler):
    """Writes each record at once; a disk that is full loses it, and ends nothing."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.descriptor = descriptor
        self.setFormatter(logging.Formatter(_FORM, "%Y-%m-%dT%H:%M:%S%z"))

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(Exception):  # a record whose own text fails, too
            os.write(self.descriptor, f"{self.format(record)}\n".encode(errors="backslashreplace"))


class _Terminal(logging.StreamHandler):  # type: ignore[type-arg]  # of a stream of text
    """What is shown on the standard error, as without a log."""

    def __init__(self, show_all: bool) -> None:
        super().__init__(sys.stderr)
        self.show_all = show_all
        self.addFilter(self._shown)

    def _shown(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return False
        if self.show_all:
            return True
        if sys.stderr is not self.stream:  # `startup.quiet_start` has it silent
            return False
        if record.name == "py.warnings":
            return bool(sys.warnoptions)
        return record.levelno >= logging.ERROR or record.name.partition(".")[0] not in _LOUD


class LogFile:
    """An open log. `open_log` makes it."""

    def __init__(self, descriptor: int, show_all: bool) -> None:
        self._stderr = sys.stderr
        sys.stderr.flush()
        self._kept = os.dup(STDERR)
        os.dup2(descriptor, STDERR)
        sys.stderr = guarded(self._kept, self._stderr)  # before the handler that shows on it
        self._descriptor = descriptor
        self._file, self._terminal = _Descriptor(descriptor), _Terminal(show_all)
        root, own = logging.getLogger(), logging.getLogger(OWN)
        self._level = root.level
        for handler in (self._file, self._terminal):
            root.addHandler(handler)
        root.setLevel(logging.INFO)
        own.addHandler(self._file)
        own.setLevel(logging.INFO)
        own.propagate = False
        logging.captureWarnings(True)

    def show_all(self) -> None:
        """Show warnings of all libraries in the terminal too."""
        self._terminal.show_all = True

    def close(self) -> None:
        """Have all as it was before."""
        logging.captureWarnings(False)
        root, own = logging.getLogger(), logging.getLogger(OWN)
        root.setLevel(self._level)
        for handler in (self._file, self._terminal):
            root.removeHandler(handler)
        own.removeHandler(self._file)
        own.setLevel(logging.NOTSET)
        own.propagate = True
        sys.stderr.flush()
        sys.stderr = self._stderr
        os.dup2(self._kept, STDERR)
        os.close(self._kept)
        os.close(self._descriptor)


def open_log(path: Path, show_all: bool = False) -> LogFile:
    """Begin to write to a file, behind what it holds.

    Args:
        show_all: whether warnings of all libraries are shown in the terminal too.

    Raises:
        OutputError: it cannot be written.
    """
    file = expanded(path)
    descriptor = None
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o666)
        os.set_blocking(descriptor, True)
        os.write(descriptor, f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} INFO {OWN}: {_command()}\n".encode())
    except OSError as error:
        if descriptor is not None:
            os.close(descriptor)
        raise OutputError(
            f"--log-file: {file} cannot be written: {error.strerror}; name a file in a folder that is there, which you "
            "may write to"
        ) from None
    return LogFile(descriptor, show_all)


def _command() -> str:
    return ascii(f"qsearch {shlex.join(sys.argv[1:])}, in process {os.getpid()}")[1:-1]


def log(text: str, level: int = logging.INFO) -> None:
    """Keep a line of qsearch's own, where there is a log; the terminal has it by other means."""
    own = logging.getLogger(OWN)
    if own.handlers:  # without one, Python's last resort is the terminal
        own.log(level, text)
