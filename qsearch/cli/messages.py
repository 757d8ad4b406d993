"""What a command tells beside its results: by default what qsearch says itself, and nothing of other libraries.

`--verbose` gives the libraries' messages back, `--log-file` keeps them in a file, `--debug` shows where an error comes
from. TensorFlow writes to the standard error by itself, below Python, and reads what it may log when it is imported.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import click

from qsearch.cli.log_file import LogFile, open_log

TRACEBACK = "QSEARCH_TRACEBACK"
"""The variable of the environment that says the same as --debug."""
_LIBRARIES = r"(keras|keras_tuner|tensorflow|tensorflow_datasets|numpy|h5py|sklearn)\b"


class Messages:
    """What one call of the command line tells. As a context manager, a log file ends with it.

    Attributes:
        debug: whether errors are told with a traceback.
        verbose: whether other libraries are heard.
        log: the file that keeps all, where there is one.
    """

    def __init__(self) -> None:
        self.debug = bool(os.environ.get(TRACEBACK))
        self.verbose = False
        self.log: LogFile | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.log is not None:
            self.log.close()
            self.log = None

    def show_tracebacks(self) -> None:
        """`--debug`."""
        self.debug = True

    def hear_libraries(self) -> None:
        """`--verbose`: what `quiet` silences is heard again."""
        self.verbose = True
        unsilence()
        if self.log is not None:
            self.log.show_all()

    def keep_in(self, path: Path) -> None:
        """`--log-file`.

        Raises:
            OutputError: it cannot be written.
        """
        if self.log is None:
            self.log = open_log(path, show_all=self.verbose)
            unsilence()


def message_options(messages: Messages) -> list[click.Option]:
    """The options of the group and of every command."""

    def option(names: tuple[str, ...], told: Callable[[Any], None], **settings: Any) -> click.Option:
        def heard(context: click.Context, parameter: click.Parameter, value: Any) -> None:
            if value and not context.resilient_parsing:
                told(value)

        return click.Option(names, expose_value=False, is_eager=True, callback=heard, **settings)

    return [
        option(
            ("-v", "--verbose"),
            lambda _: messages.hear_libraries(),
            is_flag=True,
            help="Show the messages of TensorFlow, Keras and other libraries too.",
        ),
        option(
            ("--log-file",),
            messages.keep_in,
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Add all messages to FILE, those of the libraries too.",
        ),
        option(
            ("--debug",),
            lambda _: messages.show_tracebacks(),
            is_flag=True,
            help="Show where an error comes from: its traceback.",
        ),
    ]


def quiet() -> None:
    """Keep other libraries' messages out of the terminal, unless the user asked for them."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    # PYTHONWARNINGS=error is about the user's own code
    warnings.filterwarnings("ignore", module=_LIBRARIES)


def unsilence() -> None:
    """Let other libraries speak again; `startup.quiet_start` leaves them alone then."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"
    os.environ["GRPC_VERBOSITY"] = "INFO"
    if not sys.warnoptions:
        warnings.simplefilter("default")
    warnings.filterwarnings("default", module=_LIBRARIES)
