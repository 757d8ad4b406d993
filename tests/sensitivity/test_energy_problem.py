"""The energy of a space as a network of terms: the prices of plans, and optima held against looking at all plans."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace

import numpy
import pytest

from qsearch.config import load_config
from qsearch.goal.pricer import also_counting
from qsearch.runner.experiment import Experiment, read_experiment
from qsearch.runner.suggestion import SUMS, Ladder, cheapest_of
from qsearch.search.space import Choice, Dimension, SearchSpace
from qsearch.sensitivity.frontier import frontier
from qsearch.sensitivity.milp import Program
from qsearch.sensitivity.problem import HUNDREDTHS, cost_problem
from qsearch.sensitivity.table import plan_dimensions

NETS = """
import keras, numpy
from keras import layers

def chain():
    x = inputs = keras.Input((8, 8, 1))
    x = layers.Activation("relu", name="act_0")(layers.Conv2D(4, 3, name="conv_0")(x))
    x = layers.Activation("relu", name="act_1")(layers.Conv2D(6, 3, name="conv_1")(x))
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Flatten()(x)))

def residual():
    x = inputs = keras.Input((8, 8, 2))
    first = layers.Activation("relu")(layers.Conv2D(4, 3, padding="same", name="first")(x))
    x = layers.Conv2D(4, 3, padding="same", name="second")(first)
    x = layers.Activation("relu")(layers.Add()([x, first]))
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x)))

def two_inputs():
    left, right = keras.Input((8, 8, 1), name="left"), keras.Input((8, 8, 1), name="right")
    same = layers.Conv2D(3, 3, padding="same", name="same")
    x = layers.Concatenate()([layers.Activation("relu")(same(left)), same(right)])
    x = layers.Activation("relu")(layers.Conv2D(4, 3, name="conv")(x))
    return keras.Model([left, right], layers.Dense(3, activation="softmax")(layers.Flatten()(x)))

def folded():
    x = inputs = keras.Input((8, 8, 1))
    x = layers.Activation("relu")(layers.BatchNormalization()(layers.Conv2D(4, 3, name="conv")(x)))
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Flatten()(x)))
"""
CONFIG = """
dataset: {factory: "sensitivity_nets:data"}
model: {factory: "sensitivity_nets:NAME"}
reference: {loss: sparse_categorical_crossentropy, metrics: [acc]}
limit: {Dense: [8, 8, 4], Conv2D: [4, 8, 4], Activation: [4], BatchNormalization: []}
goal: {type: energy}
run: {tune_filters: layer, fold_batch_norm: FOLD, output_dir: OUT}
"""
NAMES = ("chain", "residual", "two_inputs", "folded")


@pytest.fixture(scope="module", params=NAMES)
def experiment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """A network and a space of a few thousand plans."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "sensitivity_nets.py").write_text(NETS, encoding="utf-8")
    fold = "true" if request.param == "folded" else "false"
    text = CONFIG.replace("NAME", request.param).replace("OUT", str(folder / "out")).replace("FOLD", fold)
    (folder / "run.yaml").write_text(text, encoding="utf-8")
    sys.modules.pop("sensitivity_nets", None)
    found = read_experiment(load_config(folder / "run.yaml"))
    return replace(found, space=_small(found.space))


def _small(space: SearchSpace) -> SearchSpace:
    """Two options of each choice, far apart; the last choices have one, so that all plans can be looked at."""
    kept = []
    for place, one in enumerate(space.dimensions):
        few = (one.options[0], one.options[-1]) if place < 9 else one.options[:1]
        kept.append(Dimension(one.name, (0.5, 1.0) if one.name in space.widths and place < 9 else few))
    return replace(space, dimensions=tuple(kept))


def _losses(space: SearchSpace, seed: int) -> dict[str, dict[Choice, float]]:
    rng = numpy.random.default_rng(seed)
    parts = plan_dimensions(space)
    return {
        one.name: {o: float(rng.exponential()) for o in one.options} for one in space.dimensions if one.name in parts
    }


