"""A finished run in figures: result.json and energy.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qsearch import __version__
from qsearch.datasets import Dataset
from qsearch.runner.experiment import Experiment
from qsearch.search.trials import AnyTrial, Trained, Trial


@dataclass(frozen=True)
class Figures:
    """A trained model's loss and metrics on the selection set and on the test set, and its parameters."""

    selection: Mapping[str, float]
    test: Mapping[str, float]
    parameters: int


@dataclass(frozen=True)
class Outcome:
    """All that a run came to.

    Attributes:
        reference, best_figures: of the trained reference and of the best model as saved.
        final: what final training came to; None without it.
        best: the winning trial; None when none was completed before an interruption.
    """

    experiment: Experiment
    data: Dataset
    reference: Figures
    best_figures: Figures | None
    final: Trained | None
    best: Trial | None
    trials: tuple[AnyTrial, ...]
    ended: str
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
            "model": config.model.name or config.model.path,
            "dataset": self.data.name,
            "goal": config.goal.type,
            "unit": costs.unit,
            "seed": config.run.seed,
            "mode": config.run.mode,
            "target_metric": config.reference.metrics[0],
            "validation": config.dataset.validation,
            "train_samples": len(self.data.train.x),
            "selection_samples": len(self.data.selection.x),
            "test_samples": len(self.data.test.x),
            "reference": reference,
            "best": self._best(),
            "trials": {status: counts[status] for status in ("completed", "failed", "skipped")},
            "combinations": self.experiment.space.size,
            "ended": self.ended,
            "interrupted": self.interrupted,
            "seconds": round(self.seconds, 1),
            "notes": [*self._blocks_note(), *self.experiment.space.notes],
        }

    def energies(self) -> dict[str, Any]:
        """The content of energy.json: reference and best per layer, pJ."""
        costs = self.experiment.costs
        best = None if self.best is None else costs.energy(self.best.candidate.plan).to_dict()
        return {"unit": "pJ", "reference": costs.reference_energy.to_dict(), "best": best}

    def _best(self) -> dict[str, Any] | None:
        if self.best is None or self.best_figures is None:
            return None
        candidate, costs = self.best.candidate, self.experiment.costs
        final = None
        if self.final is not None:
            final = {
                "epochs": self.final.epochs,
                "best_epoch": self.final.best_epoch,
                "metrics": dict(self.final.metrics),
            }
        return {
            "trial": candidate.id,
            "score": self.best.score,
            "delta": candidate.delta,
            "trial_metrics": dict(self.best.metrics),
            "final_training": final,
            "selection": dict(self.best_figures.selection),
            "test": dict(self.best_figures.test),
            "cost": round(candidate.cost, 2),
            "energy": round(candidate.energy, 2),
            "energy_ratio": costs.reference_energy.total / candidate.energy if candidate.energy else None,
            "cost_ratio": self.experiment.reference.total / candidate.cost if candidate.cost else None,
            "parameters": self.best_figures.parameters,
            "plan": candidate.plan.to_dict(),
        }

    def _blocks_note(self) -> list[str]:
        if not self.experiment.loaded.config.run.blocks:
            return []
        return [
            "run.blocks: searching block by block is not in this version yet, so the whole network was searched "
            "at once; qsearch blocks --debug shows the blocks"
        ]
