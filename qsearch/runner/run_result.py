"""What a run gives to the code that called it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from qsearch.plan import QuantizationPlan
from qsearch.runner.exports import ExportOutcome
from qsearch.runner.reload import reloaded
from qsearch.runs.directory import RunDirectory
from qsearch.runs.result import Result
from qsearch.search.trials import AnyTrial, Trial


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a run came to; the run directory holds all of it.

    Attributes:
        best: the winning trial, as the search saw it, before final training.
        trials: every trial in order, completed, failed and skipped.
        result: what it came to, in figures.
        exports: what came of the targets of `export:`.
        custom_objects: classes and functions of the user's own, which loading the model in another process needs.
        reference: the trained reference, from whose layers the models of the run are made.
    """

    run_directory: Path
    best: Trial | None
    trials: tuple[AnyTrial, ...]
    result: Result
    exports: tuple[ExportOutcome, ...]
    custom_objects: Mapping[str, Any]
    reference: keras.Model

    @property
    def summary(self) -> dict[str, Any]:
        """The content of result.json."""
        return self.result.to_dict()

    def load_best(self) -> keras.Model:
        """The best model with its trained weights.

        Raises:
            ModelError: its file is not there any more, or is damaged.
        """
        plan = QuantizationPlan() if self.best is None else self.best.plan
        return reloaded(RunDirectory(self.run_directory).model_path, self.reference, plan)
