"""Trials in one model, in a model of their own, and in AutoQKeras' way: the same plans on the same data, alternating.

    python benchmarks/trials.py [--works digits dense] [--rounds 7] [--qkeras /path/to/python]
    python benchmarks/trials.py --memory 200 [--works digits]

Each round trains one random plan in every way, after all are warm; seconds of the wall clock, medians and ranges, and
the median of the ratios within rounds. A trial is: a model of the plan, its training with validation after every epoch,
its best weights. AutoQKeras' way, in an environment with TensorFlow 2.15 and QKeras 0.9, is the layers made directly
(its own model_quantize does not run there), QTools' estimate, Keras 2's fit, and a cleared session. Each way has a
process of its own: Keras' set_random_seed drops what TensorFlow has compiled, also for who does not call it.
`--memory N` trains N plans in one model and tells the resident memory on the way.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy
import yaml
from train_step import QKerasProcess, described

from qsearch.config import load_config
from qsearch.quantize.apply import apply_plan
from qsearch.runner.data import data_of
from qsearch.runner.experiment import Experiment, read_experiment
from qsearch.runner.inputs import objective_of, recipe_of
from qsearch.training.batches import Feeds
from qsearch.training.fit import Recipe, train
from qsearch.training.seeds import seed_all
from qsearch.training.shared_model import SharedModel
from qsearch.training.shared_training import SharedTraining

SEARCH = """
reference: {epochs: 1, optimizer: {name: adam, learning_rate: 0.001}}
limit: {Dense: [8, 8, 4], Conv2D: [4, 8, 4], Activation: [4]}
goal: {type: energy, params: {source_quantizers: [int8], reference_internal: int8, reference_accumulator: int32,
       rd_wr_on_io: false, parameters_on_memory: sram, activations_on_memory: sram}}
