"""The console script, which is `python -m qsearch` too: signals are heard from here on, before all else is imported."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from contextlib import suppress
from typing import NoReturn

from qsearch.exit_codes import ExitCode
from qsearch.interrupts import Interrupts


def main() -> NoReturn:
    """Run a command, and end the process with its exit code."""
    code: int = ExitCode.INTERRUPTED
    with Interrupts() as interrupts:
        try:
            with interrupts.allowed():
                from qsearch.cli.main import main as command
            code = command(interrupts)
        except KeyboardInterrupt:
            sys.stderr.write("interrupted\n")
        interrupts.leave(code)
    _end(code)


def _end(code: int) -> NoReturn:
    """End as the interpreter does, but for taking itself apart.

    That looks through all objects of TensorFlow for over a second, in which signals are nobody's, and it ends by the
    signal, whatever the exit code is, where an interruption went through code that a C library ran.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # one that is closed
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