def _all(experiment: Experiment, losses: dict[str, dict[Choice, float]]) -> list[tuple[float, float]]:
    """(energy in pJ, loss) of every plan."""
    space = experiment.space
    names = [one.name for one in space.dimensions]
    found = []
    for options in itertools.product(*(one.options for one in space.dimensions)):
        values = dict(zip(names, options, strict=True))
        loss = sum(losses[name][option] for name, option in values.items())
        found.append((experiment.costs.price(space.plan(values)).energy, loss))
    return found


def test_optima_are_those_of_all_plans(experiment: Experiment) -> None:
    space = experiment.space
    losses = _losses(space, 1)
    plans = _all(experiment, losses)
    assert len(plans) >= 32
    problem, _, _ = cost_problem(space, experiment.costs.pricer, losses)
    found, program = frontier(problem), Program(problem)
    ladder = Ladder(space, experiment.costs, losses)
    least, most = min(energy for energy, _ in plans), max(energy for energy, _ in plans)
    assert ladder.ends[0] == pytest.approx(least)
    assert cheapest_of(space, experiment.costs) == pytest.approx(least)
    for budget in numpy.linspace(least, most, 6):
        wanted = min(loss for energy, loss in plans if energy <= budget + 1e-6)
        proposed = ladder.within(float(budget) + 1e-6)
        assert proposed is not None
        assert proposed.exact
        assert proposed.energy <= budget + 1e-5
        assert proposed.predicted == pytest.approx(wanted)
        assert proposed.plan == space.plan(proposed.values)
        chosen = program.within(float(numpy.floor(budget * HUNDREDTHS + 1e-3)))
        assert chosen is not None
        assert problem.loss(chosen) == pytest.approx(wanted)
    assert found.exact
    assert ladder.within(least - 0.02) is None


@pytest.mark.parametrize("cost", [name for name in SUMS if name != "energy"])
def test_other_sums_have_their_optima(experiment: Experiment, cost: str) -> None:
    space, config = experiment.space, experiment.loaded.config
    costs = also_counting(experiment.costs, config.goal, [cost])
    losses = _losses(space, 3)
    names = [one.name for one in space.dimensions if one.name in losses]
    plans = []
    for options in itertools.product(*(one.options for one in space.dimensions)):
        values = dict(zip((one.name for one in space.dimensions), options, strict=True))
        plans.append((costs.price(space.plan(values)).of(cost), sum(losses[name][values[name]] for name in names)))
    ladder = Ladder(space, costs, losses, cost)
    least, most = min(spent for spent, _ in plans), max(spent for spent, _ in plans)
    assert ladder.ends[0] == least
    for budget in numpy.linspace(least, most, 5):
        proposed = ladder.within(float(budget))
        assert proposed is not None
        assert proposed.spent <= budget
        assert proposed.spent == costs.price(proposed.plan).of(cost)
        assert proposed.predicted == pytest.approx(min(loss for spent, loss in plans if spent <= budget))
    assert ladder.within(least - 1) is None
    rungs = ladder.rungs(4, most)
    assert [one.spent for one in rungs] == sorted(one.spent for one in rungs)
    assert all(one.spent <= one.budget.most for one in rungs)


def test_a_maximum_has_none(experiment: Experiment) -> None:
    costs = also_counting(experiment.costs, experiment.loaded.config.goal, ["ram"])
    with pytest.raises(ValueError, match="ram is no sum"):
        Ladder(experiment.space, costs, _losses(experiment.space, 3), "ram")


def test_the_sum_of_terms_is_the_price(experiment: Experiment) -> None:
    space = experiment.space
    problem, names, _ = cost_problem(space, experiment.costs.pricer, _losses(space, 2))
    options = {one.name: one.options for one in space.dimensions}
    rng = numpy.random.default_rng(5)
    for _ in range(20):
        chosen = tuple(int(rng.integers(len(options[name]))) for name in names)
        plan = space.plan({name: options[name][place] for name, place in zip(names, chosen, strict=True)})
        assert problem.cost(chosen) / HUNDREDTHS == pytest.approx(experiment.costs.price(plan).energy, abs=1e-6)
