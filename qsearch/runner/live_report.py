"""The report of a run while it goes on, and the files for people at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import keras

from qsearch.errors import OutputError, QsearchError, told
from qsearch.goal.target import Target
from qsearch.plan import QuantizationPlan
from qsearch.report.html import page
from qsearch.report.shown_run import ShownRun
from qsearch.report.written import tables_of
from qsearch.runner.experiment import Experiment
from qsearch.runner.histograms import best_weights
from qsearch.runner.layer_costs import layer_costs
from qsearch.runs.chosen import of_last_block
from qsearch.runs.costs import PlanCosts, RunCosts
from qsearch.runs.directory import BEST, COSTS, PAGE, WEIGHTS, RunDirectory
from qsearch.runs.environment import environment
from qsearch.runs.figures import Energies, Reference
from qsearch.runs.record import RunRecord
from qsearch.runs.state import State, state_of
from qsearch.search.trials import AnyTrial, Observer, Trial

SELDOM = 3.0
"""Seconds between two reports at least."""
SHARE = 0.01
"""Of the time of a run, what its reports may take."""


@dataclass(kw_only=True)
class LiveReport:
    """Writes costs.json and report.html after trials, as often as the time that they take allows.

    A report that cannot be made ends no search: that is told, once.

    Attributes:
        reference: of the trained reference.
        dataset: its name.
    """

    directory: RunDirectory
    experiment: Experiment
    target: Target
    reference: Reference
    dataset: str
    observer: Observer
    trials: list[AnyTrial] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._costs: dict[int, PlanCosts] = {}
        self._due = time.monotonic()
        self._is_told = False

    def recorded(self, trial: AnyTrial) -> None:
        """A trial is in the journal."""
        self.trials.append(trial)
        if time.monotonic() >= self._due:
            started = time.monotonic()
            with suppress(OutputError):  # a disk that is full, a folder that is gone: the journal tells it in order
                self._guarded(self._write_so_far)
            ended = time.monotonic()
            self._due = ended + max(SELDOM, (ended - started) / SHARE)

    def write_end(self) -> None:
        """Write what is made of all other files of a run that has ended."""
        try:
            self._guarded(self._write_end)
        except OutputError as error:
            self.observer.stage(f"{error}; all other files of the run are whole")

    def write_weights(self, model: keras.Model, plan: QuantizationPlan) -> None:
        """Write how the weights of the best model spread."""

        def write() -> None:
            weights = best_weights(model, self.experiment.costs, plan)
            self.directory.write_json(f"{BEST}/{WEIGHTS}", weights.to_dict())

        with suppress(OutputError):
            self._guarded(write)

    def _guarded(self, make: Callable[[], None]) -> None:
        """Make a part of the report; where that fails, it ends no run.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            make()
        except OutputError:
            raise
        except Exception as error:
            if not self._is_told:
                self.observer.stage(f"the report cannot be made: {told(error)}; the run goes on without it")
            self._is_told = True

    def _write_so_far(self) -> None:
        costs = self._costs_so_far()
        self.directory.write_json(COSTS, costs.to_dict())
        config = self.experiment.loaded.config
        record = RunRecord(
            folder=self.directory.path,
            config=config,
            environment=self._environment,
            trials=tuple(self.trials),
            best_plan=None,
            result=None,
            energies=None,
            costs=costs,
        )
        self.directory.write_text(PAGE, page(ShownRun(record, State.RUNNING), importance=None))

    def _write_end(self) -> None:
        self.directory.write_json(COSTS, self._costs_so_far().to_dict())
        record = RunRecord.read(self.directory.path)
        shown = ShownRun(record, state_of(record.result, None))
        for name, text in tables_of(shown).items():
            self.directory.write_text(name, text)
        self.directory.write_text(PAGE, page(shown, importance=shown.importance()))

    def _costs_so_far(self) -> RunCosts:
        costs, config = self.experiment.costs, self.experiment.loaded.config
        best = max(of_last_block(self.trials), key=lambda trial: trial.rank(self.target), default=None)
        plan = None if best is None else best.plan
        return RunCosts(
            model=config.model.origin,
            dataset=self.dataset,
            unit=costs.unit,
            target_metric=self.target.name.removeprefix("val_"),
            direction="max" if self.target.maximize else "min",
            validation=config.dataset.validation,
            reference=self.reference,
            reference_costs=self._reference_costs,
            energies=Energies.model_validate(
                {
                    "unit": "pJ",
                    "reference": costs.reference_energy.to_dict(),
                    "best": None if plan is None else costs.energy(plan).to_dict(),
                    "costs": layer_costs(costs, config.goal.type, plan),
                }
            ),
            trials=self._of_trials(self.trials),
        )

    @cached_property
    def _environment(self) -> Mapping[str, Any]:
        return environment(self.experiment.loaded.config.run.seed)

    @cached_property
    def _reference_costs(self) -> PlanCosts:
        return PlanCosts.of(*self.experiment.costs.metrics(None))

    def _of_trials(self, trials: Sequence[AnyTrial]) -> dict[int, PlanCosts]:
        for trial in trials:
            if isinstance(trial, Trial) and trial.number not in self._costs:
                found = self._of_plan(trial.plan)
                if found is not None:
                    self._costs[trial.number] = found
        return dict(self._costs)

    def _of_plan(self, plan: QuantizationPlan) -> PlanCosts | None:
        try:
            return PlanCosts.of(*self.experiment.costs.metrics(plan))
        except QsearchError:
            return None
