"""The console script, which is `python -m qsearch` too: signals are heard from here on, before all else is imported."""

from __future__ import annotations

import gc
import sys
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
    gc.freeze()  # else the interpreter looks through all objects of TensorFlow once more at its end, for over a second
    sys.exit(code)


if __name__ == "__main__":
    main()
