"""A model of all options mixed: without doubt it is a plan's own model; it learns, takes plans, and goes on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy
import pytest
from mixed_net import config

from qsearch.config import load_config
from qsearch.errors import ConfigError
from qsearch.quantize.apply import apply_plan
from qsearch.quantize.nested import NestedWeights, taken
from qsearch.runner.experiment import read_experiment
from qsearch.runner.prepared import Prepared, prepared, recipe_of_shared
from qsearch.search.time_limits import Deadlines
from qsearch.training.batches import Feeds
from qsearch.training.checkpoints import Checkpoints, Pace
from qsearch.training.fit import Recipe
from qsearch.training.mixed_training import MixedTraining
from qsearch.training.statistics import calibration_batches


@dataclass
class Made:
    """One mixed model for all tests: making it takes seconds."""

    ready: Prepared
    recipe: Recipe
    weights: list[Any]
    nested: NestedWeights

    def part(self, values: Any, arrays: Any) -> list[Any]:
        parts = self.nested.parts(self.ready.schedule.space.plan(values))
        return [taken(array, part) for array, part in zip(arrays, parts, strict=True)]

    def fresh(self, budget: float | None = None, points: int = 6) -> MixedTraining:
        assert self.ready.mixture is not None
        self.ready.mixture.mixed.model.set_weights(self.weights)
        return MixedTraining(self.ready.mixture, self.recipe, 5, points, self.part, budget)

    def train(self, training: MixedTraining, progress: Any = None, ended: Any = None) -> list[dict[str, float]]:
        told: list[dict[str, float]] = []

        def epoch_ended(epoch: int, epochs: int, metrics: Any) -> None:
            told.append(dict(metrics))
            if ended is not None:
                ended(epoch)

        training.train(self.ready.data, 5, epoch_ended, Feeds(), Deadlines(), progress)
        return told


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    experiment = read_experiment(load_config(config(tmp_path_factory.mktemp("mixed"), "mixed_net_training")))
    ready = prepared(experiment)
    assert ready.mixture is not None
    model = ready.mixture.mixed.model
    rng = numpy.random.default_rng(1)
    model.set_weights([rng.uniform(0.2, 1.0, one.shape) * rng.choice([-1, 1], one.shape) for one in model.weights])
    for layer in model.layers:
        if hasattr(layer, "moving_variance"):
            layer.moving_variance.assign(abs(layer.moving_variance.numpy()))
    return Made(ready, recipe_of_shared(ready), model.get_weights(), NestedWeights(model))


def test_where_there_is_no_doubt_it_computes_what_a_plans_own_model_does(made: Made) -> None:
    """Of any width: binary activations make 1 of channels that are closed, and nothing reads it."""
    assert made.ready.mixture is not None
    mixed, space = made.ready.mixture.mixed, made.ready.schedule.space
    mixed.model.set_weights(made.weights)
    mixed.temperature.assign(1.0)
    x = calibration_batches(made.ready.data.train, 32, 0)[0][0]
    rng = numpy.random.default_rng(2)
    narrow = 0
    for _ in range(8):
        values = {one.name: one.options[int(rng.integers(len(one.options)))] for one in space.dimensions}
        mixed.choose(values)
        own = apply_plan(made.ready.experiment.model, space.plan(values))
        own.set_weights(made.part(values, made.weights))
        narrow += own.count_params() < mixed.model.count_params()
        numpy.testing.assert_allclose(mixed.model(x), own(x), rtol=1e-4, atol=1e-5)
    assert narrow > 4


def test_the_expected_energy_falls_and_plans_are_taken_below_their_targets(made: Made) -> None:
    training = made.fresh()
    told = made.train(training)
    assert training.path.costs[0] > 2 * training.path.costs[-1]
    assert told[-1]["expected_energy"] < told[0]["expected_energy"] < training.path.costs[0] / 100
    costs = made.ready.experiment.costs
    energies = [costs.price(made.ready.schedule.space.plan(one.values)).energy for one in training.taken]
    assert 3 <= len(energies) <= 6
    targets = [training.path.at(time) / 100 for time in training._times]
    assert min(energies) <= targets[-1] + 0.01
    assert max(energies) <= targets[0] + 0.01
    for one in training.taken:
        own = apply_plan(made.ready.experiment.model, made.ready.schedule.space.plan(one.values))
        own.set_weights(one.weights)
    assert not all(
        numpy.array_equal(before, after)
        for before, after in zip(made.weights, training.model.get_weights(), strict=True)
    )


def test_a_budget_is_kept_to(made: Made) -> None:
    costs, space = made.ready.experiment.costs, made.ready.schedule.space
    whole = made.fresh()
    budget = (whole.path.costs[0] * whole.path.costs[-1]) ** 0.5
    training = made.fresh(budget)
    assert training.path.at(0.5) == pytest.approx(budget)
    made.train(training)
    energies = [costs.price(space.plan(one.values)).energy for one in training.taken]
    assert energies
    assert max(energies) <= budget / 100 + 0.01
    assert min(energies) > 0.4 * budget / 100  # it is not gone on to the cheapest


@pytest.mark.slow
def test_a_training_that_was_cut_off_goes_on_to_the_same_bits(made: Made, tmp_path: Path) -> None:
    whole = made.fresh()
    made.train(whole)
    checkpoints = Checkpoints(tmp_path, pace=Pace(least=0.0, share=1e9))

    def killed(epoch: int) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made.train(made.fresh(), checkpoints.training("shared", {}), killed)
    later = made.fresh()
    assert len(made.train(later, checkpoints.training("shared", {}))) == made.recipe.epochs - 2
    assert [one.values for one in later.taken] == [one.values for one in whole.taken]
    pairs = [(later.model.get_weights(), whole.model.get_weights())]
    pairs += [(list(one.weights), list(other.weights)) for one, other in zip(later.taken, whole.taken, strict=True)]
    for ours, others in pairs:
        for one, other in zip(ours, others, strict=True):
            assert numpy.array_equal(one, other)


@pytest.mark.parametrize(
    ("factory", "override", "told"),
    [
        (
            "with_softmax",
            "run.seed=0",
            "'learned', in whose model all options are mixed, and channels that are closed",
        ),
        ("with_own_step", "run.seed=0", "and Stepping has a train_step of its own; .*mode: one_shot or pareto"),
        ("dense", "goal={type: bits}", r"goal\.type: found 'bits' with mode learned.*allowed: energy"),
    ],
)
def test_what_cannot_be_mixed_is_told_with_a_way_out(factory: str, override: str, told: str, tmp_path: Path) -> None:
    path = config(tmp_path, f"mixed_net_{factory}", factory)
    with pytest.raises(ConfigError, match=told):
        prepared(read_experiment(load_config(path, [override])))


def test_workers_make_no_mixed_model(made: Made, tmp_path: Path) -> None:
    experiment = read_experiment(load_config(config(tmp_path, "mixed_net_workers")))
    assert prepared(experiment, leads=False).mixture is None
    assert keras.Model.train_step is not made.fresh().model.train_step
