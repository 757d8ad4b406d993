"""Every failure a user can meet, each with its exit code.

The command line catches `QsearchError` in one place, prints its message and
exits with `exit_code`; anything else is a bug in qsearch.
"""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import ClassVar

from qsearch.exit_codes import ExitCode


class QsearchError(Exception):
    """Base of all errors whose message is meant for the user."""

    exit_code: ClassVar[ExitCode] = ExitCode.BUG


@dataclass(frozen=True, kw_only=True)
class Located:
    """One mistake in a configuration, in parts.

    Attributes:
        source: the file, or the option of the command line.
        line, column: from 1; None of an option.
        key: "run.max_trials"; empty for the whole file.
    """

    source: str
    line: int | None
    column: int | None
    key: str
    text: str


class ConfigError(QsearchError):
    """A configuration file, a command-line option or a quantizer string that cannot be used.

    Attributes:
        mistakes: those that the message tells, where it tells mistakes in a file.
    """

    exit_code = ExitCode.CONFIG

    def __init__(self, message: str, mistakes: Sequence[Located] = ()) -> None:
        super().__init__(message)
        self.mistakes = tuple(mistakes)


class ConfiguredError(QsearchError):
    """An error of something that a section of a configuration names, where there is a configuration.

    Attributes:
        section: of the configuration.
        key: of the section, the key whose value it is about; empty for the one that says where the thing comes from.
        placed: whether the message starts with the place in the file already.
    """

    section: ClassVar[str]

    def __init__(self, message: str, key: str = "", placed: bool = False) -> None:
        super().__init__(message)
        self.key = key
        self.placed = placed


class ModelError(ConfiguredError):
    """A model, or a model file, that qsearch cannot read, quantize or price."""

    section = "model"
    exit_code = ExitCode.MODEL


class DatasetError(ConfiguredError):
    """A data set that cannot be loaded or does not fit the model."""

    section = "dataset"
    exit_code = ExitCode.DATASET


class OutputError(QsearchError):
    """A file or folder that cannot be written, or holds something else."""

    exit_code = ExitCode.OUTPUT


class SearchError(QsearchError):
    """A search that ended without a single usable trial."""

    exit_code = ExitCode.NO_TRAINING


class WorkersError(QsearchError):
    """Workers, or their scheduler, that cannot be reached or used."""

    exit_code = ExitCode.WORKERS


class VerificationError(QsearchError):
    """A model whose weights are not what its quantizers promise."""

    exit_code = ExitCode.OFF_GRID


class ExportError(QsearchError):
    """A model that a target cannot compute exactly."""

    exit_code = ExitCode.NOT_EXACT


LONGEST_VALUE = 200
LONGEST_LINE = 2_000
_MOST_LINES = 100


def printable(text: str, length: int = LONGEST_LINE) -> str:
    """Text of anybody's as it may be shown in a terminal: each line cut, with what is no printable character escaped.

    Lines stay lines; a message tells one mistake in each of them.
    """
    lines = text.split("\n")
    shown = [_cut(_escaped(line[: length + 1]), length, len(line)) for line in lines[:_MOST_LINES]]
    if len(lines) > _MOST_LINES:
        shown.append(f"... and {len(lines) - _MOST_LINES:,} lines more")
    return "\n".join(shown)


def one_line(text: str, length: int = LONGEST_VALUE) -> str:
    """A name of anybody's, such as a layer's of a model file, as tables and lines show it: escaped and cut."""
    return _cut(_escaped(text[: length + 1]), length, len(text))


def shown(value: object, length: int = LONGEST_VALUE) -> str:
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
    if len(name) > LONGEST_VALUE:
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
_SEVERAL = re.compile(r"A total of \d+ objects could not be loaded")
_GRAPH = "Graph execution error"
_TRACE_LINE = re.compile(r'File "([^"]+)", line (\d+)')
_FIRST_OF_SEVERAL = re.compile(r"\(0\) (?:[A-Z_]+: +)?(.*)")
_NAMED = re.compile(r"\w+(Error|Exception): ")
_PACKAGE = Path(__file__).parent


def text_of(error: BaseException) -> str:
    """What an error says; nothing where its own `__str__` fails."""
    try:
        return str(error)
    except Exception:
        return ""


