"""`qsearch`: one command group, and the one place where errors become exit codes."""

from __future__ import annotations

import os
import sys
import traceback
import warnings

import click

from qsearch import __version__
from qsearch.cli.blocks import blocks
from qsearch.cli.check import check
from qsearch.cli.energy import energy
from qsearch.cli.export import export
from qsearch.cli.report import report
from qsearch.cli.resume import resume
from qsearch.cli.run import run
from qsearch.cli.streams import guard_streams, trouble_of
from qsearch.cli.verify import verify
from qsearch.errors import (
    LONGEST_LINE,
    ConfigError,
    ModelError,
    QsearchError,
    VerificationError,
    one_line,
    printable,
    text_of,
    told,
)
from qsearch.exit_codes import ExitCode, in_a_line
from qsearch.interrupts import Interrupts


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=in_a_line(),
)
@click.version_option(__version__, prog_name="qsearch")
def cli() -> None:
    """Find the mixed-precision version of a Keras model that uses the least energy for the accuracy kept."""


cli.add_command(run)
cli.add_command(resume)
cli.add_command(check)
cli.add_command(energy)
cli.add_command(blocks)
cli.add_command(verify)
cli.add_command(export)
cli.add_command(report)


def main(interrupts: Interrupts) -> int:
    """Run the command that the arguments name, and tell what stops it; returns the exit code."""
    guard_streams()
    code = _outcome(interrupts)
    trouble = trouble_of(sys.stdout)
    if code == ExitCode.DONE and trouble is not None and not isinstance(trouble, BrokenPipeError):
        click.echo(f"error: the standard output cannot be written: {trouble.strerror}", err=True)
        return ExitCode.OUTPUT
    return code


def _outcome(interrupts: Interrupts) -> int:
    _quiet()
    try:
        with interrupts.allowed():
            result = cli(standalone_mode=False, obj=interrupts)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        click.echo(_shown(error), err=True)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return ExitCode.INTERRUPTED
    except ConfigError as error:
        click.echo(printable(str(error)), err=True)  # as compilers do: each line starts with its place
        return error.exit_code
    except (ModelError, VerificationError) as error:  # of one thing each, which may be named by a file
        click.echo(f"error: {one_line(str(error), LONGEST_LINE)}", err=True)
        return error.exit_code
    except QsearchError as error:
        click.echo(f"error: {printable(str(error))}", err=True)
        return error.exit_code
    except Exception as error:
        if os.environ.get("QSEARCH_TRACEBACK"):
            traceback.print_exc()
        click.echo(
            f"error: this is a bug in qsearch: {type(error).__name__}: {printable(text_of(error))}\n"
            "set QSEARCH_TRACEBACK=1 to see where, and please report it",
            err=True,
        )
        return ExitCode.BUG
    except BaseException as error:  # sys.exit and the like, which neither click nor anything of ours raises
        click.echo(f"error: code that the configuration names ended with {told(error)}", err=True)
        return ExitCode.CONFIG
    return result if isinstance(result, int) else ExitCode.DONE


def _shown(error: click.ClickException) -> str:
    """What click shows of a mistake in the arguments, which it quotes."""
    said = f"Error: {error.format_message()}"
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        said = f"{context.get_usage()}\nTry '{context.command_path} --help' for help.\n\n{said}"
    return printable(said)


def _quiet() -> None:
    """Keep other libraries' logs out of the terminal, unless the user asked for them."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    # PYTHONWARNINGS=error is about the user's own code
    warnings.filterwarnings("ignore", module=r"(keras|keras_tuner|tensorflow|tensorflow_datasets|numpy|h5py|sklearn)\b")
