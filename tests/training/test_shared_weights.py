"""Weights that all plans share: a plan's part computes and learns as its own model does, and all else stays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy
import pytest
import tensorflow as tf
from tiny_run import tiny

from qsearch.config import load_config
from qsearch.quantize.apply import apply_plan
from qsearch.quantize.nested import NestedWeights, put, taken
from qsearch.quantizers import get
from qsearch.runner.experiment import read_experiment
from qsearch.runner.prepared import Prepared, prepared, recipe_of_shared
from qsearch.search.candidates import Candidate, Candidates
from qsearch.search.draws import Draws
from qsearch.search.time_limits import Deadlines
from qsearch.training.batches import Feeds
from qsearch.training.checkpoints import Checkpoints, Pace
from qsearch.training.fit import Recipe, compile_model
from qsearch.training.shared_training import SharedTraining
from qsearch.training.shared_weights import SharedWeights, SharedWeightsTraining
from qsearch.training.statistics import Calibrator, calibration_batches


@dataclass
class Made:
    """One shared model for all tests: making it takes seconds."""

    ready: Prepared
    recipe: Recipe
    training: SharedTraining
    widest: keras.Model
    draws: Draws

    def fresh(self) -> SharedWeightsTraining:
        self.training.take(self.recipe, self.ready.data.train.steps(self.recipe.batch_size))
        weights = SharedWeights(NestedWeights(self.widest), self.widest.get_weights())
        return SharedWeightsTraining(self.training, weights)

    def train(self, training: SharedWeightsTraining, recipe: Recipe, progress: Any = None, ended: Any = None) -> None:
        told = ended or (lambda *_: None)
        training.train(self.draws.of_step, self.ready.data, recipe, 5, told, Feeds(), Deadlines(), progress)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("shared")
    # Adam would make steps of what rounding leaves of gradients that are 0 before a normalization
    momentum = "reference.optimizer={name: sgd, learning_rate: 0.02, momentum: 0.9}"
    more = ["run.mode=one_shot", "run.shared_epochs=3", momentum]
    experiment = read_experiment(load_config(tiny(folder, folder / "out"), more))
    ready = prepared(experiment)
    recipe = recipe_of_shared(ready)
    space = ready.schedule.space
    keras.utils.set_random_seed(3)
    widest = apply_plan(experiment.model, space.plan(space.at_widths(max)))
    rng = numpy.random.default_rng(1)
    widest.set_weights([rng.uniform(0.2, 1.0, weight.shape) * rng.choice([-1, 1]) for weight in widest.weights])
    for layer in widest.layers:
        if hasattr(layer, "moving_variance"):
            layer.moving_variance.assign(abs(layer.moving_variance.numpy()))
    candidates = Candidates(space, experiment.costs.price)
    assert ready.shared is not None
    return Made(ready, recipe, ready.shared, widest, Draws(candidates, 7))


def own_model(made: Made, candidate: Candidate, weights: SharedWeights) -> keras.Model:
    model = apply_plan(made.ready.experiment.model, candidate.plan)
    model.set_weights(weights.of(candidate.plan))
    return model


def samples(made: Made) -> Any:
    return calibration_batches(made.ready.data.train, 64, 0)[0][0]


def test_a_plan_computes_what_its_own_model_does(made: Made) -> None:
    training, x = made.fresh(), samples(made)
    called = tf.function(training.model, autograph=False)  # where widths are not known, as in training
    narrow = 0
    for step in range(12):
        candidate = made.draws.of_step(step)
        training.load(candidate)
        own = own_model(made, candidate, training.weights)
        narrow += own.count_params() < made.widest.count_params()
        assert numpy.array_equal(called(x), own(x))
    assert narrow > 6


def _draws_nothing(candidate: Candidate) -> bool:
    """Whether no quantizer of the plan draws: models draw from seeds of their own."""
    given = [get(spec) for layer in candidate.plan.layers.values() for spec in layer.quantizers.values()]
    return all(one is None or one.seeds is None for one in given)


def test_a_step_is_that_of_the_plans_own_model_and_leaves_all_else(made: Made) -> None:
    training = made.fresh()
    x, y = (part[:32] for part in (made.ready.data.train.x, made.ready.data.train.y))
    candidate = next(filter(_draws_nothing, map(made.draws.of_step, range(100))))
    own = own_model(made, candidate, training.weights)
    compile_model(own, made.recipe, 8)
    for model in (training.model, own):
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0.0
    before = [array.copy() for array in training.weights.arrays]
    for _ in range(3):
        parts = training.begin(candidate)
        training.model.train_on_batch(x, y)
        training.end(parts)
        own.train_on_batch(x, y)
    for array, mine, part in zip(training.weights.arrays, own.weights, parts, strict=True):
        numpy.testing.assert_allclose(taken(array, part), mine.numpy(), rtol=1e-3, atol=1e-4)
    changed = 0
    for array, then, part in zip(training.weights.arrays, before, parts, strict=True):
        outside = array.copy()
        put(outside, part, taken(then, part))
        assert numpy.array_equal(outside, then)
        changed += not numpy.array_equal(array, then)
    assert changed > 10
    training.model.train_function = None  # traced without dropout


def test_narrow_parts_are_inside_wider_ones(made: Made) -> None:
    nested = NestedWeights(made.widest)
    narrow, wide = nested.parts(made.draws.cheapest.plan), nested.parts(made.draws.dearest.plan)
    for small, large, shape in zip(narrow, wide, nested.shapes, strict=True):
        everything = numpy.arange(numpy.prod(shape)).reshape(shape)
        assert numpy.isin(taken(everything, small), taken(everything, large)).all()
        if small is not None:
            assert len(numpy.unique(small)) == small.size


def test_useful_channels_first_changes_no_output(made: Made) -> None:
    nested, space = NestedWeights(made.widest), made.ready.schedule.space
    filters = {one.name: one.filters or 0 for one in space.layers if one.filters_dimension is not None}
    ordered = nested.ordered(made.widest.get_weights(), filters)
    kernel, was = ordered[0], made.widest.get_weights()[0]
    count = next(iter(filters.values()))
    useful = numpy.abs(kernel).reshape(-1, kernel.shape[-1]).sum(axis=0)
    assert (numpy.diff(useful[:count]) <= 0).all()
    assert numpy.array_equal(kernel[..., count:], was[..., count:])  # copies stay behind
    model = keras.models.clone_model(made.widest)
    model.set_weights(ordered)
    x = samples(made)
    numpy.testing.assert_allclose(model(x), made.widest(x), rtol=1e-4, atol=1e-4)
    assert not numpy.array_equal(kernel, was)


def test_batch_statistics_are_those_of_the_batches(made: Made) -> None:
    candidate = made.draws.of_step(3)
    training, batches = made.fresh(), calibration_batches(made.ready.data.train, 2048, 0)
    training.load(candidate)
    kept = [variable.numpy() for variable in training.model.variables]
    Calibrator(training.model, with_loss=False)(batches)
    own = own_model(made, candidate, training.weights)
    first = next(layer for layer in own.layers if hasattr(layer, "moving_mean"))
    seen = keras.Model(own.inputs, first.input)([numpy.concatenate([x for x, _ in batches])]).numpy()
    here = next(layer for layer in training.model.layers if layer.name == first.name)
    numpy.testing.assert_allclose(here.moving_mean.numpy(), seen.mean((0, 1, 2)), rtol=1e-2, atol=1e-3)
    numpy.testing.assert_allclose(here.moving_variance.numpy(), seen.var((0, 1, 2)), rtol=2e-2, atol=1e-3)
    for variable, value in zip(training.model.variables, kept, strict=True):
        assert "moving" in variable.path or numpy.array_equal(variable.numpy(), value)
    Calibrator(own, traced=False, with_loss=False)(batches)
    for mine, shared in zip(own.get_weights(), training.training.shared.weights(), strict=True):
        numpy.testing.assert_allclose(mine, shared, rtol=1e-3, atol=1e-4)


def test_a_training_that_was_cut_off_goes_on_to_the_same_bits(made: Made, tmp_path: Path) -> None:
    whole = made.fresh()
    made.train(whole, made.recipe)
    checkpoints = Checkpoints(tmp_path, pace=Pace(least=0.0, share=1e9))

    def killed(epoch: int, *_: Any) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    tmp_path.mkdir(exist_ok=True)
    with pytest.raises(KeyboardInterrupt):
        made.train(made.fresh(), made.recipe, checkpoints.training("shared", {}), killed)
    epochs: list[int] = []
    later = made.fresh()
    made.train(later, made.recipe, checkpoints.training("shared", {}), lambda epoch, *_: epochs.append(epoch))
    assert epochs == [3]
    for one, other in zip(whole.weights.arrays, later.weights.arrays, strict=True):
        assert numpy.array_equal(one, other)
    assert not all(
        numpy.array_equal(array, first)
        for array, first in zip(whole.weights.arrays, made.widest.get_weights(), strict=True)
    )


def test_shared_weights_learn(made: Made) -> None:
    training, recipe = made.fresh(), made.recipe
    losses: list[float] = []
    made.train(training, recipe, ended=lambda _, __, metrics: losses.append(metrics["loss"]))
    assert len(losses) == 3
    assert losses[-1] < losses[0]
    assert tf.executing_eagerly()
