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
from qsearch.runs.chosen import best_of, of_last_block, ranked_by_block, result_of, target_of
from qsearch.runs.figures import Energies, Reference
from qsearch.runs.lock import holder
from qsearch.runs.overview import unit_of
from qsearch.runs.record import RunRecord
from qsearch.runs.result import Result
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

    @cached_property
    def result(self) -> Result | None:
        """What it came to; None while it goes on, or where it ended before it could be written."""
        return None if self.is_live else result_of(self.record)

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
    def target(self) -> Target:
        """The metric that it selects by, as training names it, and its direction."""
        return target_of(self.record)

    @property
    def metric(self) -> str:
        """The target's name, as a model reports it on any data."""
        return self.target.name.removeprefix("val_")

    @property
    def maximize(self) -> bool:
        """Whether more of the metric is better."""
        return self.target.maximize

    @cached_property
    def completed(self) -> tuple[Trial, ...]:
        """Completed trials of the last block, where blocks are searched: those before left layers unquantized."""
        return of_last_block(self.record.trials)

    @cached_property
    def every_ranked(self) -> tuple[Trial, ...]:
        """All completed trials, those of the last block first, of each block the best first."""
        return ranked_by_block(self.record.trials, self.target)

    @cached_property
    def ranked(self) -> tuple[Trial, ...]:
        """The completed trials of the last block, the best first."""
        return self.every_ranked[: len(self.completed)]

    @cached_property
    def earlier(self) -> tuple[Trial, ...]:
        """Completed trials of the blocks before, ranked within each."""
        return self.every_ranked[len(self.completed) :]

    @property
    def failed(self) -> tuple[FailedTrial, ...]:
        return tuple(trial for trial in self.record.trials if isinstance(trial, FailedTrial))

    @property
    def skipped(self) -> tuple[SkippedTrial, ...]:
        return tuple(trial for trial in self.record.trials if isinstance(trial, SkippedTrial))

    @cached_property
    def best(self) -> Trial | None:
        """The chosen trial, or the best so far."""
        return best_of(self.record, self.result, self.ranked, self.target)

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
