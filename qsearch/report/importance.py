"""Which choices of a search mattered: what a random forest that predicts trials loses without each of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qsearch.errors import QsearchError
from qsearch.quantizers.formats import number_format
from qsearch.quantizers.spec import QuantizerSpec
from qsearch.search.trials import Trial

FEWEST = 10
"""Trials below which nothing is said."""
_SEED, _TREES, _REPEATS = 0, 64, 5


@dataclass(frozen=True)
class Choice:
    """One dimension of the search space.

    Attributes:
        score, metric: the part of the variance of the trials' scores, and metrics, that a forest explains less when
            this choice is shuffled among the trials; 0 or more.
    """

    name: str
    score: float
    metric: float


@dataclass(frozen=True)
class Importance:
    """What mattered.

    Attributes:
        choices: the most important for the score first; empty where too few trials tell nothing.
        explained: the part of the variance of (score, metric) that the forest explains of trials that it has not
            seen (out of bag); None where nothing was computed.
        method: how it was computed, or why it was not.
    """

    choices: tuple[Choice, ...]
    explained: tuple[float, float] | None
    method: str


def importance_of(trials: Sequence[Trial]) -> Importance:
    """Of completed trials of one search."""
    usable = [trial for trial in trials if math.isfinite(trial.score) and math.isfinite(trial.metric)]
    if len(usable) < FEWEST:
        return Importance((), None, f"{len(usable)} completed trials tell too little; at least {FEWEST} are needed.")
    names = [
        name
        for name in dict.fromkeys(name for trial in usable for name in trial.values)
        if len({trial.values.get(name) for trial in usable}) > 1
    ]
    if not names:
        return Importance((), None, "All trials made the same choices.")
    import numpy

    columns = [_codes([trial.values.get(name) for trial in usable]) for name in names]
    features = numpy.array(columns, "float64").T
    scores, scored = _permuted(features, numpy.array([trial.score for trial in usable]))
    metrics, measured = _permuted(features, numpy.array([trial.metric for trial in usable]))
    found = [Choice(name, float(a), float(b)) for name, a, b in zip(names, scores, metrics, strict=True)]
    method = (
        f"Permutation importance (Breiman 2001) of a random forest of {_TREES} trees on {len(usable)} trials, seed "
        f"{_SEED}: how much less of the variance it explains when one choice is shuffled among the trials, mean of "
        f"{_REPEATS}. A search looks where it expects good trials, so that this is about the trials that it made."
    )
    return Importance(tuple(sorted(found, key=lambda one: -one.score)), (scored, measured), method)


def _codes(values: Sequence[Any]) -> list[int]:
    """Choices as ranks: of quantizers by their bits."""
    order = {value: rank for rank, value in enumerate(sorted(set(values), key=_size))}
    return [order[value] for value in values]


def _size(value: Any) -> tuple[float, str]:
    if isinstance(value, QuantizerSpec):
        try:
            return float(number_format(value).bits), str(value)
        except (QsearchError, KeyError):
            return math.inf, str(value)
    return (-1.0, "") if value is None else (float(value), "")


def _permuted(features: Any, wanted: Any) -> tuple[Any, float]:
    """(loss in explained variance for each feature, what is explained out of bag)."""
    import numpy
    from sklearn.ensemble import RandomForestRegressor

    variance = float(numpy.var(wanted))
    if not variance > 0:
        return numpy.zeros(features.shape[1]), 0.0
    forest = RandomForestRegressor(
        _TREES, min_samples_leaf=2, max_features=0.5, bootstrap=True, oob_score=True, random_state=_SEED
    )
    forest.fit(features, wanted)
    random = numpy.random.default_rng(_SEED)
    before = float(numpy.mean((forest.predict(features) - wanted) ** 2))
    shuffled = []
    for column in range(features.shape[1]):
        for _ in range(_REPEATS):
            changed = features.copy()
            changed[:, column] = random.permutation(changed[:, column])
            shuffled.append(changed)
    # in one call: each one goes through every tree
    predicted = forest.predict(numpy.concatenate(shuffled)).reshape(features.shape[1], _REPEATS, -1)
    after = ((predicted - wanted) ** 2).mean(axis=2).mean(axis=1)
    return numpy.maximum(after - before, 0.0) / variance, max(float(forest.oob_score_), 0.0)
