"""What a search algorithm proposes, and what it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from qsearch.search.space import Choice
from qsearch.search.trials import AnyTrial


@dataclass(frozen=True)
class Proposal:
    """Values to try.

    Attributes:
        epochs: train until this many epochs are done; None: as many as the run says.
        first_epoch: epochs that the parent has done already, which its weights and optimizer go on from.
        parent: the trial whose weights to start from.
    """

    values: dict[str, Choice]
    epochs: int | None = None
    first_epoch: int = 0
    parent: int | None = None


@dataclass(frozen=True)
class Feedback:
    """What came of a proposal.

    Attributes:
        trial: its record.
        score: of a completed trial, or of the earlier one that it repeats; None for a failed or skipped one.
        worth: the metric, turned so that more is better; None as above.
        bound: the score that it could have had at most, where it was not trained for that.
    """

    trial: AnyTrial
    score: float | None = None
    worth: float | None = None
    bound: float | None = None


class Proposer(Protocol):
    """A search algorithm."""

    @property
    def total(self) -> int | None:
        """How many trials it is going to propose; None where that is up to the caller."""

    def next(self) -> Proposal | None:
        """What to try, or None when there is nothing left."""

    def tell(self, told: Feedback) -> None:
        """What came of the last proposal."""

    def continues(self) -> frozenset[int]:
        """Trials whose weights a later proposal may start from."""
