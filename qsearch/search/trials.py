"""What came of a proposal: a completed trial, a failed one, or one not worth training.

A trial that is written down is always one of these; half-finished ones cannot be built. `to_dict` is a line of
trials.jsonl, `trial_from_dict` reads it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

from qsearch.goal.price import Price
from qsearch.goal.target import Target
from qsearch.plan import QuantizationPlan
from qsearch.quantizers.spec import QuantizerSpec, parse
from qsearch.search.candidates import Candidate, Unpriced
from qsearch.search.proposals import Proposal
from qsearch.search.space import Values


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What training came to.

    Attributes:
        metrics: of the epoch whose weights the model now has; NaN where one is no number.
        epochs: the number of the last epoch; best_epoch: of the one whose weights were kept.
        curve: the target metric after every epoch trained.
        stopped: why training ended before its time, or None.
    """

    metrics: Mapping[str, float]
    epochs: int
    best_epoch: int
    curve: tuple[float, ...] = ()
    stopped: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Tried:
    """What all trials have.

    Attributes:
        number: of the trial, from 1, over the whole run.
        block: the number of the block that was searched, from 1; None for the whole network at once.
        told: how many trials the algorithm had been told of when it proposed this one, where others were open whose
            outcome it did not know, and that matters to it; else None.
    """

    status: ClassVar[str]
    number: int
    proposal: Proposal
    seconds: float = 0.0
    block: int | None = None
    told: int | None = None

    @property
    def values(self) -> Values:
        return self.proposal.values

    @property
    def plan(self) -> QuantizationPlan:
        return self.proposal.plan

    def _to_dict(self, **facts: Any) -> dict[str, Any]:
        """The facts between what was tried and what it took; None stands for what is not there."""
        proposal = self.proposal
        shown = {
            "id": self.number,
            "status": self.status,
            "block": self.block,
            "values": {name: str(c) if isinstance(c, QuantizerSpec) else c for name, c in self.values.items()},
            "plan": self.plan.to_dict(),
            **facts,
            "seconds": round(self.seconds, 3),
            "told": self.told,
            "parent": proposal.parent,
            "first_epoch": proposal.first_epoch or None,
            "last_epoch": proposal.epochs,
        }
        return {name: value for name, value in shown.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Trial(_Tried):
    """A completed trial.

    Attributes:
        trained: of its metrics, `val_` marks those of the selection set.
        target: the name of the target metric.
        score: of the target metric and its cost; higher is better. See `goal.Target`.
        accepted: whether the metric is as good as the user demands.
    """

    status: ClassVar[str] = "completed"
    price: Price
    trained: Trained
    target: str
    score: float
    accepted: bool = True

    def rank(self, target: Target) -> tuple[bool, float]:
        """What the user accepts comes first, by score; of the rest, what misses the demand by least."""
        return (True, self.score) if self.accepted else (False, target.worth(self.metric))

    def rescored(self, delta: float, target: Target) -> Trial:
        """The same, scored with another worth of its cost."""
        return replace(self, price=replace(self.price, delta=delta), score=target.score(self.metric, delta))

    @property
    def metrics(self) -> Mapping[str, float]:
        return self.trained.metrics

    @property
    def metric(self) -> float:
        """The target metric."""
        return self.trained.metrics[self.target]

    def to_dict(self) -> dict[str, Any]:
        trained = self.trained
        return self._to_dict(
            metrics=dict(trained.metrics),
            target=self.target,
            energy=round(self.price.energy, 2),
            cost=round(self.price.cost, 2),
            spent={name: round(amount, 2) for name, amount in self.price.spent.items()} or None,
            delta=self.price.delta,
            score=self.score,
            epochs=trained.epochs,
            best_epoch=trained.best_epoch,
            curve=list(trained.curve),
            stopped=trained.stopped,
            accepted=None if self.accepted else False,
        )


@dataclass(frozen=True, kw_only=True)
class FailedTrial(_Tried):
    """A trial that could not be built, priced or trained; the search goes on."""

    status: ClassVar[str] = "failed"
    reason: str

    def to_dict(self) -> dict[str, Any]:
        return self._to_dict(reason=self.reason)


@dataclass(frozen=True, kw_only=True)
class SkippedTrial(_Tried):
    """A proposal that was not worth training.

    Attributes:
        reason: a repeated plan, a cost outside the budget, or a bound on the score that is not above the best.
        same_as: the earlier trial with the same plan.
        energy: in pJ, where it was priced.
        bound: the score that it could have had at most.
    """

    status: ClassVar[str] = "skipped"
    reason: str
    same_as: int | None = None
    energy: float | None = None
    bound: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return self._to_dict(reason=self.reason, same_as=self.same_as, energy=self.energy, bound=self.bound)


AnyTrial = Trial | FailedTrial | SkippedTrial


def trial_from_dict(line: Mapping[str, Any]) -> AnyTrial:
    """A line of trials.jsonl as the trial that it tells of.

    Energies and costs are as the journal has them, to 0.01; `final_cost`, which it does not have, is the cost.

    Raises:
        KeyError, TypeError, ValueError: it is not such a line.
        ConfigError: a quantizer in its plan that is none.
    """
    values = {name: parse(choice) if isinstance(choice, str) else choice for name, choice in line["values"].items()}
    plan, status = QuantizationPlan.from_dict(line["plan"]), line["status"]
    common: dict[str, Any] = {
        "number": line["id"],
        "seconds": line["seconds"],
        "block": line.get("block"),
        "told": line.get("told"),
    }

    def proposal(candidate: Candidate | Unpriced) -> Proposal:
        return Proposal(candidate, line.get("last_epoch"), line.get("first_epoch", 0), line.get("parent"))

    if status == Trial.status:
        price = Price(
            cost=line["cost"],
            energy=line["energy"],
            delta=line["delta"],
            final_cost=line["cost"],
            spent=line.get("spent", {}),
        )
        trained = Trained(
            metrics={name: _number(value) for name, value in line["metrics"].items()},
            epochs=line["epochs"],
            best_epoch=line["best_epoch"],
            curve=tuple(_number(value) for value in line["curve"]),
            stopped=line.get("stopped"),
        )
        return Trial(
            **common,
            proposal=proposal(Candidate(values, plan, price)),
            price=price,
            trained=trained,
            target=line.get("target") or _target_of(line["metrics"]),
            score=_number(line["score"]),
            accepted=line.get("accepted", True),
        )
    reason = line["reason"]
    tried = proposal(Unpriced(values, plan, reason))
    if status == FailedTrial.status:
        return FailedTrial(**common, proposal=tried, reason=reason)
    if status == SkippedTrial.status:
        facts: dict[str, Any] = {name: line.get(name) for name in ("same_as", "energy", "bound")}
        return SkippedTrial(**common, proposal=tried, reason=reason, **facts)
    raise ValueError(f"status {status!r}")


def _target_of(metrics: Mapping[str, Any]) -> str:
    """Of a journal that does not name it yet: the first metric of the selection set that is not the loss."""
    names = [name for name in metrics if name.startswith("val_")]
    return next((name for name in names if name != "val_loss"), names[0])


def _number(value: float | None) -> float:
    return math.nan if value is None else value


class Observer(Protocol):
    """Is told how a run goes on; the command line shows it."""

    def stage(self, title: str) -> None:
        """A new part of the run begins."""

    def trial_started(self, number: int, proposal: Proposal, trained: int, total: int) -> None:
        """Trial `number` is about to be trained, as the one after `trained` of `total`."""

    def epoch_ended(self, epoch: int, epochs: int, metrics: Mapping[str, float], trial: int | None = None) -> None:
        """`epoch` of `epochs` is done, of a trial, or, where `trial` is None, of the reference or the final training.

        Of a trial with several executions, each begins anew.
        """

    def trial_ended(self, trial: AnyTrial, best: Trial | None, trained: int, total: int) -> None:
        """A trial is recorded, `trained` of `total` are; `best` is the best so far."""


class SilentObserver:
    """Shows nothing."""

    def stage(self, title: str) -> None: ...

    def trial_started(self, number: int, proposal: Proposal, trained: int, total: int) -> None: ...

    def epoch_ended(self, epoch: int, epochs: int, metrics: Mapping[str, float], trial: int | None = None) -> None: ...

    def trial_ended(self, trial: AnyTrial, best: Trial | None, trained: int, total: int) -> None: ...