def reason_of(error: BaseException, length: int = 200) -> str:
    """What an error of Keras, TensorFlow or the user's own code says, in one line; its class where it says nothing.

    Keras wraps what a layer raises in "Exception encountered when calling ...", with the cause in a line of its own,
    or behind a whole configuration; TensorFlow tells where in a graph it was before it tells what, and hints after it.
    """
    single = len(error.args) == 1 and isinstance(error.args[0], str)
    # of a KeyError, the text is the repr of what it was given
    said = error.args[0] if single and _WRAPPED in error.args[0] else text_of(error)
    text = _GRAPH_NODES.sub("", _COLOURS.sub("", said))
    _, found, inner = text.rpartition(f"{_WRAPPED}:")
    lines = [line.strip() for line in (inner if found else text).splitlines() if line.strip()]
    if lines and lines[0].startswith(_WRAPPED):
        end = next((index for index, line in enumerate(lines) if line.startswith(_ARGUMENTS)), len(lines))
        lines = lines[1:end] if end > 1 or len(lines) > 1 else lines
    elif len(lines) > 1 and _SEVERAL.match(lines[0]):
        lines = lines[1:]
    if lines and (lines[0].startswith(_GRAPH) or any(line.startswith("Traceback (") for line in lines)):
        several = [match[1] for match in map(_FIRST_OF_SEVERAL.match, lines) if match is not None]
        plain = [_OPERATION.sub("", line) for line in lines if not line.startswith(_AFTERWORDS)]
        lines = several or [line for line in plain if line][-1:]
        if lines and _FRAME.match(lines[0]):  # nothing but where it was
            lines = []
    return printable(lines[0][:length]) + _way_out(lines[0]) if lines else _class_of(error)


def _way_out(reason: str) -> str:
    """What TensorFlow could have done: on processors for which it leaves oneDNN off, some convolutions are missing."""
    missing = _NOT_ON_THIS_PROCESSOR.search(reason) and os.environ.get(_ONEDNN) is None
    return f"; {_ONEDNN}=1 in the environment lets TensorFlow compute it" if missing else ""


_ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
_NOT_ON_THIS_PROCESSOR = re.compile("NHWC tensor format on the CPU|CPU implementations do not yet support dilation")
_ARGUMENTS = "Arguments received by "
_OPERATION = re.compile(r"\s*\[Op:[^\]]*\]\s*")
_AFTERWORDS = ("[[", "Hint: ")
_FRAME = re.compile(r'File "|Detected at node ')


def told(error: BaseException, length: int = 200) -> str:
    """An error of the user's own code, or of a library called by it: class, reason, and the line of the user's."""
    reason, place = reason_of(error, length), place_of(error)
    name = _class_of(error)
    # TensorFlow raises its own class for an error of a Python function, and names the real one in the text
    whole = reason if _NAMED.match(reason) or reason == name else f"{name}: {reason}"
    return f"{whole} ({place})" if place else whole


def _class_of(error: BaseException) -> str:
    return one_line(type(error).__name__)


def plain(error: QsearchError) -> str:
    """What an error of ours says, also where it went through a layer of Keras, which wraps it."""
    text = str(error)
    if _WRAPPED not in text:
        return text
    layer = layer_of(error)
    return f"{layer}: {reason_of(error)}" if layer else reason_of(error)


def layer_of(error: BaseException) -> str:
    """The innermost layer of Keras that an error came through, "layer conv (QConv2D)", or the node of a graph.

    Empty where neither can be told.
    """
    found = ""
    trace = error.__traceback__
    while trace is not None:
        code, values = trace.tb_frame.f_code, trace.tb_frame.f_locals
        owner = values.get(code.co_varnames[0]) if code.co_argcount else None
        name = getattr(owner, "name", None)
        # told without Keras, which this module does not import; a model has layers of its own
        if isinstance(name, str) and callable(getattr(owner, "compute_output_shape", None)):
            found = found if hasattr(owner, "layers") else f"layer {name} ({type(owner).__name__})"
        trace = trace.tb_next
    node = _NODE.search(text_of(error))
    return found or (f"node {node[1]}" if node else "")


_NODE = re.compile(r"Detected at node '?([\w/.:-]+)")


def raised_here(error: BaseException) -> bool:
    """Whether qsearch's own code raised an error, and not Keras, TensorFlow or the user's."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and Path(frames[-1].filename).is_relative_to(_PACKAGE)


def place_of(error: BaseException) -> str:
    """The innermost line of code that is the user's own: "nets.py:12"; empty where there is none."""
    frames = [(frame.filename, frame.lineno or 0) for frame in traceback.extract_tb(error.__traceback__)]
    # TensorFlow tells the frames of Python functions, and of what made a node of a graph, in the text alone
    texts = [(file, int(line)) for file, line in _TRACE_LINE.findall(text_of(error))]
    for found in (texts, frames):
        start = max((index for index, (file, _) in enumerate(found) if Path(file).is_relative_to(_PACKAGE)), default=-1)
        own = [(file, line) for file, line in found[start + 1 :] if _is_the_users(file)]
        if own:
            return f"{Path(own[-1][0]).name}:{own[-1][1]}"
    return ""


def _is_the_users(file: str) -> bool:
    path = Path(file)
    library = any(
        part in ("site-packages", "dist-packages") or re.fullmatch(r"python3\.\d+", part) for part in path.parts
    )
    return not library and not file.startswith("<") and not path.name.startswith("__autograph_generated")
