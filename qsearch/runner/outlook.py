"""What a run would do, before it does it: everything that is known of a configuration, its model and its data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from qsearch.config import LoadedConfig
from qsearch.datasets import Dataset
from qsearch.energy.counts import macs_of
from qsearch.plan import QuantizationPlan
from qsearch.report.limits import unit_of_key
from qsearch.runner.experiment import Experiment, read_experiment
from qsearch.runner.feasible import Extremes, check_budget, extremes, least_of
from qsearch.runner.notes import unused_keys
from qsearch.runner.placed import placed
from qsearch.runner.prepared import Prepared, prepared
from qsearch.runner.rehearsal import rehearse
from qsearch.runner.timing import Timing, measure
from qsearch.search.modes import workload
from qsearch.search.space import SearchSpace
from qsearch.search.unsearched import unsearched_share


@dataclass(frozen=True, kw_only=True)
class DataOutlook:
    """The samples of a run.

    Attributes:
        validation: samples held out to select on; None where the search selects on the test set.
    """

    name: str
    train: int
    validation: int | None
    test: int


@dataclass(frozen=True, kw_only=True)
class ReferenceOutlook:
    """The unquantized model.

    Attributes:
        cost: in the goal's unit; energy: in pJ.
        parameters: numbers that it stores; macs: multiply-accumulates of one inference.
        priced_share: the part of them that has a price, 0 to 1.
    """

    name: str
    cost: float
    energy: float
    parameters: int
    macs: int
    priced_share: float


@dataclass(frozen=True, kw_only=True)
class PlanOutlook:
    """A plan of the space, and what it costs.

    Attributes:
        saving: the reference's cost over its own.
    """

    cost: float
    energy: float
    saving: float
    plan: QuantizationPlan


@dataclass(frozen=True, kw_only=True)
class LimitOutlook:
    """A limit of the budget.

    Attributes:
        cost: the budget's key.
        least: of any plan, as far as looked at (`Outlook.exact`); None where no widths fit together.
    """

    cost: str
    unit: str
    most: float
    reference: float
    least: float | None


@dataclass(frozen=True, kw_only=True)
class StageOutlook:
    """A search: of the whole network, or of one block.

    Attributes:
        block: its pattern; None for the whole network.
        combinations: different sets of choices; trials: how many are trained at most.
        epochs: of all these trials together.
    """

    block: str | None
    layers: tuple[str, ...]
    combinations: int
    trials: int
    epochs: int


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What a run would do.

    Attributes:
        unit: of costs: pJ, bits, ...
        max_epochs_total: with which the search ends; None where a number of trials decides.
        budget: its limits.
        candidates: by searched layer, the number of its different plans.
        combinations: of the whole network at once.
        cheapest, dearest: None where no widths fit together; `exact` whether every plan was looked at for them.
        unsearched: what is left out and why, a line each; `unsearched_share` its part of the reference's cost.
        remarks: what is probably not meant, a line each.
        timing: None where it was not asked for.
    """

    mode: str
    unit: str
    max_epochs_total: int | None
    data: DataOutlook
    reference: ReferenceOutlook
    budget: tuple[LimitOutlook, ...]
    candidates: Mapping[str, int]
    combinations: int
    stages: tuple[StageOutlook, ...]
    cheapest: PlanOutlook | None
    dearest: PlanOutlook | None
    exact: bool
    unsearched: tuple[str, ...]
    unsearched_share: float
    remarks: tuple[str, ...]
    timing: Timing | None

    @property
    def trials(self) -> int:
        """Of all stages, at most."""
        return sum(stage.trials for stage in self.stages)

    def to_dict(self) -> dict[str, Any]:
        return {
            "mode": self.mode,
            "unit": self.unit,
            "max_epochs_total": self.max_epochs_total,
            "data": asdict(self.data),
            "reference": asdict(self.reference),
            "budget": [asdict(limit) for limit in self.budget],
            "space": {
                "layers": dict(self.candidates),
                "combinations": self.combinations,
                "cheapest": _plan_dict(self.cheapest),
                "dearest": _plan_dict(self.dearest),
                "exact": self.exact,
            },
            "stages": [{**asdict(stage), "layers": list(stage.layers)} for stage in self.stages],
            "trials": self.trials,
            "unsearched": list(self.unsearched),
            "unsearched_share": self.unsearched_share,
            "remarks": list(self.remarks),
            "timing": None
            if self.timing is None
            else {**asdict(self.timing), "stages": list(self.timing.stages), "total": self.timing.total},
        }


