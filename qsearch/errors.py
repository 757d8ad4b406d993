"""Every failure a user can meet, each with its exit code.

The command line catches `QsearchError` in one place, prints its message and
exits with `exit_code`; anything else is a bug in qsearch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar


class QsearchError(Exception):
    """Base of all errors whose message is meant for the user."""

    exit_code: ClassVar[int] = 1


class ConfigError(QsearchError):
    """A configuration file, a command-line option or a quantizer string that cannot be used."""

    exit_code = 2


class ModelError(QsearchError):
    """A model, or a model file, that qsearch cannot read, quantize or price."""

    exit_code = 3


class DatasetError(QsearchError):
    """A data set that cannot be loaded or does not fit the model."""

    exit_code = 4


class OutputError(QsearchError):
    """A run directory that cannot be written, or holds something else."""

    exit_code = 5


class SearchError(QsearchError):
    """A search that ended without a single usable trial."""

    exit_code = 6


class VerificationError(QsearchError):
    """A model whose weights are not what its quantizers promise."""

    exit_code = 7


_LONGEST_VALUE = 200
_LONGEST_LINE = 2_000
_MOST_LINES = 100


def printable(text: str, length: int = _LONGEST_LINE) -> str:
    """Text of anybody's as it may be shown in a terminal: each line cut, with what is no printable character escaped.

    Lines stay lines; a message tells one mistake in each of them.
    """
    lines = text.split("\n")
    shown = [_cut(_escaped(line[: length + 1]), length, len(line)) for line in lines[:_MOST_LINES]]
    if len(lines) > _MOST_LINES:
        shown.append(f"... and {len(lines) - _MOST_LINES:,} lines more")
    return "\n".join(shown)


def shown(value: object, length: int = _LONGEST_VALUE) -> str:
    """A value of a file or an option as messages quote it: in one line, cut, and nothing that steers a terminal."""
    if isinstance(value, str):
        return _cut(_escaped(repr(value[: length + 1])), length, len(value))
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # whole numbers of thousands of digits, and lists in lists in lists
        text = f"a {type(value).__name__} that cannot be shown"
    return _cut(_escaped(text[: length + 1]), length, len(text))


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def _cut(text: str, length: int, whole: int) -> str:
    return text if whole <= length else f"{text[:length]}... ({whole:,} characters)"


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """The allowed name closest to `name`, or None when nothing is close."""
    if len(name) > _LONGEST_VALUE:
        return None
    candidates = list(allowed)
    by_lower = {candidate.lower(): candidate for candidate in reversed(candidates)}
    matches = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[matches[0]] if matches else None


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest allowed name, or an empty string."""
    match = nearest(name, allowed)
    return f"; did you mean {shown(match)}?" if match else ""


_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_GRAPH_NODES = re.compile(r"\{\{.*?\}\}\s*")
_WRAPPED = "Exception encountered"


def reason_of(error: BaseException, length: int = 200) -> str:
    """What an error of Keras, TensorFlow or the user's own code says, in one line; its class where it says nothing.

    Keras wraps what a layer raises in "Exception encountered when calling ...", with the cause in a line of its own,
    or behind a whole configuration.
    """
    text = _GRAPH_NODES.sub("", _COLOURS.sub("", str(error)))
    _, found, inner = text.rpartition(f"{_WRAPPED}:")
    lines = [line.strip() for line in (inner if found else text).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith(_WRAPPED):
        lines = lines[1:]
    return printable(lines[0][:length]) if lines else type(error).__name__
