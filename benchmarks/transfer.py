"""What trained weights are worth to a trial: accuracy at equal epochs, from scratch and from the float reference.

    python benchmarks/transfer.py [--config configs/digits.yaml] [--epochs 8] [--plans 4] [--seeds 3]

Uniform plans from cheap to dear, with the widths that they ask for; channels follow as with `transfer_weights: true`.
With --distil W the labels of a third series, which starts from the reference too, are W parts the reference's answer,
softened by a temperature of 3 (Hinton et al. 2015, arXiv:1503.02531), and 1 - W parts the truth.
"""

from __future__ import annotations

import argparse
import os
import statistics
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy

from qsearch.config import load_config
from qsearch.config.schedules import ScheduleConfig
from qsearch.datasets import Dataset, Split
from qsearch.quantize.apply import apply_plan
from qsearch.quantize.transfer import transfer_weights
from qsearch.report.units import energy
from qsearch.runner.data import data_of
from qsearch.runner.experiment import read_experiment
from qsearch.runner.inputs import objective_of, recipe_of
from qsearch.search.uniform import spread_out, uniform_values
from qsearch.training.fit import train
from qsearch.training.schedules import RateSchedule

TEMPERATURE = 3.0


def softened(data: Dataset, teacher: keras.Model, share: float) -> Dataset:
    """The training labels mixed with the teacher's softened answers."""
    answers = numpy.asarray(teacher.predict(data.train.x, batch_size=1024, verbose=0), dtype="float64")
    answers = numpy.maximum(answers, 1e-12) ** (1 / TEMPERATURE)
    answers /= answers.sum(axis=1, keepdims=True)
    mixed = (1 - share) * numpy.asarray(data.train.y) + share * answers
    return replace(data, train=Split(data.train.x, mixed.astype("float32")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="configs/digits.yaml")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--plans", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--distil", type=float)
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    arguments = parser.parse_args()
    loaded = load_config(arguments.config, arguments.overrides)
    experiment = read_experiment(loaded)
    objective = objective_of(loaded, experiment.model)
    data = data_of(experiment, objective)
    recipe = recipe_of(experiment, objective, data)
    reference, _ = train(experiment.model, data, recipe, 0, lambda *_: None)
    print(f"reference: {reference.metrics[recipe.target.name]:.4f}")
    space, price = experiment.space, experiment.costs.price
    uniform = uniform_values(space)
    chosen = spread_out(uniform, lambda values: price(space.plan(values)).cost, space, arguments.plans)
    run = loaded.config.run
    cosine = RateSchedule(ScheduleConfig(name="cosine"), epochs=arguments.epochs)
    recipe = replace(recipe, epochs=arguments.epochs, batch_size=run.batch_size, patience=None, schedule=cosine)
    kinds = ["scratch", "transferred", *(["distilled"] if arguments.distil else [])]
    for index in chosen:
        plan = space.plan(uniform[index])
        curves: dict[str, list[tuple[float, ...]]] = {kind: [] for kind in kinds}
        for seed in range(arguments.seeds):
            for kind in kinds:
                keras.utils.set_random_seed(seed + 1)
                model = apply_plan(experiment.model, plan)
                if kind != "scratch":
                    transfer_weights(experiment.model, model)
                own = softened(data, experiment.model, arguments.distil) if kind == "distilled" else data
                trained, _ = train(model, own, recipe, seed + 1, lambda *_: None)
                curves[kind].append(trained.curve)
        shown = []
        for kind, found in curves.items():
            first = statistics.fmean(curve[0] for curve in found)
            last = statistics.fmean(max(curve) for curve in found)
            shown.append(f"{kind} {first:.4f} after one epoch, {last:.4f} at best of {arguments.epochs}")
        print(f"{energy(price(plan).energy)}: {'; '.join(shown)}", flush=True)


if __name__ == "__main__":
    main()
