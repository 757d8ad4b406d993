"""KerasTuner's algorithms behind a small interface: `next()` proposes values, `report()` tells their score.

Only the oracle is used, from one thread; trials, failures and the journal are ours. Its
seed is spread first, as neighbouring seeds share most of their trials and 0 would mean "any".
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy

from qsearch.search.space import Choice, SearchSpace

_SLOT = "search"


class Proposer:
    """Proposes values of a space until the algorithm has no more."""

    def __init__(self, oracle: Any, dimensions: Mapping[str, tuple[Choice, ...]]) -> None:
        self._oracle = oracle
        self._dimensions = dimensions
        self._trial: Any = None

    def next(self) -> dict[str, Choice] | None:
        """Values of every dimension, or None when the algorithm has ended."""
        with _its_own_warnings_aside():
            trial = self._oracle.create_trial(_SLOT)
        if trial.status == "STOPPED":
            return None
        self._trial = trial
        proposed = trial.hyperparameters.values
        return {name: proposed.get(name, options[0]) for name, options in self._dimensions.items()}

    def report(self, score: float) -> None:
        """Tell the score of the values last proposed: a finite number, also for a trial that failed."""
        with _its_own_warnings_aside():
            self._oracle.update_trial(self._trial.trial_id, {"score": score}, step=0)
            self._trial.status = "COMPLETED"
            self._oracle.end_trial(self._trial)


@contextmanager
def _its_own_warnings_aside() -> Iterator[None]:
    """KerasTuner 1.4.8 calls threading.currentThread().getName(), both deprecated; users can do nothing about it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"(currentThread|getName)\(\) is deprecated", DeprecationWarning)
        yield


def proposer(mode: str, space: SearchSpace, seed: int, folder: Path) -> Proposer:
    """The proposer of a search mode.

    Args:
        folder: where KerasTuner keeps files of its own; nothing of ours depends on them.
    """
    return Proposer(MODES[mode](space, seed, folder), {d.name: d.options for d in space.dimensions})


def _random(space: SearchSpace, seed: int, folder: Path) -> Any:
    import keras_tuner

    hyperparameters = keras_tuner.HyperParameters()
    for dimension in space.dimensions:
        if len(dimension.options) > 1:
            hyperparameters.Choice(dimension.name, list(dimension.options), ordered=False)
    oracle = keras_tuner.oracles.RandomSearchOracle(
        objective=keras_tuner.Objective("score", "max"),
        max_trials=None,  # our loop counts: a repeated plan is not a trial
        seed=spread(seed),
        hyperparameters=hyperparameters,
        allow_new_entries=False,
        tune_new_entries=False,
    )
    oracle.verbose = 0  # its tables would go to the terminal
    oracle._set_project_dir(str(folder), "oracle")
    return oracle


MODES: Mapping[str, Callable[[SearchSpace, int, Path], Any]] = {"random": _random}


def spread(seed: int, *path: int) -> int:
    """A positive 31-bit seed derived from the user's seed and where it is used."""
    state = numpy.random.SeedSequence([seed, *path]).generate_state(1, numpy.uint32)
    return int(state[0]) % (2**31 - 1) + 1
