"""KerasTuner's oracles, with their traps closed."""

from __future__ import annotations

import warnings
from typing import Any

import keras_tuner
import numpy

_SAMPLES = 600
"""Values that the Bayesian oracle compares for one proposal."""


class DiscreteBayesianOracle(keras_tuner.oracles.BayesianOptimizationOracle):  # type: ignore[misc]
    """KerasTuner's Gaussian process, asked about values that exist and were not tried yet.

    The original minimises over a continuous box, from 50 starting points, and rounds: seconds for one proposal, and
    the same values again and again in small spaces.
    """

    def _make_gpr(self) -> Any:
        regressor = super()._make_gpr()
        regressor.n_restarts_optimizer = 2
        return regressor

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        completed = [trial for trial in self.trials.values() if trial.status == "COMPLETED"]
        if len(completed) < self.num_initial_points:
            return dict(self._random_populate_space())
        vectors, goals = self._vectorize_trials()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a length scale at the end of its range is no fault
            self.gpr.fit(vectors, goals)
        best = min(range(len(goals)), key=lambda place: goals[place])
        candidates = self._candidates(completed[best].hyperparameters.values)
        if not candidates:
            return dict(self._random_populate_space())
        parameters = self._nonfixed_space()
        points = numpy.array([[p.value_to_prob(values[p.name]) for p in parameters] for values in candidates])
        means, deviations = self.gpr.predict(points, return_std=True)
        chosen = candidates[int(numpy.argmin(means - self.beta * deviations))]
        return {"status": "RUNNING", "values": chosen}

    def _candidates(self, best: dict[str, Any]) -> list[dict[str, Any]]:
        """Values not tried yet: half of them anywhere, half of them near the best."""
        parameters = self._nonfixed_space()
        distinct: dict[tuple[Any, ...], dict[str, Any]] = {}
        for number in range(_SAMPLES):
            keep = 0.0 if number % 2 else self._random_state.uniform(0.5, 1.0)
            values = {
                p.name: best[p.name]
                if self._random_state.uniform() < keep
                else p.prob_to_value(self._random_state.uniform())
                for p in parameters
            }
            if not self._duplicate(values):
                distinct.setdefault(tuple(values.values()), values)
        return list(distinct.values())


class SteadyHyperbandOracle(keras_tuner.oracles.HyperbandOracle):  # type: ignore[misc]
    """KerasTuner's Hyperband, whose brackets are filled in small spaces too.

    The original ends the whole search, before anything is promoted, as soon as it draws no new values. Here values
    are repeated then, which costs our loop nothing.
    """

    def _random_values(self) -> Any:
        values = super()._random_values()
        if values is None:
            drawn = keras_tuner.HyperParameters()
            for parameter in self.hyperparameters.space:
                drawn.merge([parameter])
                drawn.values[parameter.name] = parameter.random_sample(self._seed_state)
                self._seed_state += 1
            values = drawn.values
        return values or {"only": 0}  # a space of one plan; no values at all would mean that none were found

    def trial_count(self) -> int:
        """Trials of all brackets and rounds."""
        each = sum(
            self._get_size(bracket, number)
            for bracket in range(self._get_num_brackets())
            for number in range(self._get_num_rounds(bracket))
        )
        return int(each * self.hyperband_iterations)

    def needed(self) -> list[int]:
        """For each trial in order, how many of the first ones have to be told before it is proposed."""
        needs: list[int] = []
        for _ in range(self.hyperband_iterations):
            for bracket in reversed(range(self._get_num_brackets())):
                for number in range(self._get_num_rounds(bracket)):
                    needs += [len(needs) if number else 0] * self._get_size(bracket, number)
        return needs

    def epoch_count(self) -> int:
        """Epochs that all of them train; a promoted trial goes on from where it stopped."""
        each = 0
        for bracket in range(self._get_num_brackets()):
            done = 0
            for number in range(self._get_num_rounds(bracket)):
                until = self._get_epochs(bracket, number)
                each += self._get_size(bracket, number) * (until - done)
                done = until
        return int(each * self.hyperband_iterations)
