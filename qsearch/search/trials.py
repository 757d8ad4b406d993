"""What came of a set of values: a completed trial, a failed one, or one not worth training.

A trial that is written down is always one of these; half-finished ones cannot be built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from qsearch.plan import QuantizationPlan
from qsearch.search.space import Values


@dataclass(frozen=True)
class Candidate:
    """A trial about to be trained; its cost is known before.

    Attributes:
        cost: in the goal's unit.
        energy: in pJ, whatever the goal is.
        delta: what its cost is worth: score = metric · (1 + delta).
    """

    id: int
    values: Values
    plan: QuantizationPlan
    cost: float
    energy: float
    delta: float


@dataclass(frozen=True)
class Trained:
    """What training came to: metrics of the epoch whose weights the model now has."""

    metrics: Mapping[str, float]
    epochs: int
    best_epoch: int


@dataclass(frozen=True)
class Trial:
    """A completed trial.

    Attributes:
        metrics: of the best epoch, by name; `val_` marks those of the selection set.
        score: the target metric · (1 + delta); higher is better.
        epochs: epochs trained; best_epoch: the one whose weights were kept (from 1).
    """

    status: ClassVar[str] = "completed"
    candidate: Candidate
    metrics: Mapping[str, float]
    score: float
    epochs: int
    best_epoch: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        return {
            **_head(self.candidate, self.status),
            "metrics": dict(self.metrics),
            "energy": round(self.candidate.energy, 2),
            "cost": round(self.candidate.cost, 2),
            "delta": self.candidate.delta,
            "score": self.score,
            "epochs": self.epochs,
            "best_epoch": self.best_epoch,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class FailedTrial:
    """A trial that could not be built, priced or trained; the search goes on."""

    status: ClassVar[str] = "failed"
    id: int
    values: Values
    plan: QuantizationPlan | None
    reason: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        plan = None if self.plan is None else self.plan.to_dict()
        return {
            "id": self.id,
            "status": self.status,
            "values": dict(self.values),
            "plan": plan,
            "reason": self.reason,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class SkippedTrial:
    """Values that mean the plan of an earlier trial; not trained again."""

    status: ClassVar[str] = "skipped"
    id: int
    values: Values
    plan: QuantizationPlan
    same_as: int

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "status": self.status,
            "values": dict(self.values),
            "plan": self.plan.to_dict(),
            "reason": f"same plan as trial {self.same_as}",
            "seconds": 0.0,
        }


AnyTrial = Trial | FailedTrial | SkippedTrial


def _head(candidate: Candidate, status: str) -> dict[str, Any]:
    return {
        "id": candidate.id,
        "status": status,
        "values": dict(candidate.values),
        "plan": candidate.plan.to_dict(),
    }


class Observer(Protocol):
    """Is told how a run goes on; the command line shows it."""

    def stage(self, title: str) -> None:
        """A new part of the run begins."""

    def trial_started(self, candidate: Candidate, number: int, total: int) -> None:
        """Trial `number` of `total` is about to be trained."""

    def epoch_ended(self, epoch: int, epochs: int, metrics: Mapping[str, float]) -> None:
        """`epoch` of `epochs` is done, of whatever is being trained."""

    def trial_ended(self, trial: AnyTrial, best: Trial | None, number: int, total: int) -> None:
        """A trial is recorded; `best` is the best so far."""


class SilentObserver:
    """Shows nothing."""

    def stage(self, title: str) -> None: ...

    def trial_started(self, candidate: Candidate, number: int, total: int) -> None: ...

    def epoch_ended(self, epoch: int, epochs: int, metrics: Mapping[str, float]) -> None: ...

    def trial_ended(self, trial: AnyTrial, best: Trial | None, number: int, total: int) -> None: ...
