"""A finished run in figures: result.json and energy.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from qsearch import __version__
from qsearch.datasets import Dataset
from qsearch.goal.target import Target
from qsearch.goal.tolerance import least_metric
from qsearch.plan import QuantizationPlan
from qsearch.report.limits import unit_of_key
from qsearch.runner.experiment import Experiment
from qsearch.runner.layer_costs import layer_costs
from qsearch.runner.stage_result import StageResult
from qsearch.runs import figures
from qsearch.runs.chosen import of_last_block
from qsearch.runs.figures import (
    BestModel,
    BlockResult,
    Corner,
    DearerLayer,
    Demands,
    Energies,
    Evaluation,
    FinalTraining,
    Footprint,
    Front,
    FrontPoint,
    KeptModel,
    Limit,
    Reference,
    SharedWeightsFigures,
    TrialCounts,
    UnsearchedLayer,
)
from qsearch.runs.result import Result
from qsearch.search.epochs import EpochCounter
from qsearch.search.front import Point, front, hypervolume, knee
from qsearch.search.one_shot import Standing
from qsearch.search.trials import AnyTrial, FailedTrial, SkippedTrial, Trained, Trial
from qsearch.search.unsearched import unsearched_share

_WORST = 5
"""Layers that a search without any saving names."""


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """All that a run came to.

    Attributes:
        reference, best_figures: of the trained reference and of the best model as saved.
        final: what final training came to; None without it.
        best: the winning trial; None when none was completed before an interruption.
        disk: bytes of the run directory, and of its checkpoints.
        standing: what the order of shared weights was worth, and how many plans they ranked; None in other modes.
        kept: further trials whose models were saved: as what, and their figures.
    """

    experiment: Experiment
    data: Dataset
    target: Target
    reference: Reference
    best_figures: Evaluation | None
    final: Trained | None
    best: Trial | None
    trials: tuple[AnyTrial, ...]
    stages: tuple[StageResult, ...]
    kept: Mapping[int, tuple[tuple[str, ...], Evaluation]]
    ended: str
    notes: Sequence[str]
    interrupted: bool
    seconds: float
    disk: tuple[int, int]
    standing: Standing | None = None
    plans: int = 0

    def result(self) -> Result:
        """The content of result.json."""
        config, costs, data = self.experiment.loaded.config, self.experiment.costs, self.data
        return Result(
            qsearch=__version__,
            model=config.model.origin,
            dataset=data.name,
            goal=config.goal.type,
            unit=costs.unit,
            seed=config.run.seed,
            mode=config.run.mode,
            target_metric=self.metric,
            direction="max" if self.target.maximize else "min",
            validation=config.dataset.validation,
            train_samples=data.train.samples,
            selection_samples=data.selection.samples,
            test_samples=data.test.samples,
            reference=self.reference,
            reference_cost=config.goal.params.reference_cost if self.experiment.space.base.layers else "unquantized",
            priced_share=round(costs.reference_energy.priced_share, 4),
            unsearched_share=round(unsearched_share(self.experiment.space, self.experiment.shares), 4),
            unsearched=self._unsearched(),
            best=self._best(),
            dearer=self._dearer(),
            demands=self._demands(),
            front=self._front(),
            models=tuple(self._model(number) for number in self.kept),
            trials=_counts(self.trials),
            combinations=self.experiment.space.size,
            ended=self.ended,
            interrupted=self.interrupted,
            seconds=round(self.seconds, 1),
            disk_bytes=self.disk[0],
            checkpoint_bytes=self.disk[1],
            blocks_to_come=config.run.blocks_to_come if config.run.blocks else None,
            blocks=tuple(self._block(stage) for stage in self.stages if stage.stage.number is not None),
            shared_weights=self._shared_weights(),
            notes=(*self.experiment.unsearched, *self.notes, *self.experiment.space.notes),
        )

    def energies(self) -> Energies:
        """The content of energy.json: reference and best per layer, pJ."""
        costs = self.experiment.costs
        best = None if self.best is None else costs.energy(self.best.plan).to_dict()
        plan = None if self.best is None else self.best.plan
        own = layer_costs(costs, self.experiment.loaded.config.goal.type, plan)
        reference = costs.reference_energy.to_dict()
        return Energies.model_validate({"unit": "pJ", "reference": reference, "best": best, "costs": own})

    def _shared_weights(self) -> SharedWeightsFigures | None:
        if self.standing is None:
            return None
        run, trained = self.experiment.loaded.config.run, [trial for trial in self.trials if isinstance(trial, Trial)]
        epochs = sum(map(EpochCounter.of(run).spent, trained))
        return SharedWeightsFigures(
            epochs=run.epochs_shared,
            plans=self.plans,
            compared=self.standing.compared,
            tau=self.standing.tau,
            fell_back=self.standing.fell_back,
            epochs_in_all=run.epochs_shared + epochs,
        )

    def _unsearched(self) -> tuple[UnsearchedLayer, ...]:
        """What the search left out, the costliest first."""
        shares = self.experiment.shares
        layers = [
            UnsearchedLayer(
                layer=left.layer, class_name=left.class_name, reason=left.reason, share=shares.get(left.layer, 0.0)
            )
            for left in self.experiment.space.unsearched
        ]
        return tuple(sorted(layers, key=lambda layer: -layer.share))

    def _dearer(self) -> tuple[DearerLayer, ...] | None:
        """Where no trial is cheaper than the reference: the layers that cost the best one more, the worst first."""
        reference = self.experiment.reference
        if self.best is None or any(trial.price.cost < reference.total for trial in self.completed):
            return None
        after = {name: layer.total for name, layer in self.experiment.costs.cost(self.best.plan).layers.items()}
        before = {name: layer.total for name, layer in reference.layers.items()}
        more = {name: total - before.get(name, 0.0) for name, total in after.items()}
        worst = sorted((name for name in more if more[name] > 0), key=lambda name: -more[name])[:_WORST]
        return tuple(DearerLayer(layer=name, reference=before.get(name, 0.0), best=after[name]) for name in worst)

    @property
    def metric(self) -> str:
        """The target's name, as a model reports it on any data."""
        return self.target.name.removeprefix("val_")

    @cached_property
    def completed(self) -> list[Trial]:
        """Of the last block alone, where blocks were searched: those before left layers unquantized."""
        return [*of_last_block(self.trials)]

    def _demands(self) -> Demands | None:
        """What the user demanded, and whether the best trial keeps to it."""
        run, costs = self.experiment.loaded.config.run, self.experiment.costs
        budget, best = run.budget, None if self.best is None else costs.price(self.best.plan)
        least = least_metric(run, self.target, self.reference.selection[self.metric])
        if not budget.limits and least is None:
            return None
        limits = tuple(
            Limit(
                cost=key,
                unit=unit_of_key(key, costs.unit),
                most=most,
                reference=round(costs.reference_of(key), 2),
                best=None if best is None else round(best.of(key), 2),
            )
            for key, most in budget.limits.items()
        )
        met = None if self.best is None else self.best.accepted
        return Demands(energy=budget.energy, cost=budget.cost, metric=least, met=met, limits=limits)

    def _front(self) -> Front:
        """Trials that no other beats in both the metric and the cost, by rising cost."""
        points = [Point(self.target.worth(trial.metric), trial.price.cost) for trial in self.completed]
        corner = Point(min((point.worth for point in points), default=0.0), self.experiment.reference.total)
        middle = knee(points)
        return Front(
            trials=tuple(_front_point(self.completed[index]) for index in front(points)),
            knee=None if middle is None else self.completed[middle].number,
            hypervolume=hypervolume(points, corner),
            corner=Corner(metric=self.target.worth(corner.worth), cost=round(corner.cost, 2)),
        )

    def _model(self, number: int) -> KeptModel:
        roles, evaluation = self.kept[number]
        trial = next(trial for trial in self.completed if trial.number == number)
        return KeptModel(
            **dict(evaluation),
            trial=number,
            roles=roles,
            folder=f"models/trial_{number}",
            score=trial.score,
            cost=round(trial.price.cost, 2),
            energy=round(trial.price.energy, 2),
        )

    def _best(self) -> BestModel | None:
        if self.best is None or self.best_figures is None:
            return None
        price, costs, final = self.best.price, self.experiment.costs, self.final
        return BestModel(
            **dict(self.best_figures),
            trial=self.best.number,
            score=self.best.score,
            delta=price.delta,
            trial_metrics=self.best.metrics,
            final_training=None
            if final is None
            else FinalTraining(epochs=final.epochs, best_epoch=final.best_epoch, metrics=final.metrics),
            cost=round(price.cost, 2),
            energy=round(price.energy, 2),
            energy_ratio=costs.reference_energy.total / price.energy if price.energy else None,
            cost_ratio=self.experiment.reference.total / price.cost if price.cost else None,
            footprint=Footprint(**costs.footprint(self.best.plan).to_dict()),
            plan=self.best.plan,
        )

    def _block(self, result: StageResult) -> BlockResult:
        """A block before and after its search, and what was chosen for it."""
        block, number = result.stage.block, result.stage.number
        assert block is not None
        assert number is not None
        after = result.best or result.before
        chosen = {} if after is None else {name: after.plan.layers[name] for name in after.plan if name in block.layers}
        return BlockResult(
            block=number,
            pattern=block.pattern,
            share=round(block.share, 4),
            combinations=result.space.size,
            trials=_counts(self.trials[slice(*result.trials)]),
            before=self._standing(result.before, result.delta_before),
            after=self._standing(after, result.delta_before),
            trial=None if result.best is None else result.best.number,
            chosen=QuantizationPlan(chosen),
            ended=result.ended,
            seconds=round(result.seconds, 1),
        )

    def _standing(self, trial: Trial | None, delta: float) -> figures.Standing:
        """Metric on the selection set, energy, cost and score of a trial; None: of the reference, with its delta."""
        costs, reference = self.experiment.costs, self.experiment.reference.total
        if trial is not None:
            metric, energy, cost, score = trial.metric, trial.price.energy, trial.price.cost, trial.score
        else:
            metric, cost, energy = self.reference.selection[self.metric], reference, costs.reference_energy.total
            score = self.target.score(metric, delta)
        return figures.Standing(metric=metric, energy=round(energy, 2), cost=round(cost, 2), score=score)


def _front_point(trial: Trial) -> FrontPoint:
    return FrontPoint(
        trial=trial.number,
        metric=trial.metric,
        cost=round(trial.price.cost, 2),
        energy=round(trial.price.energy, 2),
        score=trial.score,
    )


def _counts(trials: Sequence[AnyTrial]) -> TrialCounts:
    counts = Counter(trial.status for trial in trials)
    return TrialCounts(
        completed=counts[Trial.status], failed=counts[FailedTrial.status], skipped=counts[SkippedTrial.status]
    )
