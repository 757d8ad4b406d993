"""A run as a study of Optuna: RUN/optuna.log, which `optuna-dashboard` opens."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from qsearch.observers.each_once import NAME, EachOnce, plain, plain_values
from qsearch.observers.observer import RunStart
from qsearch.search.trials import AnyTrial, FailedTrial, Trial

JOURNAL = "optuna.log"
_NUMBER = "trial"
_STATES = {"completed": TrialState.COMPLETE, "failed": TrialState.FAIL, "skipped": TrialState.PRUNED}


class OptunaObserver(EachOnce):
    """Adds each trial to a study when it ends: one line of a journal, whole or not at all.

    The study's value is the score; of a run that wants a front, the metric and the energy (pJ). A skipped trial is
    pruned. User attributes have the rest: the number in the run, energy, metrics, seconds, why.
    """

    def __init__(self, study: str = NAME) -> None:
        """
        Args:
            study: its name.
        """
        super().__init__()
        self.study_name = study
        self._study: optuna.Study | None = None
        self._distributions: Mapping[str, CategoricalDistribution] = {}
        self._front = False

    def begin(self, start: RunStart) -> set[int]:
        self._front = start.config.wants_front
        self._distributions = {
            one.name: CategoricalDistribution([plain(option) for option in one.options]) for one in start.dimensions
        }
        names = ["score"]
        directions = [StudyDirection.MAXIMIZE]
        if self._front:
            more = StudyDirection.MAXIMIZE if start.target.maximize else StudyDirection.MINIMIZE
            names, directions = [start.target.name, "energy (pJ)"], [more, StudyDirection.MINIMIZE]
        with _quiet():
            self._study = self._opened(start, names, directions)
        return {trial.user_attrs[_NUMBER] for trial in self._study.get_trials(deepcopy=False)}

    def _opened(self, start: RunStart, names: list[str], directions: list[StudyDirection]) -> optuna.Study:
        storage = JournalStorage(JournalFileBackend(str(start.folder / JOURNAL)))
        study = optuna.create_study(
            storage=storage, study_name=self.study_name, directions=directions, load_if_exists=True
        )
        study.set_metric_names(names)
        study.set_user_attr("reference energy (pJ)", start.reference_energy)
        return study

    def keep(self, trial: AnyTrial) -> None:
        if self._study is not None:
            self._study.add_trial(self._frozen(trial))

    def _frozen(self, trial: AnyTrial) -> FrozenTrial:
        ended = datetime.now()
        values = {
            name: value
            for name, value in plain_values(trial.values).items()
            if name in self._distributions and value in self._distributions[name].choices
        }
        distributions: dict[str, BaseDistribution] = {name: self._distributions[name] for name in values}
        return FrozenTrial(
            number=-1,  # the storage numbers them
            trial_id=-1,
            state=_STATES[trial.status],
            value=None,
            values=self._values(trial) if isinstance(trial, Trial) else None,
            datetime_start=ended - timedelta(seconds=trial.seconds),
            datetime_complete=ended,
            params=values,
            distributions=distributions,
            user_attrs=_attributes(trial),
            system_attrs={},
            intermediate_values=_curve(trial),
        )

    def _values(self, trial: Trial) -> list[float]:
        return [trial.metric, trial.price.energy] if self._front else [trial.score]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without its lines about studies that it makes and opens, and about names of metrics, which are new in it."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        logger.setLevel(level)


def _curve(trial: AnyTrial) -> dict[int, float]:
    curve = trial.trained.curve if isinstance(trial, Trial) else ()
    return {epoch: value for epoch, value in enumerate(curve, 1) if math.isfinite(value)}


def _attributes(trial: AnyTrial) -> dict[str, Any]:
    facts: dict[str, Any] = {_NUMBER: trial.number, "seconds": round(trial.seconds, 3)}
    if trial.block is not None:
        facts["block"] = trial.block
    if isinstance(trial, Trial):
        metrics = {name: value for name, value in trial.metrics.items() if math.isfinite(value)}
        return facts | {"energy": trial.price.energy, "cost": trial.price.cost, "score": trial.score} | metrics
    facts["reason"] = trial.reason
    if not isinstance(trial, FailedTrial) and trial.energy is not None:
        facts["energy"] = trial.energy
    return facts
