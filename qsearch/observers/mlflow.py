"""A run in MLflow: a run with a nested run for each trial, and the best model, its plan and the report at the end."""

from __future__ import annotations

import json
import logging
import math
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mlflow import MlflowClient, MlflowException
from mlflow.entities import Metric, Param

from qsearch.errors import ConfigError
from qsearch.files import written_whole
from qsearch.observers.each_once import NAME, EachOnce, plain_values
from qsearch.observers.observer import RunStart
from qsearch.runs.directory import BEST, MODEL, PLAN, REPORT, RESULT
from qsearch.runs.figures import Evaluation
from qsearch.runs.record import RunRecord
from qsearch.search.trials import AnyTrial, FailedTrial, SkippedTrial, Trial

STORE, ARTIFACTS, RUN = "mlflow.db", "mlflow_artifacts", "mlflow.json"
_ADDRESS = "MLFLOW_TRACKING_URI"
_PARENT, _TRIAL = "mlflow.parentRunId", "qsearch.trial"
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_\-. /]")
_LONGEST_NAME, _LONGEST_VALUE = 250, 6000
_MOST_METRICS, _MOST_PARAMS = 1000, 100
"""Of a request; servers refuse more."""


class MLflowObserver(EachOnce):
    """Logs a trial when it ends, as a nested run: choices, metrics, the target metric after each epoch.

    Where no address is given, nor in MLFLOW_TRACKING_URI, it is the file mlflow.db in the run directory.
    """

    def __init__(self, tracking_uri: str | None = None, experiment: str = NAME) -> None:
        """
        Args:
            tracking_uri: as MLflow has them: http://host:5000, sqlite:///file.db.
            experiment: its name; it is made where there is none.

        Raises:
            ConfigError: no address is given, and a package is missing that a store in a file needs.
        """
        super().__init__()
        self._address = tracking_uri or os.environ.get(_ADDRESS)
        self._experiment_name = experiment
        self._log: _Log | None = None
        if self._address is None and any(find_spec(name) is None for name in ("sqlalchemy", "alembic")):
            raise ConfigError(
                f"mlflow: neither tracking_uri nor {_ADDRESS} says where to log to, and the store in the run "
                "directory needs packages that are not installed: pip install sqlalchemy alembic"
            )

    def begin(self, start: RunStart) -> set[int]:
        with _quiet():
            client = MlflowClient(tracking_uri=self._address or f"sqlite:///{(start.folder / STORE).resolve()}")
            self._log = _Log(client, _experiment(client, self._experiment_name, start, self._address is None))
        parent, kept = self._log.open(start)
        run, extent = start.config.run, start.config.run.extent
        if parent:
            facts = {
                "model": start.config.model.origin,
                "dataset": start.config.dataset.origin,
                "goal": start.config.goal.type,
                "mode": run.mode,
                "seed": run.seed,
                **({"max_trials": run.max_trials} if extent.epochs is None else {"max_epochs_total": extent.epochs}),
                "epochs": run.epochs,
            }
            self._log.add(self._log.parent, facts, [("reference_energy_pj", start.reference_energy, 0)])
        return kept

    def reference_evaluated(self, figures: Evaluation) -> None:
        if self._log is not None:
            metrics = [(f"reference_test_{name}", value, 0) for name, value in figures.test.items()]
            self._log.add(self._log.parent, {}, metrics)

    def keep(self, trial: AnyTrial) -> None:
        """Of skipped ones no run is made: nothing was trained."""
        if self._log is not None and not isinstance(trial, SkippedTrial):
            self._log.trial(trial)

    def run_ended(self, record: RunRecord | None) -> None:
        if self._log is None:
            return
        if record is None or record.result is None:
            self._log.end(self._log.parent, "FAILED")
            return
        result = record.result
        counts = result.trials.model_dump()
        metrics = [(f"trials_{name}", float(count), 0) for name, count in counts.items()]
        if result.best is not None:
            metrics += [(f"best_test_{name}", value, 0) for name, value in result.best.test.items()]
            metrics += [("best_energy_pj", result.best.energy, 0), ("best_score", result.best.score, 0)]
            if result.best.energy_ratio is not None:
                metrics.append(("times_less_energy", result.best.energy_ratio, 0))
        self._log.add(self._log.parent, {}, metrics)
        for name in (REPORT, RESULT, f"{BEST}/{PLAN}", f"{BEST}/{MODEL}"):
            self._log.artifact(record.folder / name)
        self._log.end(self._log.parent, "KILLED" if result.interrupted else "FINISHED")


