"""Ctrl-C, SIGTERM and SIGHUP, always heard.

The handler of a signal runs between any two steps of Python. An exception that it raises in a finalizer or in a
callback of a C library is swallowed there; raised while a trial is written down, it would leave half of it. So a
signal is noted, and `KeyboardInterrupt` is raised where that is allowed: at once, and again until it got out of there.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
AGAIN = 0.5
"""Seconds after which an interruption that was swallowed is raised again."""
TOO_OFTEN = 3
"""So many interruptions without an answer are raised wherever it is."""


class Interrupts:
    """The interruptions of this process: as a context manager it hears its signals, and else there are none.

    Signals that somebody else handles, or that are ignored (as by nohup), stay as they are; only the main thread hears.

    Attributes:
        asked: whether one was heard that `answered` did not answer yet.
    """

    def __init__(self, signals: Sequence[int] = SIGNALS) -> None:
        self.asked = False
        self._signals = signals
        self._allowed = False
        self._count = 0
        self._raised = 0.0
        self._earlier: dict[int, Any] = {}
        self._unraisable = sys.unraisablehook

    def __enter__(self) -> Self:
        main = threading.current_thread() is threading.main_thread()
        for number in self._signals if main else ():
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                self._earlier[number] = signal.signal(number, self._heard)
        self._unraisable, sys.unraisablehook = sys.unraisablehook, self._swallowed
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.answered()
        sys.unraisablehook = self._unraisable
        for number, handler in self._earlier.items():
            signal.signal(number, handler)
        self._earlier.clear()

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Interruptions are raised in here at any step. Whatever then comes out, it comes out as KeyboardInterrupt."""
        earlier = self._allowed
        self.check()
        try:
            self._allowed = True
            yield
        except BaseException:
            self._allowed = earlier
            self.check()  # an error because of the interruption
            raise
        self._allowed = earlier
        self.check()  # which was swallowed

    @contextmanager
    def held(self) -> Iterator[None]:
        """Interruptions wait in here until somebody checks, or for the end."""
        earlier, self._allowed = self._allowed, False
        try:
            yield
        finally:
            self._allowed = earlier
        if earlier:
            self.check()

    def check(self) -> None:
        """Raise an interruption that waits.

        Raises:
            KeyboardInterrupt: there is one.
        """
        if self.asked:
            self._raised = time.monotonic()
            raise KeyboardInterrupt

    def answered(self) -> None:
        """An interruption has done what it is for; the next one is another."""
        if self.asked:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
        self.asked, self._count = False, 0

    def leave(self, code: int) -> None:
        """From here on, a signal ends the process at once, with this exit code: all is done, but for tidying up."""
        self.answered()
        for number in self._earlier:
            signal.signal(number, lambda *_: os._exit(code))
        self._earlier.clear()

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if number == getattr(signal, "SIGHUP", None):
            _leave_terminal()
        if not self.asked:
            # only now, as code of the user's may have uses of its own for this timer
            self._earlier.setdefault(signal.SIGALRM, signal.signal(signal.SIGALRM, self._remember))
            signal.setitimer(signal.ITIMER_REAL, AGAIN, AGAIN)
        self.asked = True
        self._count += 1
        self._remember(number, frame, self._count >= TOO_OFTEN)

    def _remember(self, number: int, frame: FrameType | None, anywhere: bool = False) -> None:
        # the one before may still be on its way out, through code that cleans up
        due = time.monotonic() - self._raised >= AGAIN / 2
        if self.asked and due and (self._allowed or anywhere):
            self.check()

    def _swallowed(self, caught: Any) -> None:
        """Python tells with a traceback what a finalizer raises; an interruption is raised again instead."""
        if not (self.asked and issubclass(caught.exc_type, KeyboardInterrupt)):
            self._unraisable(caught)


def _leave_terminal() -> None:
    """A terminal that hung up takes no more output; what goes to files and pipes still gets there."""
    for descriptor in (1, 2):
        try:
            if stat.S_ISCHR(os.fstat(descriptor).st_mode):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
        except OSError:  # closed
            continue
