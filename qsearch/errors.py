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


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """The allowed name closest to `name`, or None when nothing is close."""
    candidates = list(allowed)
    by_lower = {candidate.lower(): candidate for candidate in reversed(candidates)}
    matches = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[matches[0]] if matches else None


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest allowed name, or an empty string."""
    match = nearest(name, allowed)
    return f"; did you mean {match!r}?" if match else ""


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
    return lines[0][:length] if lines else type(error).__name__
