"""What a run has come to so far, told from its directory: of one that has ended, goes on, or was killed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from qsearch.config import Config
from qsearch.config.costs import COST_KINDS
from qsearch.config.schema import RunConfig
from qsearch.goal.forgiving_factor import ForgivingFactor
from qsearch.goal.target import Target
from qsearch.runs.chosen import best_of, of_last_block, result_of, target_of
from qsearch.runs.figures import TrialCounts
from qsearch.runs.lock import holder
from qsearch.runs.record import RunRecord
from qsearch.runs.result import Result
from qsearch.runs.state import State, state_of
from qsearch.search.epochs import EpochCounter
from qsearch.search.front import Point, front, knee
from qsearch.search.trials import AnyTrial, FailedTrial, SkippedTrial, Trial


@dataclass(frozen=True, kw_only=True)
class Overview:
    """A run so far.

    Attributes:
        state: how far it is.
        writer: the process that writes to its directory, if one does.
        result: what it came to; None where that is not written yet, or is of fewer trials than there are.
        target: the metric that it selects by.
        best: the trial whose model is the best one so far, if any was completed.
        comparable: the completed trials whose figures are numbers; of the last block, where blocks are searched.
        front: of these, the trials that no other beats in both metric and cost, by rising cost.
        knee: of these, the one farthest from the line between the ends.
        reference_cost: in the goal's unit; reference_energy: in pJ. Before there is a result they are reckoned back
            from a trial's score, to five digits; None where they cannot be.
    """

    record: RunRecord
    state: State
    writer: str | None
    result: Result | None
    target: Target
    best: Trial | None
    comparable: tuple[Trial, ...]
    front: tuple[Trial, ...]
    knee: Trial | None
    reference_cost: float | None
    reference_energy: float | None

    @property
    def config(self) -> Config:
        return self.record.config

    @property
    def trials(self) -> tuple[AnyTrial, ...]:
        return self.record.trials

    @property
    def name(self) -> str:
        """Its folder, as people name it."""
        return str(self.record.folder)

    @property
    def unit(self) -> str:
        """Of costs: pJ, bits, ...; see `config.costs`."""
        return unit_of(self.config)

    @property
    def planned(self) -> int | None:
        """How many trials there are to be trained, where the configuration says it."""
        return planned_trials(self.config.run)

    @property
    def planned_epochs(self) -> int | None:
        """With how many epochs of all trials the search ends; None where it ends otherwise, or is of blocks."""
        run = self.config.run
        return None if run.blocks else run.max_epochs_total

    @property
    def epochs(self) -> int:
        """Of all trials so far, and of weights that they shared."""
        return epochs_so_far(self.config.run, self.trials)

    @property
    def metric(self) -> str:
        """The target's name, as a model reports it on any data."""
        return self.target.name.removeprefix("val_")

    @cached_property
    def counts(self) -> TrialCounts:
        """How many trials ended how."""
        status = [trial.status for trial in self.trials]
        return TrialCounts(
            completed=status.count(Trial.status),
            failed=status.count(FailedTrial.status),
            skipped=status.count(SkippedTrial.status),
        )

    @cached_property
    def roles(self) -> dict[int, tuple[str, ...]]:
        """What trials are, by number: "best", "front", "knee"."""
        found: dict[int, list[str]] = {}
        if self.best is not None:
            found.setdefault(self.best.number, []).append("best")
        for trial in self.front:
            found.setdefault(trial.number, []).append("front")
        if self.knee is not None:
            found.setdefault(self.knee.number, []).append("knee")
        return {number: tuple(roles) for number, roles in found.items()}

    def spent(self, trial: AnyTrial, name: str) -> float | None:
        """What a completed trial has of a cost, by its name in `config.costs`; None where nothing tells it."""
        if not isinstance(trial, Trial):
            return None
        if name == self.config.goal.type:
            return trial.price.cost
        if name in trial.price.spent:
            return trial.price.spent[name]
        costs = self.record.costs
        return None if costs is None or trial.number not in costs.trials else costs.trials[trial.number].of_kind(name)

    def ratio(self, trial: AnyTrial) -> float | None:
        """How many times less energy than the reference a trial uses."""
        if not isinstance(trial, Trial) or not self.reference_energy or not trial.price.energy:
            return None
        return self.reference_energy / trial.price.energy


def overview(record: RunRecord) -> Overview:
    """What a record comes to."""
    result, target, writer = result_of(record), target_of(record), holder(record.folder)
    completed = tuple(trial for trial in of_last_block(record.trials) if not math.isnan(trial.score))
    points = [Point(target.worth(trial.metric), trial.price.cost) for trial in completed]
    middle = knee(points)
    cost = _reference_cost(record, completed)
    return Overview(
        record=record,
        state=state_of(result, writer),
        writer=writer,
        result=result,
        target=target,
        best=best_of(record, result, completed, target),
        comparable=completed,
        front=tuple(completed[index] for index in front(points)),
        knee=None if middle is None else completed[middle],
        reference_cost=cost,
        reference_energy=_reference_energy(record, cost),
    )


def planned_trials(run: RunConfig) -> int | None:
    """How many trials a run is to train; None where blocks, epochs or the mode decide that."""
    if run.blocks or run.search_mode.continues or run.max_epochs_total is not None:
        return None
    return run.max_trials


def epochs_so_far(run: RunConfig, trials: Sequence[AnyTrial]) -> int:
    """That a run has spent on its search, as `run.max_epochs_total` counts them."""
    return run.epochs_shared + sum(map(EpochCounter.of(run).spent, trials))


def unit_of(config: Config) -> str:
    """Of a goal's costs."""
    return COST_KINDS[config.goal.type].unit


def _reference_cost(record: RunRecord, completed: Sequence[Trial]) -> float | None:
    known = record.result or record.costs
    if known is not None:
        return known.reference.cost
    if record.config.run.blocks:  # a score looks ahead to the blocks to come
        return None
    params = record.config.goal.params
    forgiving = ForgivingFactor(params.delta_p, params.delta_n, params.rate, params.stress)
    surest = max(completed, key=lambda trial: abs(trial.price.delta), default=None)
    found = None if surest is None else forgiving.reference(surest.price.delta, surest.price.cost)
    return None if found is None else float(f"{found:.5g}")


def _reference_energy(record: RunRecord, cost: float | None) -> float | None:
    known = record.result or record.costs
    if known is not None:
        return known.reference.energy
    if record.energies is not None:
        return record.energies.reference.total
    return cost if unit_of(record.config) == "pJ" else None