run: {mode: random, seed: 1, tune_filters: layer}
"""


@dataclass(frozen=True)
class Work:
    """A model, how many samples it is trained on, and how."""

    model: dict[str, Any]
    shape: tuple[int, ...]
    classes: int
    samples: int
    epochs: int
    batch_size: int


MNIST = {"name": "mnist"}
WORKS = {
    "digits": Work({"name": "digits"}, (8, 8, 1), 10, 1149, 10, 64),
    "dense": Work({"factory": "exported_networks:jets"}, (16,), 5, 20_000, 5, 1024),
    "mnist, 1,024 samples": Work(MNIST, (28, 28, 1), 10, 1024, 1, 1024),
    "mnist, 4,096 samples": Work(MNIST, (28, 28, 1), 10, 4096, 2, 1024),
}
HELD_OUT = 288


class Trials:
    """Plans of a work, and the ways of training them."""

    def __init__(self, work: Work, folder: Path) -> None:
        self.work, self.random = work, numpy.random.default_rng(0)
        self.experiment = _experiment(work, folder)
        objective = objective_of(self.experiment.loaded, self.experiment.model)
        self.data = data_of(self.experiment, objective)
        recipe = recipe_of(self.experiment, objective, self.data)
        self.recipe: Recipe = replace(recipe, epochs=work.epochs, batch_size=work.batch_size)
        self.feeds = Feeds()
        self.made = 0.0

    @cached_property
    def shared(self) -> SharedTraining:
        started = time.perf_counter()
        steps = self.data.train.steps(self.work.batch_size)
        made = SharedTraining(SharedModel(self.experiment.model, self.experiment.space), self.recipe, steps)
        self.made = time.perf_counter() - started
        return made

    def values(self) -> dict[str, Any]:
        """A plan at random."""
        dimensions = self.experiment.space.dimensions
        return {one.name: one.options[self.random.integers(len(one.options))] for one in dimensions}

    def together(self, number: int, values: dict[str, Any]) -> float:
        shared = self.shared
        started = time.perf_counter()
        seed_all(number)
        model = apply_plan(self.experiment.model, self.experiment.space.plan(values))
        shared.train(model, values, self.data, self.recipe, number, lambda *_: None, feeds=self.feeds)
        return time.perf_counter() - started

    def alone(self, number: int, values: dict[str, Any]) -> float:
        started = time.perf_counter()
        keras.utils.set_random_seed(number)
        model = apply_plan(self.experiment.model, self.experiment.space.plan(values))
        train(model, self.data, self.recipe, number, lambda *_: None, feeds=self.feeds)
        return time.perf_counter() - started

    def rows(self, values: dict[str, Any]) -> Any:
        """The layers of a plan, for another Keras."""
        quantized = apply_plan(self.experiment.model, self.experiment.space.plan(values))
        rows = described(self.experiment.model, quantized)
        for row in rows:
            twin = quantized.get_layer(row["name"])
            row |= {key: getattr(twin, key) for key in ("filters", "units") if hasattr(twin, key) and key in row}
        return rows


class Process:
    """This script in a process of its own, which trains the next plan when it is told to."""

    def __init__(self, way: str, name: str) -> None:
        command = [sys.executable, __file__, "--serve", way, "--works", name]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self) -> tuple[float, float]:
        """(seconds of the trial, seconds in which the one model was made)."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("next\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("seconds "):
                _, trial, made = line.split()
                return float(trial), float(made)
        raise SystemExit(f"the process ended with code {self.process.wait()}")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def serve(way: str, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(WORKS[name], Path(folder))
        for number, _ in enumerate(sys.stdin):
            seconds = (trials.together if way == "together" else trials.alone)(number, trials.values())
            print(f"seconds {seconds} {trials.made}", flush=True)


def _sizes(work: Work) -> Any:
    return {
        "shape": work.shape,
        "classes": work.classes,
        "samples": work.samples,
        "held_out": HELD_OUT,
        "epochs": work.epochs,
        "batch_size": work.batch_size,
    }


def _experiment(work: Work, folder: Path) -> Experiment:
    random = numpy.random.default_rng(0)
    arrays = {}
    for part, samples in (("train", work.samples), ("test", HELD_OUT)):
        arrays[f"x_{part}"] = random.normal(size=(samples, *work.shape)).astype("float32")
        arrays[f"y_{part}"] = keras.utils.to_categorical(random.integers(0, work.classes, samples), work.classes)
    numpy.savez(folder / "data.npz", **arrays)
    (folder / "exported_networks.py").write_text(Path(__file__).with_name("exported_networks.py").read_text("utf-8"))
    config = yaml.safe_load(SEARCH) | {"model": work.model, "dataset": {"npz": str(folder / "data.npz")}}
    config["reference"]["loss"] = "categorical_crossentropy"
    (folder / "trials.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return read_experiment(load_config(folder / "trials.yaml"))


def _told(way: str, seconds: list[float], ratios: list[float]) -> str:
    median = statistics.median(seconds)
    spread = f"{min(seconds):.2f} - {max(seconds):.2f}"
    return f"| {way} | {median:.2f} | {spread} | {3600 / median:,.0f} | {statistics.median(ratios):.2f} |"


def compared(name: str, rounds: int, qkeras: str | None) -> None:
    """One round warms up."""
    ways = {"in one model": Process("together", name), "in a model of its own": Process("alone", name)}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    made = 0.0
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(WORKS[name], Path(folder))
        other = None if qkeras is None else QKerasProcess(qkeras, _sizes(trials.work), 0, "qkeras_worker.py trials")
        for _ in range(rounds + 1):
            for way, run in ways.items():
                found, own = run()
                seconds[way].append(found)
                made = max(made, own)
            if other is not None:
                seconds.setdefault("AutoQKeras' way", []).append(other(trials.rows(trials.values())))
        for process in (*ways.values(), *([] if other is None else [other])):
            process.close()
    base = seconds["in one model"]
    print(f"\n{name}\n\n| a trial | median s | range | trials an hour | times one model |\n|---|---|---|---|---|")
    for way, given in seconds.items():
        print(_told(way, given[1:], [one / other for one, other in zip(given[1:], base[1:], strict=True)]), flush=True)
    first = ", ".join(f"{given[0]:.1f} s {way}" for way, given in seconds.items())
    print(f"\nThe one model was made and tried in {made:.1f} s; the first trial took {first}.", flush=True)


def memory(name: str, count: int) -> None:
    """Resident memory over many trials in one model."""
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(WORKS[name], Path(folder))
        print(f"\n{name}\n\n| trials | resident MB |\n|---|---|")
        for number in range(1, count + 1):
            trials.together(number, trials.values())
            if number in (1, 5, 10, 20, 50) or number % 100 == 0 or number == count:
                print(f"| {number} | {_resident():.0f} |", flush=True)


def _resident() -> float:
    """MB, of Linux."""
    line = next(one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--works", nargs="*", default=list(WORKS), choices=list(WORKS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--qkeras", help="a Python with TensorFlow 2.15 and QKeras 0.9")
    parser.add_argument("--serve", choices=["together", "alone"], help=argparse.SUPPRESS)
    parser.add_argument("--memory", type=int, metavar="TRIALS")
    arguments = parser.parse_args()
    for name in arguments.works:
        if arguments.serve is not None:
            serve(arguments.serve, name)
        elif arguments.memory is not None:
            memory(name, arguments.memory)
        else:
            compared(name, arguments.rounds, arguments.qkeras)


if __name__ == "__main__":
    main()
