"""`qsearch`: one command group, and the one place where errors become exit codes."""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from types import FrameType
from typing import NoReturn

import click

from qsearch import __version__
from qsearch.cli.blocks import blocks
from qsearch.cli.energy import energy
from qsearch.cli.run import run
from qsearch.cli.streams import guard_streams, trouble_of
from qsearch.cli.verify import verify
from qsearch.errors import (
    LONGEST_LINE,
    ConfigError,
    ModelError,
    OutputError,
    QsearchError,
    VerificationError,
    one_line,
    printable,
)

INTERRUPTED = 130
INTERNAL_ERROR = 70


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 2 configuration or usage, 3 model, 4 data set, 5 output folder, 6 no usable training, "
    "7 weights off their grid, 8 no trial keeps to max_drop, 70 a bug in qsearch, 130 interrupted.",
)
@click.version_option(__version__, prog_name="qsearch")
def cli() -> None:
    """Find the mixed-precision version of a Keras model that uses the least energy for the accuracy kept."""


cli.add_command(run)
cli.add_command(energy)
cli.add_command(blocks)
cli.add_command(verify)


def main() -> NoReturn:
    """The console script."""
    guard_streams()
    try:
        _main()
    except SystemExit as end:
        trouble = trouble_of(sys.stdout)
        if end.code == 0 and trouble is not None and not isinstance(trouble, BrokenPipeError):
            click.echo(f"error: the standard output cannot be written: {trouble.strerror}", err=True)
            sys.exit(OutputError.exit_code)
        raise


def _main() -> NoReturn:
    _quiet()
    signal.signal(signal.SIGTERM, _interrupt)  # a stopped process ends like an interrupted one: nothing lost
    try:
        result = cli(standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)
    except SystemExit as error:  # click raises none here, so that it is of a module that the configuration names
        click.echo(f"error: code that the configuration names called sys.exit({error.code!r})", err=True)
        sys.exit(ConfigError.exit_code)
    except ConfigError as error:
        click.echo(printable(str(error)), err=True)  # as compilers do: each line starts with its place
        sys.exit(error.exit_code)
    except (ModelError, VerificationError) as error:  # of one thing each, which may be named by a file
        click.echo(f"error: {one_line(str(error), LONGEST_LINE)}", err=True)
        sys.exit(error.exit_code)
    except QsearchError as error:
        click.echo(f"error: {printable(str(error))}", err=True)
        sys.exit(error.exit_code)
    except Exception as error:
        if os.environ.get("QSEARCH_TRACEBACK"):
            traceback.print_exc()
        click.echo(
            f"error: this is a bug in qsearch: {type(error).__name__}: {printable(str(error))}\n"
            "set QSEARCH_TRACEBACK=1 to see where, and please report it",
            err=True,
        )
        sys.exit(INTERNAL_ERROR)
    sys.exit(result if isinstance(result, int) else 0)


def _quiet() -> None:
    """Keep other libraries' logs out of the terminal, unless the user asked for them."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
