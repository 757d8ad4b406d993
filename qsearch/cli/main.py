"""`qsearch`: one command group, and the one place where errors become exit codes."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import traceback
from collections.abc import Sequence

import click

from qsearch import __version__
from qsearch.cli.commands import Commands
from qsearch.cli.json_output import say_error
from qsearch.cli.log_file import log
from qsearch.cli.messages import Messages, quiet
from qsearch.cli.output import say_exactly
from qsearch.cli.streams import guard_streams, trouble_of
from qsearch.errors import (
    LONGEST_LINE,
    ConfigError,
    Located,
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

NAME = "qsearch"
COMPLETE = "_QSEARCH_COMPLETE"
"""The variable by which a shell asks for completions; see `qsearch completion`."""
_CLICKS_LEAST = 50
"""Columns of a help text that click makes at least by itself."""
_NARROWEST = 30


def command_line(messages: Messages) -> Commands:
    """The group of all commands.

    Args:
        messages: what they tell beside their results; their options change it.
    """

    columns = shutil.get_terminal_size().columns - 2
    narrow = {"terminal_width": max(columns, _NARROWEST)} if columns < _CLICKS_LEAST else {}

    @click.version_option(__version__, prog_name=NAME)
    @click.pass_context
    def cli(context: click.Context) -> None:
        """Find the mixed-precision version of a Keras model that uses the least energy for the accuracy kept."""

    return Commands(
        messages,
        name=NAME,
        callback=cli,
        params=list(reversed(getattr(cli, "__click_params__", ()))),
        help=cli.__doc__,
        epilog=in_a_line(),
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100, **narrow},
    )


cli = command_line(Messages())


def main(interrupts: Interrupts) -> int:
    """Run the command that the arguments name, and tell what stops it; returns the exit code."""
    guard_streams()
    code = _outcome(interrupts)
    trouble = trouble_of(sys.stdout)
    if code == ExitCode.DONE and trouble is not None and not isinstance(trouble, BrokenPipeError):
        _tell(f"error: the standard output cannot be written: {trouble.strerror}")
        return ExitCode.OUTPUT
    return code


def _outcome(interrupts: Interrupts) -> int:
    _quiet()
    with Messages() as messages:
        group = command_line(messages)
        if asked := os.environ.get(COMPLETE):
            from qsearch.cli.shells import answer

            return answer(group, NAME, COMPLETE, asked)
        try:
            with interrupts.allowed():
                result = group(standalone_mode=False, obj=interrupts, prog_name=NAME)
        except click.exceptions.Exit as error:
            return error.exit_code
        except click.ClickException as error:
            return _stopped(error.exit_code, _shown(error), error.format_message())
        except (KeyboardInterrupt, click.Abort):
            return _stopped(ExitCode.INTERRUPTED, "interrupted", "interrupted")
        except BaseException as error:
            _trace(error, messages)
            return _stopped(*_told(error), error.mistakes if isinstance(error, ConfigError) else ())
        return result if isinstance(result, int) else ExitCode.DONE


def _told(error: BaseException) -> tuple[int, str, str]:
    """How an error ends the process, what it says to people, and its message as it is."""
    text = str(error)
    if isinstance(error, ConfigError):
        return error.exit_code, printable(text), text  # as compilers do: each line starts with its place
    if isinstance(error, ModelError | VerificationError):  # of one thing each, which may be named by a file
        return error.exit_code, f"error: {one_line(text, LONGEST_LINE)}", text
    if isinstance(error, QsearchError):
        return error.exit_code, f"error: {printable(text)}", text
    if isinstance(error, Exception):
        what = f"this is a bug in qsearch: {type(error).__name__}: {printable(text_of(error))}"
        return ExitCode.BUG, f"error: {what}\n`qsearch --debug ...` shows where; please report it", what
    # sys.exit and the like, which neither click nor anything of ours raises
    what = f"code that the configuration names ended with {told(error)}"
    return ExitCode.CONFIG, f"error: {what}", what


def _trace(error: BaseException, messages: Messages) -> None:
    """The traceback of an error: in the log, and in the terminal where it is asked for."""
    whole = traceback.TracebackException.from_exception(error)
    chain = whole
    while chain.__context__ is not None:  # what a message of ours was made of
        chain.__suppress_context__ = False
        chain = chain.__context__
    lines = "\n".join(one_line(line, LONGEST_LINE) for line in "".join(whole.format()).splitlines())
    log(lines, logging.ERROR)
    if messages.debug:
        say_exactly(f"{lines}\n", err=True)


def _tell(text: str) -> None:
    say_exactly(f"{text}\n", err=True)
    log(text, logging.ERROR)


def _stopped(code: int, text: str, message: str, mistakes: Sequence[Located] = ()) -> int:
    """Tell what stops a command: people on the standard error, a program that asks for JSON on the other one too."""
    _tell(text)
    say_error(code, message, sys.argv[1:], mistakes)
    return code


def _shown(error: click.ClickException) -> str:
    """What click shows of a mistake in the arguments, which it quotes."""
    said = f"Error: {error.format_message()}"
    if isinstance(error, click.NoSuchOption) and "." in error.option_name:
        said += f" Values of the configuration have no dashes: {error.option_name.lstrip('-')}=VALUE"
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        said = f"{context.get_usage()}\nTry '{context.command_path} --help' for help.\n\n{said}"
    return printable(said)


def _quiet() -> None:
    quiet()
