"""What may only take so long: the whole run, and each of its trials."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from qsearch.config.durations import in_words
from qsearch.errors import SearchError


class TrialTimeoutError(SearchError):
    """A trial takes longer than it may; it has failed, and the search goes on."""


class OutOfTimeError(SearchError):
    """The time of the whole run is up; what is being trained is dropped.

    Attributes:
        place: how far training had come.
    """

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(message)
        self.place = place


@dataclass(frozen=True)
class TimeLimit:
    """So many seconds from a start on. The clock is one that nobody sets: it never jumps.

    Attributes:
        seconds: None for as many as it takes.
        started: by that clock.
    """

    seconds: float | None
    started: float = field(default_factory=lambda: time.monotonic())

    @property
    def is_over(self) -> bool:
        return self.seconds is not None and time.monotonic() - self.started >= self.seconds

    def __str__(self) -> str:
        return "none" if self.seconds is None else in_words(self.seconds)


NO_LIMIT = TimeLimit(None, 0.0)


OVER = "the time limit of"
"""How the reason of a run begins that ended by its time limit."""


def run_out(limit: TimeLimit) -> str | None:
    """Why a run is at its end, where its time is up."""
    return f"{OVER} {limit} was reached" if limit.is_over else None


@dataclass(frozen=True)
class Deadlines:
    """What is held against the clock again and again while something is trained.

    Attributes:
        run: of the whole run.
        trial: of the trial that is trained.
    """

    run: TimeLimit = NO_LIMIT
    trial: TimeLimit = NO_LIMIT

    def check(self, place: Callable[[], str]) -> None:
        """
        Args:
            place: how far training has come, "after epoch 3 of 10".

        Raises:
            OutOfTimeError: the run's time is up.
            TrialTimeoutError: the trial's is.
        """
        reason = run_out(self.run)
        if reason is not None:
            raise OutOfTimeError(reason, place())
        if self.trial.is_over:
            raise TrialTimeoutError(f"took longer than run.trial_timeout, {self.trial}, {place()}")
