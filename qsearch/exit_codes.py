"""How the command line ends: the one table, which errors, `--help` and docs/commands.md take their codes from."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """A code and what it means, in few words for `--help`, and in full for the docs."""

    meaning: str
    explanation: str

    def __new__(cls, code: int, meaning: str, explanation: str = "") -> ExitCode:
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        member.explanation = explanation or meaning
        return member

    DONE = 0, "done"
    CONFIG = (
        2,
        "configuration or usage",
        "configuration or usage; every error of a file is listed as `file:line:column: key: what is wrong`",
    )
    MODEL = 3, "model", "the model or its file"
    DATASET = 4, "data set", "the data set"
    OUTPUT = (
        5,
        "a file or folder that cannot be written",
        "a file or folder that cannot be written, as on a full disk; what was finished before is kept, and reported as "
        "far as there is room",
    )
    NO_TRAINING = (
        6,
        "no usable training",
        "the training of the reference diverged, or no trial could be completed",
    )
    OFF_GRID = 7, "weights off their grid", "`qsearch verify`: a weight is off its grid"
    UNMET = (
        8,
        "no trial keeps to max_drop",
        "the run is complete, but no trial keeps to `max_drop`; the best model is the one that comes nearest",
    )
    NOT_EXACT = (
        9,
        "cannot be exported exactly",
        "`qsearch export`: a layer that the target cannot compute bit for bit, or an exported file that differs; the "
        "message names the first layer and what to change",
    )
    WORKERS = (
        10,
        "workers",
        "`--workers`, `--scheduler`: the scheduler cannot be reached or is gone, or no worker can train this run's "
        "trials; what was finished before is kept and reported, and `qsearch resume` goes on",
    )
    BUG = 70, "a bug in qsearch"
    INTERRUPTED = (
        130,
        "interrupted",
        "interrupted by Ctrl-C, SIGTERM or SIGHUP; finished trials and the best model so far are in the run directory; "
        "`qsearch resume` goes on",
    )


def in_a_line() -> str:
    """The table for `--help`."""
    return "Exit codes: " + ", ".join(f"{code.value} {code.meaning}" for code in ExitCode) + "."


def as_markdown() -> str:
    """The table for the docs."""
    rows = [f"| {code.value} | {code.explanation} |" for code in ExitCode]
    return "\n".join(["| exit code | meaning |", "|---|---|", *rows, ""])