class _Log:
    """The runs of an experiment that a run of ours makes.

    Attributes:
        parent: the identifier of the run that trials are nested in.
    """

    def __init__(self, client: MlflowClient, experiment: str) -> None:
        self._client, self._experiment = client, experiment
        self.parent = ""

    def open(self, start: RunStart) -> tuple[bool, set[int]]:
        """Begin the run, or go on with the one that an earlier process began.

        Returns:
            Whether it is a new one, and the trials that are in it, whole.
        """
        file = start.folder / RUN
        self.parent = self._known(file)
        if not self.parent:
            tags = {"qsearch.folder": str(start.folder.resolve())}
            self.parent = self._client.create_run(self._experiment, run_name=start.folder.name, tags=tags).info.run_id
            with written_whole(file, start.folder) as aside:
                aside.write_text(json.dumps({"run_id": self.parent}), encoding="utf-8")
            return True, set()
        self._client.update_run(self.parent, status="RUNNING")
        kept = set()
        for run in self._nested():
            if run.info.status == "RUNNING":  # whoever wrote it was killed
                self._client.delete_run(run.info.run_id)
            else:
                kept.add(int(run.data.tags[_TRIAL]))
        return False, kept

    def _known(self, file: Path) -> str:
        """The run of an earlier process; "" where there is none, or it is not in this store."""
        try:
            run_id = str(json.loads(file.read_text(encoding="utf-8"))["run_id"])
            return run_id if self._client.get_run(run_id).info.lifecycle_stage == "active" else ""
        except (OSError, ValueError, LookupError, TypeError, MlflowException):
            return ""

    def _nested(self) -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_runs([self._experiment], f"tags.`{_PARENT}` = '{self.parent}'", page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def trial(self, trial: Trial | FailedTrial) -> None:
        """A nested run, begun and ended."""
        now = time.time()
        tags = {_PARENT: self.parent, _TRIAL: str(trial.number)}
        if isinstance(trial, FailedTrial):
            tags["qsearch.reason"] = trial.reason[:_LONGEST_VALUE]
        name, started = f"trial {trial.number}", round(1000 * (now - trial.seconds))
        run = self._client.create_run(self._experiment, start_time=started, tags=tags, run_name=name).info.run_id
        metrics: list[tuple[str, float, int]] = []
        if isinstance(trial, Trial):
            first = 1 + trial.proposal.first_epoch
            metrics = [(f"epoch_{trial.target}", value, step) for step, value in enumerate(trial.trained.curve, first)]
            figures = {**trial.metrics, "energy_pj": trial.price.energy, "cost": trial.price.cost, "score": trial.score}
            metrics += [(name, value, 0) for name, value in figures.items()]
        self.add(run, plain_values(trial.values), [*metrics, ("seconds", trial.seconds, 0)])
        self.end(run, "FINISHED" if isinstance(trial, Trial) else "FAILED")

    def add(self, run: str, params: Mapping[str, Any], metrics: Sequence[tuple[str, float, int]]) -> None:
        now = round(1000 * time.time())
        named = [Metric(_name(key), value, now, step) for key, value, step in metrics if math.isfinite(value)]
        chosen = [Param(_name(key), str(value)[:_LONGEST_VALUE]) for key, value in params.items()]
        chosen = list({param.key: param for param in chosen}.values())
        for first in range(0, max(len(named), 1), _MOST_METRICS - _MOST_PARAMS):
            self._client.log_batch(run, metrics=named[first : first + _MOST_METRICS - _MOST_PARAMS])
        for first in range(0, len(chosen), _MOST_PARAMS):
            self._client.log_batch(run, params=chosen[first : first + _MOST_PARAMS])

    def artifact(self, path: Path) -> None:
        if path.exists():
            self._client.log_artifact(self.parent, str(path))

    def end(self, run: str, status: str) -> None:
        self._client.set_terminated(run, status)


def _experiment(client: MlflowClient, name: str, start: RunStart, is_local: bool) -> str:
    """The identifier of the experiment of a name; files of one in the run directory are there too."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    location = (start.folder / ARTIFACTS).resolve().as_uri() if is_local else None
    return str(client.create_experiment(name, artifact_location=location))


def _name(text: str) -> str:
    """A name as MLflow takes it."""
    return _NOT_IN_NAMES.sub("_", text)[:_LONGEST_NAME]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without its lines about tables that it makes in a new file."""
    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
