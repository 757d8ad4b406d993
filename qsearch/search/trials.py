"""What came of a set of values: a completed trial, a failed one, or one not worth training.

A trial that is written down is always one of these; half-finished ones cannot be built.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

from qsearch.goal.target import Target
from qsearch.plan import QuantizationPlan
from qsearch.search.space import Values


@dataclass(frozen=True)
class Candidate:
    """A trial about to be trained; its cost is known before.

    Attributes:
        cost: in the goal's unit.
        energy: in pJ, whatever the goal is.
        delta: what its cost is worth: score = metric · (1 + delta).
        epochs: train until this many epochs are done; None: as many as the run says.
        first_epoch: epochs done already, by the parent.
        parent: the trial whose weights it starts from; None for fresh weights or the reference's.
    """

    id: int
    values: Values
    plan: QuantizationPlan
    cost: float
    energy: float
    delta: float
    epochs: int | None = None
    first_epoch: int = 0
    parent: int | None = None


@dataclass(frozen=True)
class Trained:
    """What training came to.

    Attributes:
        metrics: of the epoch whose weights the model now has.
        epochs: the number of the last epoch; best_epoch: of the one whose weights were kept.
        curve: the target metric after every epoch trained.
        stopped: why training ended before its time, or None.
    """

    metrics: Mapping[str, float]
    epochs: int
    best_epoch: int
    curve: tuple[float, ...] = ()
    stopped: str | None = None


@dataclass(frozen=True)
class Trial:
    """A completed trial.

    Attributes:
        trained: of its metrics, `val_` marks those of the selection set.
        target: the name of the target metric.
        score: of the target metric and its cost; higher is better. See `goal.Target`.
        accepted: whether the metric is as good as the user demands.
        block: the number of the block that was searched, from 1; None for the whole network at once.
    """

    status: ClassVar[str] = "completed"
    candidate: Candidate
    trained: Trained
    target: str
    score: float
    seconds: float
    accepted: bool = True
    block: int | None = None

    @property
    def number(self) -> int:
        return self.candidate.id

    def rank(self, target: Target) -> tuple[bool, float]:
        """What the user accepts comes first, by score; of the rest, what misses the demand by least."""
        return (True, self.score) if self.accepted else (False, target.worth(self.metric))

    def rescored(self, delta: float, target: Target) -> Trial:
        """The same, scored with another worth of its cost."""
        score = target.score(self.metric, delta)
        return replace(self, candidate=replace(self.candidate, delta=delta), score=score)

    @property
    def metrics(self) -> Mapping[str, float]:
        return self.trained.metrics

    @property
    def metric(self) -> float:
        """The target metric."""
        return self.trained.metrics[self.target]

    def to_dict(self) -> dict[str, Any]:
        candidate, trained = self.candidate, self.trained
        shown: dict[str, Any] = {
            "id": candidate.id,
            "status": self.status,
            **_place(self.block),
            "values": dict(candidate.values),
            "plan": candidate.plan.to_dict(),
            "metrics": {name: _finite(value) for name, value in trained.metrics.items()},
            "energy": round(candidate.energy, 2),
            "cost": round(candidate.cost, 2),
            "delta": candidate.delta,
            "score": self.score,
            "epochs": trained.epochs,
            "best_epoch": trained.best_epoch,
            "curve": [_finite(value) for value in trained.curve],
            "seconds": round(self.seconds, 3),
        }
        if candidate.parent is not None:
            shown["parent"] = candidate.parent
        if candidate.first_epoch:
            shown["first_epoch"] = candidate.first_epoch
        if trained.stopped is not None:
            shown["stopped"] = trained.stopped
        if not self.accepted:
            shown["accepted"] = False
        return shown


@dataclass(frozen=True)
class FailedTrial:
    """A trial that could not be built, priced or trained; the search goes on."""

    status: ClassVar[str] = "failed"
    id: int
    values: Values
    plan: QuantizationPlan | None
    reason: str
    seconds: float
    block: int | None = None

    @property
    def number(self) -> int:
        return self.id

    def to_dict(self) -> dict[str, Any]:
        plan = None if self.plan is None else self.plan.to_dict()
        return {
            "id": self.id,
            "status": self.status,
            **_place(self.block),
            "values": dict(self.values),
            "plan": plan,
            "reason": self.reason,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class SkippedTrial:
    """Values that were not worth training.

    Attributes:
        reason: a repeated plan, a cost outside the budget, or a bound on the score that is not above the best.
        same_as: the earlier trial with the same plan.
        energy: in pJ, where it was priced.
        bound: the score that it could have had at most.
    """

    status: ClassVar[str] = "skipped"
    id: int
    values: Values
    plan: QuantizationPlan
    reason: str
    same_as: int | None = None
    energy: float | None = None
    bound: float | None = None
    block: int | None = None

    @property
    def number(self) -> int:
        return self.id

    def to_dict(self) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "id": self.id,
            "status": self.status,
            **_place(self.block),
            "values": dict(self.values),
            "plan": self.plan.to_dict(),
            "reason": self.reason,
            "seconds": 0.0,
        }
        given = {"same_as": self.same_as, "energy": self.energy, "bound": self.bound}
        return {**shown, **{name: value for name, value in given.items() if value is not None}}


def _place(block: int | None) -> dict[str, int]:
    return {} if block is None else {"block": block}


def _finite(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None


AnyTrial = Trial | FailedTrial | SkippedTrial


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
