"""A run directory read back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from qsearch.config import Config, load_config
from qsearch.errors import OutputError, QsearchError, told
from qsearch.plan import QuantizationPlan
from qsearch.runs.costs import RunCosts
from qsearch.runs.directory import (
    BEST,
    CONFIG,
    COSTS,
    ENERGY,
    ENVIRONMENT,
    JOURNAL,
    MODEL,
    PLAN,
    RESULT,
    SENSITIVITY,
    WEIGHTS,
    run_folder,
)
from qsearch.runs.figures import Energies
from qsearch.runs.journal import trials_so_far
from qsearch.runs.result import Result
from qsearch.runs.weights import BestWeights
from qsearch.search.trials import AnyTrial, Trial
from qsearch.sensitivity.table import SensitivityTable


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """Everything that a run left, typed; no model is loaded, and nothing of TensorFlow is imported.

        record = qsearch.RunRecord.read("runs/digits")
        record.result.best.energy, [trial.score for trial in record.completed]

    Energies are in pJ, costs in the goal's `result.unit`.

    Attributes:
        folder: the run directory.
        config: as it was resolved, defaults included.
        environment: versions, machine and seed.
        trials: completed, failed and skipped, in order. Writing each one's `to_dict` gives the journal again.
        best_plan: of the best model so far; None as long as no trial was completed.
        result, energies: result.json and energy.json; None of a run that is still going on, or was killed.
        costs: costs.json, also while the run is going on; None of runs by earlier versions.
        weights: best/weights.json; None before the end, and of runs by earlier versions.
        sensitivity: sensitivity.json, what each choice costs alone; None but for the mode that measures it.
    """

    folder: Path
    config: Config
    environment: Mapping[str, Any]
    trials: tuple[AnyTrial, ...]
    best_plan: QuantizationPlan | None
    result: Result | None
    energies: Energies | None
    costs: RunCosts | None = None
    weights: BestWeights | None = None
    sensitivity: SensitivityTable | None = None

    @property
    def completed(self) -> tuple[Trial, ...]:
        """The trials that were trained to their end."""
        return tuple(trial for trial in self.trials if isinstance(trial, Trial))

    @property
    def model_path(self) -> Path:
        """Where the best model is."""
        return self.folder / BEST / MODEL

    @classmethod
    def read(cls, folder: str | Path) -> RunRecord:
        """The record of a run that has ended, is going on, or was killed.

        Raises:
            OutputError: the folder is not there, is no run directory, or a file in it is damaged.
            ConfigError: its config.yaml is not one of this version.
        """
        path = run_folder(str(folder))
        result, energies = _json(path / RESULT), _json(path / ENERGY)
        costs, weights = _json(path / COSTS), _json(path / BEST / WEIGHTS)
        sensitivity = _json(path / SENSITIVITY)
        plan = _parsed(path / BEST / PLAN, yaml.safe_load)
        return cls(
            folder=path,
            config=load_config(path / CONFIG).config,
            environment=_json(path / ENVIRONMENT) or {},
            trials=trials_so_far(path / JOURNAL),
            best_plan=None if plan is None else _made(path / BEST / PLAN, QuantizationPlan.from_dict, plan),
            result=None if result is None else _made(path / RESULT, Result.from_dict, result),
            energies=None if energies is None else _made(path / ENERGY, Energies.model_validate, energies),
            costs=None if costs is None else _made(path / COSTS, RunCosts.model_validate, costs),
            weights=None if weights is None else _made(path / BEST / WEIGHTS, BestWeights.model_validate, weights),
            sensitivity=None
            if sensitivity is None
            else _made(path / SENSITIVITY, SensitivityTable.from_dict, sensitivity),
        )


def _json(path: Path) -> Any:
    return _parsed(path, json.loads)


def _parsed(path: Path, parse: Any) -> Any:
    """The content of a file; None where there is none."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise OutputError(f"{path}: cannot be read: {told(error)}") from None


def _made(path: Path, make: Any, data: Any) -> Any:
    try:
        return make(data)
    except (QsearchError, ValueError, TypeError, AttributeError, KeyError) as error:
        reason = str(error) if isinstance(error, QsearchError) else told(error)
        raise OutputError(f"{path}: is not what qsearch writes there: {reason}") from None
