"""Trials in one shared model against a model of their own, from the same weights, alternating.

    python benchmarks/shared_trials.py [--config configs/digits.yaml] [--rounds 7] [--set run.epochs=2]

Each round trains one random plan both ways, after both are warm; seconds of the wall clock, medians and ranges.
Resident memory is told before the first round and after the last.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from dataclasses import replace

import keras
import numpy

from qsearch.config import load_config
from qsearch.quantize.apply import apply_plan
from qsearch.runner.data import data_of
from qsearch.runner.experiment import read_experiment
from qsearch.runner.inputs import objective_of, recipe_of
from qsearch.training.fit import train
from qsearch.training.seeds import seed_all
from qsearch.training.shared_model import SharedModel
from qsearch.training.shared_training import SharedTraining


def _told(name: str, seconds: list[float]) -> str:
    return f"| {name} | {statistics.median(seconds):.2f} | {min(seconds):.2f} - {max(seconds):.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="configs/digits.yaml")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--set", action="append", default=[], dest="sets")
    arguments = parser.parse_args()
    experiment = read_experiment(load_config(arguments.config, arguments.sets))
    run, space = experiment.loaded.config.run, experiment.space
    objective = objective_of(experiment.loaded, experiment.model)
    data = data_of(experiment, objective)
    recipe = replace(recipe_of(experiment, objective, data), epochs=run.epochs, batch_size=run.batch_size)
    started = time.perf_counter()
    shared = SharedTraining(SharedModel(experiment.model, space), recipe, data.train.steps(run.batch_size))
    made = time.perf_counter() - started
    random = numpy.random.default_rng(run.seed)
    own: list[float] = []
    together: list[float] = []
    before = 0
    for number in range(arguments.rounds + 1):
        values = {one.name: one.options[random.integers(len(one.options))] for one in space.dimensions}
        for way, seconds in ((True, together), (False, own)):
            started = time.perf_counter()
            (seed_all if way else keras.utils.set_random_seed)(number)
            model = apply_plan(experiment.model, space.plan(values))
            if way:
                shared.train(model, values, data, recipe, number, lambda *_: None)
            else:
                train(model, data, recipe, number, lambda *_: None)
            seconds.append(time.perf_counter() - started)
        if number == 0:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ratio = statistics.median(one / other for one, other in zip(own[1:], together[1:], strict=True))
    print("| trial | median s | range |\n|---|---|---|")
    print(_told("in a model of its own", own[1:]))
    print(_told("in the shared model", together[1:]))
    print(
        f"\nmedian ratio {ratio:.2f}; the shared model was made in {made:.1f} s, the first trial took "
        f"{together[0]:.1f} s in it and {own[0]:.1f} s in its own; most resident memory {before / 1024:.0f} MB, then "
        f"{after / 1024:.0f} MB"
    )


if __name__ == "__main__":
    main()