def _plan_dict(plan: PlanOutlook | None) -> dict[str, Any] | None:
    if plan is None:
        return None
    return {"cost": plan.cost, "energy": plan.energy, "saving": plan.saving, "plan": plan.plan.to_dict()}


def outlook(loaded: LoadedConfig, timed: bool = False) -> Outlook:
    """Build the model, read the data and set every training up, as a run does, and train nothing.

    Args:
        timed: estimate how long the run takes, from epochs that are trained and measured.

    Raises:
        QsearchError: as a run would, before its first training; a budget that no plan keeps to among them.
    """
    with placed(loaded):
        experiment = read_experiment(loaded)
        ready = prepared(experiment)
        space = ready.schedule.reachable
        check_budget(experiment, space)
        remarks = rehearse(experiment, ready.data, ready.recipe, ready.schedule)
        found = extremes(experiment, space)
        timing = measure(experiment, ready.schedule) if timed else None
    return Outlook(
        mode=loaded.config.run.mode,
        unit=experiment.costs.unit,
        max_epochs_total=loaded.config.run.max_epochs_total,
        data=_data(ready.data),
        reference=_reference(experiment),
        budget=_budget(experiment, space),
        candidates={layer.name: space.candidates(layer) for layer in space.layers},
        combinations=space.size,
        stages=_stages(ready),
        cheapest=_plan(experiment, space, found, dear=False),
        dearest=_plan(experiment, space, found, dear=True),
        exact=found is not None and found.exact,
        unsearched=tuple(experiment.unsearched),
        unsearched_share=unsearched_share(experiment.space, experiment.shares),
        remarks=tuple(
            dict.fromkeys(
                (
                    *experiment.remarks,
                    *experiment.space.notes,
                    *ready.schedule.notes,
                    *remarks,
                    *unused_keys(loaded.config.run),
                )
            )
        ),
        timing=timing,
    )


def _budget(experiment: Experiment, space: SearchSpace) -> tuple[LimitOutlook, ...]:
    costs, limits = experiment.costs, experiment.loaded.config.run.budget.limits
    least = least_of(experiment, space, limits)
    return tuple(
        LimitOutlook(
            cost=key,
            unit=unit_of_key(key, costs.unit),
            most=most,
            reference=costs.reference_of(key),
            least=least.get(key),
        )
        for key, most in limits.items()
    )


def _data(data: Dataset) -> DataOutlook:
    held_out = None if data.validation is None else data.validation.samples
    return DataOutlook(name=data.name, train=data.train.samples, validation=held_out, test=data.test.samples)


def _reference(experiment: Experiment) -> ReferenceOutlook:
    energy = experiment.costs.reference_energy
    return ReferenceOutlook(
        name=experiment.loaded.config.model.origin,
        cost=experiment.reference.total,
        energy=energy.total,
        parameters=experiment.model.count_params(),
        macs=macs_of(experiment.graph),
        priced_share=energy.priced_share,
    )


def _stages(ready: Prepared) -> tuple[StageOutlook, ...]:
    run, found = ready.experiment.loaded.config.run, []
    for stage, size in zip(ready.schedule.stages, ready.schedule.sizes, strict=True):
        trials, epochs = workload(run, stage.extent)
        names = [layer.name for layer in ready.schedule.space.layers if layer.name in stage.names]
        found.append(
            StageOutlook(
                block=None if stage.block is None else stage.block.pattern,
                layers=tuple(names),
                combinations=size,
                trials=trials,
                epochs=epochs + run.epochs_shared,
            )
        )
    return tuple(found)


def _plan(experiment: Experiment, space: SearchSpace, found: Extremes | None, dear: bool) -> PlanOutlook | None:
    if found is None:
        return None
    plan = space.plan(found.dearest if dear else found.cheapest)
    price = experiment.costs.price(plan)
    saving = experiment.reference.total / max(price.cost, 1.0)  # a cost below 1 counts as 1
    return PlanOutlook(cost=price.cost, energy=price.energy, saving=saving, plan=plan)
