"""What a search algorithm proposes, and what it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from qsearch.plan import QuantizationPlan
from qsearch.search.candidates import Candidate, Unpriced
from qsearch.search.space import Values

SHARED = 0
"""In place of a trial's number: the weights that all plans share, which are trained before the first trial."""


@dataclass(frozen=True)
class Proposal:
    """What to try, and how long.

    Attributes:
        epochs: train until this many epochs are done; None: as many as the run says.
        first_epoch: epochs that the parent has done already, which its weights and optimizer go on from.
        parent: the trial whose weights to start from, or `SHARED`; None for fresh weights or the reference's.
    """

    candidate: Candidate | Unpriced
    epochs: int | None = None
    first_epoch: int = 0
    parent: int | None = None

    @property
    def values(self) -> Values:
        return self.candidate.values

    @property
    def plan(self) -> QuantizationPlan:
        return self.candidate.plan


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """What came of a proposal.

    Attributes:
        trial: the number of the trial whose weights a later proposal may start from: its own, or that of the earlier
            trial that it repeats.
        completed: whether it was trained.
        score: of a completed trial, or of the earlier one that it repeats; None for a failed or skipped one.
        worth: the metric, turned so that more is better; None as above.
        bound: the score that it could have had at most, where it was not trained for that.
    """

    trial: int
    completed: bool = False
    score: float | None = None
    worth: float | None = None
    bound: float | None = None


class Proposer(Protocol):
    """A search algorithm: asked for proposals and told what came of them, both by the number of the trial.

    Several proposals may be open at a time, and be told in any order. Nothing is learned before `tell`.
    """

    @property
    def total(self) -> int | None:
        """How many trials it is going to propose; None where that is up to the caller."""

    @property
    def same_with_workers(self) -> bool:
        """Whether it proposes the same trials however many are open at a time, where they are told in order."""

    def ask(self, number: int) -> Proposal | None:
        """What to try as trial `number`; the same however often it is asked.

        None: there is nothing left, or, while proposals are open, nothing before one of them is told.
        """

    def recall(self, number: int, earlier: Proposal) -> Proposal | None:
        """What an earlier process proposed as this trial; an algorithm that draws anew gives what it would ask."""

    def tell(self, number: int, feedback: Feedback) -> None:
        """What came of the proposal for trial `number`."""

    def continues(self) -> frozenset[int]:
        """Trials whose weights a later proposal may start from."""
