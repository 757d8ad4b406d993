"""A finished run in figures: result.json and energy.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from qsearch import __version__
from qsearch.datasets import Dataset
from qsearch.goal.target import Target
from qsearch.plan import QuantizationPlan
from qsearch.runner.experiment import Experiment
from qsearch.runner.staged_search import StageResult
from qsearch.search.front import Point, front, hypervolume, knee
from qsearch.search.trials import AnyTrial, Trained, Trial
from qsearch.search.unsearched import unsearched_share

_WORST = 5
"""Layers that a search without any saving names."""


@dataclass(frozen=True)
class Figures:
    """A trained model's loss and metrics on the selection set and on the test set, and its parameters."""

    selection: Mapping[str, float]
    test: Mapping[str, float]
    parameters: int


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """All that a run came to.

    Attributes:
        reference, best_figures: of the trained reference and of the best model as saved.
        final: what final training came to; None without it.
        best: the winning trial; None when none was completed before an interruption.
        kept: further trials whose models were saved: as what, and their figures.
    """

    experiment: Experiment
    data: Dataset
    target: Target
    reference: Figures
    best_figures: Figures | None
    final: Trained | None
    best: Trial | None
    trials: tuple[AnyTrial, ...]
    stages: tuple[StageResult, ...]
    kept: Mapping[int, tuple[tuple[str, ...], Figures]]
    ended: str
    notes: Sequence[str]
    interrupted: bool
    seconds: float

    def summary(self) -> dict[str, Any]:
        """The content of result.json."""
        config, costs = self.experiment.loaded.config, self.experiment.costs
        counts = Counter(trial.status for trial in self.trials)
        reference = {
            "selection": dict(self.reference.selection),
            "test": dict(self.reference.test),
            "cost": round(self.experiment.reference.total, 2),
            "energy": round(costs.reference_energy.total, 2),
            "parameters": self.reference.parameters,
        }
        return {
            "qsearch": __version__,
            "model": config.model.origin,
            "dataset": self.data.name,
            "goal": config.goal.type,
            "unit": costs.unit,
            "seed": config.run.seed,
            "mode": config.run.mode,
            "target_metric": self.metric,
            "direction": "max" if self.target.maximize else "min",
            "validation": config.dataset.validation,
            "train_samples": self.data.train.samples,
            "selection_samples": self.data.selection.samples,
            "test_samples": self.data.test.samples,
            "reference": reference,
            "reference_cost": config.goal.params.reference_cost if self.experiment.space.base.layers else "unquantized",
            "priced_share": round(costs.reference_energy.priced_share, 4),
            "unsearched_share": round(unsearched_share(self.experiment.space, self.experiment.shares), 4),
            "unsearched": self._unsearched(),
            "best": self._best(),
            "dearer": self._dearer(),
            "demands": self._constraints(),
            "front": self._front(),
            "models": self._models(),
            "trials": {status: counts[status] for status in ("completed", "failed", "skipped")},
            "combinations": self.experiment.space.size,
            "ended": self.ended,
            "interrupted": self.interrupted,
            "seconds": round(self.seconds, 1),
            "blocks_to_come": config.run.blocks_to_come if config.run.blocks else None,
            "blocks": [self._block(stage) for stage in self.stages if stage.stage.number is not None],
            "notes": [*self.experiment.unsearched, *self.notes, *self.experiment.space.notes],
        }

    def _unsearched(self) -> list[dict[str, Any]]:
        """What the search left out, the costliest first."""
        shares = self.experiment.shares
        found = [
            {"layer": one.layer, "class": one.class_name, "reason": one.reason, "share": shares.get(one.layer, 0.0)}
            for one in self.experiment.space.unsearched
        ]
        return sorted(found, key=lambda one: -float(one["share"]))

    def _dearer(self) -> list[dict[str, Any]] | None:
        """Where no trial is cheaper than the reference: the layers that cost the best one more, the worst first."""
        reference = self.experiment.reference
        if self.best is None or any(trial.price.cost < reference.total for trial in self.completed):
            return None
        found = self.experiment.costs.cost(self.best.plan)
        before = {name: layer.total for name, layer in reference.layers.items()}
        more = {name: layer.total - before.get(name, 0.0) for name, layer in found.layers.items()}
        worst = sorted((name for name in more if more[name] > 0), key=lambda name: -more[name])[:_WORST]
        return [{"layer": name, "reference": before.get(name, 0.0), "best": found.layers[name].total} for name in worst]

    @property
    def metric(self) -> str:
        """The target's name, as a model reports it on any data."""
        return self.target.name.removeprefix("val_")

    @cached_property
    def completed(self) -> list[Trial]:
        """Of the last block alone, where blocks were searched: those before left layers unquantized."""
        last = max((trial.block or 0 for trial in self.trials), default=0)
        return [trial for trial in self.trials if isinstance(trial, Trial) and (trial.block or 0) == last]

    def _constraints(self) -> dict[str, Any] | None:
        """What the user demanded, and whether the best trial keeps to it."""
        run = self.experiment.loaded.config.run
        if run.budget.energy is None and run.budget.cost is None and run.max_drop is None:
            return None
        least = None
        if run.max_drop is not None:
            least = self.target.allowed(self.reference.selection[self.metric], run.max_drop)
        met = None if self.best is None else self.best.accepted
        return {"energy": run.budget.energy, "cost": run.budget.cost, self.metric: least, "met": met}

    def _front(self) -> dict[str, Any]:
        """Trials that no other beats in both the metric and the cost, by rising cost."""
        points = [Point(self.target.worth(trial.metric), trial.price.cost) for trial in self.completed]
        corner = Point(min((point.worth for point in points), default=0.0), self.experiment.reference.total)
        middle = knee(points)
        return {
            "trials": [
                {
                    "trial": self.completed[index].number,
                    self.metric: self.completed[index].metric,
                    "cost": round(points[index].cost, 2),
                    "energy": round(self.completed[index].price.energy, 2),
                    "score": self.completed[index].score,
                }
                for index in front(points)
            ],
            "knee": None if middle is None else self.completed[middle].number,
            "hypervolume": hypervolume(points, corner),
            "corner": {self.metric: self.target.worth(corner.worth), "cost": round(corner.cost, 2)},
        }

    def _models(self) -> list[dict[str, Any]]:
        found = []
        by_number = {trial.number: trial for trial in self.completed}
        for number, (roles, figures) in self.kept.items():
            trial = by_number[number]
            found.append(
                {
                    "trial": number,
                    "as": list(roles),
                    "folder": f"models/trial_{number}",
                    "score": trial.score,
                    "selection": dict(figures.selection),
                    "test": dict(figures.test),
                    "cost": round(trial.price.cost, 2),
                    "energy": round(trial.price.energy, 2),
                    "parameters": figures.parameters,
                }
            )
        return found

    def energies(self) -> dict[str, Any]:
        """The content of energy.json: reference and best per layer, pJ."""
        costs = self.experiment.costs
        best = None if self.best is None else costs.energy(self.best.plan).to_dict()
        return {"unit": "pJ", "reference": costs.reference_energy.to_dict(), "best": best}

    def _best(self) -> dict[str, Any] | None:
        if self.best is None or self.best_figures is None:
            return None
        price, costs = self.best.price, self.experiment.costs
        final = None
        if self.final is not None:
            final = {
                "epochs": self.final.epochs,
                "best_epoch": self.final.best_epoch,
                "metrics": dict(self.final.metrics),
            }
        return {
            "trial": self.best.number,
            "score": self.best.score,
            "delta": price.delta,
            "trial_metrics": dict(self.best.metrics),
            "final_training": final,
            "selection": dict(self.best_figures.selection),
            "test": dict(self.best_figures.test),
            "cost": round(price.cost, 2),
            "energy": round(price.energy, 2),
            "energy_ratio": costs.reference_energy.total / price.energy if price.energy else None,
            "cost_ratio": self.experiment.reference.total / price.cost if price.cost else None,
            "parameters": self.best_figures.parameters,
            "plan": self.best.plan.to_dict(),
        }

    def _block(self, result: StageResult) -> dict[str, Any]:
        """A block before and after its search, and what was chosen for it."""
        block = result.stage.block
        assert block is not None
        trials = self.trials[slice(*result.trials)]
        counts = Counter(trial.status for trial in trials)
        after = result.best or result.before
        plan = QuantizationPlan() if after is None else after.plan
        return {
            "block": result.stage.number,
            "pattern": block.pattern,
            "share": round(block.share, 4),
            "combinations": result.space.size,
            "trials": {status: counts[status] for status in ("completed", "failed", "skipped")},
            "before": self._standing(result.before, result.delta_before),
            "after": self._standing(after, result.delta_before),
            "trial": None if result.best is None else result.best.number,
            "chosen": {name: plan.layers[name].to_dict() for name in plan if name in block.layers},
            "ended": result.ended,
            "seconds": round(result.seconds, 1),
        }

    def _standing(self, trial: Trial | None, delta: float) -> dict[str, float]:
        """Metric on the selection set, energy, cost and score of a trial; None: of the reference, with its delta."""
        costs, reference = self.experiment.costs, self.experiment.reference.total
        if trial is not None:
            price = trial.price
            metric, energy, cost, score = trial.metric, price.energy, price.cost, trial.score
        else:
            metric, cost, energy = self.reference.selection[self.metric], reference, costs.reference_energy.total
            score = self.target.score(metric, delta)
        return {self.metric: metric, "energy": round(energy, 2), "cost": round(cost, 2), "score": score}
