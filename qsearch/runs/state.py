"""How far the run in a directory is."""

from __future__ import annotations

from enum import Enum

from qsearch.runs.result import Result
from qsearch.search.time_limits import OVER


class State(Enum):
    """How far a run is; the value is what a person reads."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    """It ended in order, before its time."""
    OUT_OF_TIME = "ended by its time limit"
    STOPPED = "stopped"
    """It was killed, or has not begun to search."""


def state_of(result: Result | None, writer: str | None) -> State:
    """The state of a run.

    Args:
        result: what it came to; None where that is not written yet.
        writer: the process that writes to its directory, if one does; see `runs.lock.holder`.
    """
    if writer is not None:
        return State.RUNNING
    if result is None:
        return State.STOPPED
    if result.interrupted:
        return State.INTERRUPTED
    return State.OUT_OF_TIME if result.ended.startswith(OVER) else State.FINISHED
