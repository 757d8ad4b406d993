"""A run as its report shows it: finished or going on, of this version or an earlier one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from qsearch.config.costs import COST_KINDS
from qsearch.goal.target import Target
from qsearch.goal.tolerance import least_metric
from qsearch.plan import QuantizationPlan
from qsearch.report.axes import Axis, axes_of
from qsearch.report.importance import Importance, importance_of
from qsearch.report.units import energy
from qsearch.runs.figures import Energies, Reference
from qsearch.runs.lock import holder
from qsearch.runs.overview import of_last_block, unit_of
from qsearch.runs.record import RunRecord
from qsearch.runs.state import State, state_of
from qsearch.search.front import Point, front
from qsearch.search.trials import FailedTrial, SkippedTrial, Trial


@dataclass(frozen=True)
class ShownRun:
    """A record, and what follows from it."""

    record: RunRecord
    state: State

    @classmethod
    def read(cls, folder: str) -> ShownRun:
        """Of a run directory.

        Raises:
            OutputError, ConfigError: as `RunRecord.read`.
        """
        record = RunRecord.read(folder)
        return cls(record, state_of(record.result, holder(record.folder)))

    @property
    def is_live(self) -> bool:
        return self.state is State.RUNNING

    @property
    def title(self) -> str:
        """What was searched."""
        result, costs = self.record.result, self.record.costs
        known = result or costs
        config = self.record.config
        model = config.model.origin if known is None else known.model
        dataset = config.dataset.origin if known is None else known.dataset
        return f"{model} on {dataset}"

    @property
    def unit(self) -> str:
        """Of costs."""
        return unit_of(self.record.config)

    @property
    def goal_label(self) -> str:
        """What costs are, in words."""
        return COST_KINDS[self.record.config.goal.type].label

    @cached_property
    def metric(self) -> str:
        """The target metric's name, as a model reports it on any data."""
        known = self.record.result or self.record.costs
        if known is not None:
            return known.target_metric
        completed = self.record.completed
        return completed[0].target.removeprefix("val_") if completed else "metric"

    @cached_property
    def maximize(self) -> bool:
        """Whether more of the metric is better; a score has the sign of what more of is better."""
        known = self.record.result or self.record.costs
        if known is not None:
            return known.direction == "max"
        return all(trial.metric == 0 or (trial.score < 0) == (trial.metric < 0) for trial in self.record.completed)

    @cached_property
    def target(self) -> Target:
        """The metric and its direction."""
        return Target(self.metric, self.maximize)

    @cached_property
    def completed(self) -> tuple[Trial, ...]:
        """Completed trials of the last block, where blocks are searched: those before left layers unquantized."""
        return of_last_block(self.record.trials)

    @cached_property
    def earlier(self) -> tuple[Trial, ...]:
        """Completed trials of the blocks before."""
        now = {trial.number for trial in self.completed}
        return tuple(trial for trial in self.record.completed if trial.number not in now)

    @cached_property
    def ranked(self) -> tuple[Trial, ...]:
        """The completed trials, the best first."""
        return tuple(sorted(self.completed, key=lambda trial: trial.rank(self.target), reverse=True))

    @property
    def failed(self) -> tuple[FailedTrial, ...]:
        return tuple(trial for trial in self.record.trials if isinstance(trial, FailedTrial))

    @property
    def skipped(self) -> tuple[SkippedTrial, ...]:
        return tuple(trial for trial in self.record.trials if isinstance(trial, SkippedTrial))

    @cached_property
    def best(self) -> Trial | None:
        """The chosen trial, or the best so far."""
        result = self.record.result
        if result is not None and not self.is_live:
            number = None if result.best is None else result.best.trial
            return next((trial for trial in self.record.completed if trial.number == number), None)
        return self.ranked[0] if self.ranked else None

    @property
    def best_plan(self) -> QuantizationPlan | None:
        return self.record.best_plan if self.best is None else self.best.plan

    @property
    def reference(self) -> Reference | None:
        known = self.record.result or self.record.costs
        return None if known is None else known.reference

    @property
    def reference_metric(self) -> float | None:
        """Of the reference, on the selection set."""
        return None if self.reference is None else self.reference.selection.get(self.metric)

    @property
    def least_metric(self) -> float | None:
        """The metric that is demanded at least (or at most, where less is better)."""
        result, reference = self.record.result, self.reference_metric
        if result is not None:
            return None if result.demands is None else result.demands.metric
        return None if reference is None else least_metric(self.record.config.run, self.target, reference)

    def energy_text(self, trial: Trial) -> str:
        """What a trial uses."""
        return energy(trial.price.energy)

    @property
    def energies(self) -> Energies | None:
        """Per layer, of the reference and of the best plan (so far)."""
        costs = self.record.costs
        if self.is_live and costs is not None:
            return costs.energies
        return self.record.energies or (None if costs is None else costs.energies)

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        """What trials can be compared by, besides their metric."""
        trials = (*self.completed, *self.earlier)
        config = self.record.config
        return axes_of(trials, config.goal.type, self.reference, self.record.costs, config.run.budget)

    def front_by(self, axis: Axis) -> list[Trial]:
        """The trials that no other beats in both the metric and a cost, by rising cost."""
        known = [trial for trial in self.completed if trial.number in axis.costs]
        points = [Point(self.target.worth(trial.metric), axis.costs[trial.number]) for trial in known]
        return [known[index] for index in front(points)]

    @cached_property
    def front_numbers(self) -> tuple[int, ...]:
        """Of the front by the goal's cost."""
        points = [Point(self.target.worth(trial.metric), trial.price.cost) for trial in self.completed]
        return tuple(self.completed[index].number for index in front(points))

    def importance(self) -> Importance:
        """Which choices mattered; takes a second or two."""
        return importance_of(self.completed)
