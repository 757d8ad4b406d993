"""What commands print with `--format json`: one JSON object with a name and a version; docs/programs.md has the fields.

The header comes first: `schema`, such as "qsearch.trials/1", and `qsearch`, the version of the package. The number goes
up where a field is renamed, removed or means something else; new fields leave it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from typing import Any

from qsearch import __version__
from qsearch.cli.output import say_exactly
from qsearch.errors import Located
from qsearch.exit_codes import ExitCode
from qsearch.runs.plain_json import as_json

JSON = "json"
_OPTION = "--format"


def document(kind: str, version: int = 1, /, **facts: Any) -> str:
    """A document as text, with its header; figures that are no numbers become null.

    Args:
        kind: what it is of, such as "trials".
        version: of its fields.
        facts: the fields, in order.
    """
    return as_json({"schema": f"qsearch.{kind}/{version}", "qsearch": __version__, **facts}, indent=2) + "\n"


def say_document(kind: str, version: int = 1, /, **facts: Any) -> None:
    """Print a document; text of anybody's is as it is, as JSON escapes it."""
    say_exactly(document(kind, version, **facts))


def problem(code: int, message: str, mistakes: Sequence[Located] = ()) -> Mapping[str, Any]:
    """What stopped a command, or what it found to be wrong: the field `error` of its document."""
    meanings = {each.value: each.meaning for each in ExitCode}
    places = [asdict(mistake) for mistake in mistakes]
    return {"exit_code": int(code), "meaning": meanings.get(int(code)), "message": message, "mistakes": places}


def say_error(code: int, message: str, arguments: Sequence[str], mistakes: Sequence[Located] = ()) -> None:
    """Print what stopped a command before its document, where its arguments ask for JSON."""
    if wants_json(arguments):
        say_document("error", error=problem(code, message, mistakes))


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether the words after `qsearch` ask for JSON: also where they are wrong, so that no command has read them."""
    chosen = [
        word.partition("=")[2] if word.startswith(f"{_OPTION}=") else following
        for word, following in zip(arguments, [*arguments, ""][1:], strict=True)
        if word == _OPTION or word.startswith(f"{_OPTION}=")
    ]
    return chosen[-1:] == [JSON]


@contextmanager
def messages_aside(output: str) -> Iterator[None]:
    """Where the output is JSON: what is said meanwhile goes to the standard error."""
    if output != JSON:
        yield
        return
    with redirect_stdout(sys.stderr):
        yield
