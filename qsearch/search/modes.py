"""The proposers of the search modes: KerasTuner's algorithms, and a guide of our own.

Only the oracles are used, from one thread; trials, failures and the journal are ours. Seeds are spread first, as
neighbouring seeds of KerasTuner share most of their trials and 0 would mean "any".
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import TrialStatus

from qsearch.config.extent import Extent
from qsearch.config.schema import RunConfig
from qsearch.quantizers.spec import QuantizerSpec
from qsearch.search.candidates import Candidate, Candidates, Unpriced
from qsearch.search.guide import Guide
from qsearch.search.keras_tuner_oracles import DiscreteBayesianOracle, SteadyHyperbandOracle
from qsearch.search.listed import Listed
from qsearch.search.one_shot import OneShot, SharedRanking
from qsearch.search.proposals import Feedback, Proposal, Proposer
from qsearch.search.space import Choice, SearchSpace, Values


@dataclass(frozen=True, kw_only=True)
class SearchSetting:
    """What an algorithm needs.

    Attributes:
        trials: that will be trained, as far as that is known.
        seed: spread already.
        folder: where KerasTuner keeps files of its own; nothing of ours depends on them.
        guide: for the modes guided and pareto, and for those with a ranking where it is used up, or not believed.
        ladder: for the mode sensitivity.
        ranking: for the modes one_shot and learned; None in others.
    """

    candidates: Candidates
    run: RunConfig
    trials: int
    seed: int
    folder: Path
    guide: Callable[[], Guide]
    ladder: Callable[[], Sequence[Values]] = tuple
    ranking: SharedRanking | None = None

    @property
    def space(self) -> SearchSpace:
        return self.candidates.space


def proposer(setting: SearchSetting) -> Proposer:
    """The proposer of the mode that a configuration names."""
    return PROPOSERS[setting.run.mode](setting)


class OracleProposer:
    """Asks an oracle of KerasTuner, and tells it."""

    def __init__(
        self, oracle: Any, setting: SearchSetting, total: int | None = None, same_with_workers: bool = True
    ) -> None:
        oracle.verbose = 0  # its tables would go to the terminal
        oracle._set_project_dir(str(setting.folder), "oracle")
        self._oracle = oracle
        self._candidates = setting.candidates
        self._open: dict[int, tuple[Any, Proposal]] = {}
        """KerasTuner's trial and what it proposes, by our number."""
        self._worst = 0.0
        self.total = total
        self.same_with_workers = same_with_workers

    def ask(self, number: int) -> Proposal | None:
        if number not in self._open:
            with _its_own_warnings_aside():
                trial = self._oracle.create_trial(f"trial_{number}")
            if trial.status != TrialStatus.RUNNING:  # stopped, or idle until an open one is told
                return None
            self._open[number] = trial, self._proposal(trial.hyperparameters.values)
        return self._open[number][1]

    def recall(self, number: int, earlier: Proposal) -> Proposal | None:
        return self.ask(number)  # its draws go on from there

    def _proposal(self, proposed: Mapping[str, Any]) -> Proposal:
        return Proposal(self._candidate(proposed))

    def _candidate(self, proposed: Mapping[str, Any]) -> Candidate | Unpriced:
        """KerasTuner knows a quantizer by its text."""
        dimensions = self._candidates.space.dimensions
        options = {d.name: {_known_as(option): option for option in d.options} for d in dimensions}
        return self._candidates.of(
            {d.name: options[d.name][proposed[d.name]] if d.name in proposed else d.options[0] for d in dimensions}
        )

    def tell(self, number: int, feedback: Feedback) -> None:
        """KerasTuner needs a finite score of every trial, and one that makes a failure no better than a success."""
        trial, _ = self._open.pop(number)
        score = feedback.score if feedback.score is not None else self._untrained(feedback)
        self._worst = min(self._worst, score)
        with _its_own_warnings_aside():
            self._oracle.update_trial(trial.trial_id, {"score": score}, step=0)
            trial.status = TrialStatus.COMPLETED
            self._oracle.end_trial(trial)

    def _untrained(self, feedback: Feedback) -> float:
        return self._worst if feedback.bound is None else feedback.bound

    def continues(self) -> frozenset[int]:
        return frozenset()


