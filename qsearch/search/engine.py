"""What trains proposals: one after the other in this process, or several at once in others."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from qsearch.errors import QsearchError, plain, reason_of
from qsearch.goal.price import Price
from qsearch.interrupts import Interrupts
from qsearch.search.proposals import Proposal
from qsearch.search.time_limits import OutOfTimeError
from qsearch.search.trials import Trained

Weights = Any
"""What training gives beside the figures and `keep` takes; the loop never looks into it."""

Stop = Callable[[list[float]], str | None]
"""Given the target metric after every epoch so far: why to stop training, or None."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A proposal that is to be trained, as the trial of a number."""

    number: int
    proposal: Proposal
    price: Price
    stop: Stop | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a task.

    Attributes:
        trained: what training came to; None where it failed.
        reason: why it failed.
    """

    trained: Trained | None = None
    weights: Weights = None
    reason: str = ""
    seconds: float = 0.0


Train = Callable[[Task], tuple[Trained, Weights]]


class Engine(Protocol):
    """Trains several tasks at a time, and gives what became of each in any order."""

    @property
    def slots(self) -> int:
        """How many tasks it trains at a time, at the moment; at least 1."""

    def start(self, task: Task) -> None:
        """Begin a task, now or as soon as there is a slot for it."""

    def finished(self) -> tuple[int, Outcome]:
        """Wait for one of the tasks that were started: its number, and what became of it.

        Raises:
            OutOfTimeError: the time of the whole run is up.
        """

    def drop(self, number: int) -> None:
        """A started task is not wanted any more; `finished` will not give it."""


def attempt(train: Train, task: Task) -> Outcome:
    """Train a task; one bad candidate must not end a search of hours, so that its reason is data.

    Raises:
        OutOfTimeError: the time of the whole run is up.
    """
    started = time.monotonic()

    def failed(reason: str) -> Outcome:
        return Outcome(reason=reason, seconds=time.monotonic() - started)

    try:
        trained, weights = train(task)
    except OutOfTimeError:
        raise
    except QsearchError as error:
        return failed(plain(error))
    except Exception as error:
        return failed(f"{type(error).__name__}: {reason_of(error)}")
    return Outcome(trained=trained, weights=weights, seconds=time.monotonic() - started)


@dataclass
class InProcess:
    """Trains one task after the other, here; an interruption is heard while it trains."""

    train: Train
    interrupts: Interrupts = field(default_factory=Interrupts)
    waiting: list[Task] = field(default_factory=list)

    @property
    def slots(self) -> int:
        return 1

    def start(self, task: Task) -> None:
        self.waiting.append(task)

    def finished(self) -> tuple[int, Outcome]:
        task = self.waiting.pop(0)
        with self.interrupts.allowed():
            return task.number, attempt(self.train, task)

    def drop(self, number: int) -> None:
        self.waiting = [task for task in self.waiting if task.number != number]