class HyperbandProposer(OracleProposer):
    """Hyperband: proposals that are promoted go on from where their trial stopped.

    Nothing is promoted before its whole round is told: KerasTuner promotes what cannot be beaten any more, in the order
    in which trials end.
    """

    def __init__(self, oracle: Any, setting: SearchSetting) -> None:
        super().__init__(oracle, setting, oracle.trial_count())
        self._ours: dict[str, int] = {}
        """Our number of each of KerasTuner's trials; of a repeated one, that of the trial it repeats."""
        self._numbers: list[int] = []
        """Of all that was asked for."""
        self._needs = oracle.needed()

    def ask(self, number: int) -> Proposal | None:
        if number not in self._open:
            place = len(self._numbers)
            needed = self._needs[place] if place < len(self._needs) else 0
            if any(earlier in self._open for earlier in self._numbers[:needed]):
                return None
        proposal = super().ask(number)
        if proposal is not None and number not in self._numbers:
            self._numbers.append(number)
        return proposal

    def _proposal(self, proposed: Mapping[str, Any]) -> Proposal:
        first = int(proposed["tuner/initial_epoch"])
        parent = self._ours[proposed["tuner/trial_id"]] if first else None
        return Proposal(self._candidate(proposed), int(proposed["tuner/epochs"]), first, parent)

    def tell(self, number: int, feedback: Feedback) -> None:
        trial, _ = self._open[number]
        self._ours[trial.trial_id] = feedback.trial
        super().tell(number, feedback)

    def _untrained(self, feedback: Feedback) -> float:
        return self._worst  # so that a trial that can win is promoted in its place

    def continues(self) -> frozenset[int]:
        return frozenset(self._ours.values())


@contextmanager
def _its_own_warnings_aside() -> Iterator[None]:
    """KerasTuner 1.4.8 calls threading.currentThread().getName(), both deprecated; users can do nothing about it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"(currentThread|getName)\(\) is deprecated", DeprecationWarning)
        yield


def _known_as(option: Choice) -> str | int | float:
    return str(option) if isinstance(option, QuantizerSpec) else option


def _options(setting: SearchSetting) -> dict[str, Any]:
    """What all oracles take. `max_trials` is left to our loop: a repeated or skipped plan is no trial."""
    hyperparameters = keras_tuner.HyperParameters()
    for dimension in setting.space.dimensions:
        if len(dimension.options) > 1:
            hyperparameters.Choice(dimension.name, [_known_as(option) for option in dimension.options], ordered=False)
    return {
        "objective": keras_tuner.Objective("score", "max"),
        "seed": setting.seed,
        "hyperparameters": hyperparameters,
        "allow_new_entries": False,
        "tune_new_entries": False,
    }


def _random(setting: SearchSetting) -> Proposer:
    return OracleProposer(keras_tuner.oracles.RandomSearchOracle(max_trials=None, **_options(setting)), setting)


def _bayesian(setting: SearchSetting) -> Proposer:
    run = setting.run
    dimensions = sum(len(dimension.options) > 1 for dimension in setting.space.dimensions)
    # KerasTuner's own default, 3 points a dimension, would leave many searches purely random.
    initial = run.num_initial_points or max(3, min(3 * dimensions, math.ceil(setting.trials / 3)))
    oracle = DiscreteBayesianOracle(
        max_trials=None,
        num_initial_points=initial,
        alpha=1e-4 if run.alpha is None else run.alpha,
        beta=2.6 if run.beta is None else run.beta,
        **_options(setting),
    )
    return OracleProposer(oracle, setting, same_with_workers=False)  # takes open ones for worse than it expects


def _hyperband(setting: SearchSetting) -> Proposer:
    return HyperbandProposer(_hyperband_oracle(setting.run, **_options(setting)), setting)


def _hyperband_oracle(run: RunConfig, **options: Any) -> SteadyHyperbandOracle:
    return SteadyHyperbandOracle(
        max_epochs=run.max_epochs or run.epochs,
        factor=run.factor or 3,
        hyperband_iterations=run.hyperband_iterations or 1,
        **options,
    )


def workload(run: RunConfig, extent: Extent) -> tuple[int, int]:
    """How many trials a search trains, and epochs of them in all; Hyperband has numbers of its own.

    Trials may end early: then it trains fewer epochs, or, where epochs are its end, more trials.
    """
    if run.search_mode.continues:
        oracle = _hyperband_oracle(run, objective=keras_tuner.Objective("score", "max"))
        return oracle.trial_count(), oracle.epoch_count() * run.executions_per_trial
    if extent.of_trials is not None:
        return extent.trials, extent.of_trials
    return extent.trials, extent.trials * extent.each if run.search_mode.trains else 0


def _guided(setting: SearchSetting) -> Proposer:
    return setting.guide()


def _sensitivity(setting: SearchSetting) -> Proposer:
    return Listed(candidates=setting.candidates, make=setting.ladder)


def _one_shot(setting: SearchSetting) -> Proposer:
    if setting.ranking is None:
        raise ValueError(f"mode {setting.run.mode} needs the ranking of a stage before it")
    return OneShot(setting.ranking, setting.guide())


PROPOSERS: Mapping[str, Callable[[SearchSetting], Proposer]] = {
    "random": _random,
    "bayesian": _bayesian,
    "hyperband": _hyperband,
    "guided": _guided,
    "pareto": _guided,
    "sensitivity": _sensitivity,
    "one_shot": _one_shot,
    "learned": _one_shot,
}
