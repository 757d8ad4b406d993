"""What one model for all trials costs: a step in it against a step in an ordinary model, and its first trace.

    python benchmarks/shared_steps.py [--works digits dense ...] [--rounds 7]

Both train the one plan that has the first option of every quantizer and all widths 1.0, from the same weights, on the
same batches, with as many steps in a call. Steps: an epoch in each, in turn, in one process, after all are traced and
warm; the clock runs from the end of the epoch's first call to the end of its last, so without validation and the start
of `fit`. The shared model is in the middle of every round: its seconds are divided by the mean of two ordinary
models', before and after it, whose own ratio tells what the machine's noise is. All losses have to be equal.
First trace: each in fresh processes, the first training (an epoch of four steps, and validation) beyond a warm one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import trials
from trials import Trials, Work

from qsearch.graph.walk import layers_by_path
from qsearch.quantize.apply import apply_plan
from qsearch.search.space import number
from qsearch.training.batches import TrainingBatches
from qsearch.training.fit import train
from qsearch.training.seeds import seed_all, seed_quantizers


def _sized(work: Work, steps: int) -> Work:
    return replace(work, samples=steps * work.batch_size, epochs=1)


WORKS = {
    "digits": _sized(trials.WORKS["digits"], 400),
    "dense": _sized(trials.WORKS["dense"], 480),
    "mnist": _sized(trials.WORKS["mnist, 1,024 samples"], 8),
    "cifar10": _sized(Work({"name": "cifar10"}, (32, 32, 3), 10, 0, 1, 64), 12),
    "cifar100": _sized(Work({"name": "cifar100"}, (32, 32, 3), 100, 0, 1, 64), 12),
}
SHORT = 4
"""Steps of the epochs that are first in a process."""
ORDINARY, AGAIN, SHARED = "ordinary", "ordinary again", "shared"


class Clock(keras.callbacks.Callback):  # type: ignore[misc]
    """When each call of an epoch ended, and with what loss."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []
        self.loss = 0.0

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        self.loss = float((logs or {})["loss"])
        self.ends.append(time.perf_counter())


def plain(one: Trials) -> dict[str, Any]:
    """The first quantizers, and the reference's widths."""
    space = one.experiment.space
    return {
        each.name: next(option for option in each.options if each.name not in space.widths or number(option) == 1.0)
        for each in space.dimensions
    }


def planned(one: Trials) -> keras.Model:
    """The ordinary model, always with the same weights."""
    seed_all(0)
    return apply_plan(one.experiment.model, one.experiment.space.plan(plain(one)))


def trained(one: Trials, way: str, model: keras.Model, compiled: bool = False) -> float:
    """Seconds of a training of one epoch, as a search does it."""
    shared = one.shared if way == SHARED else None  # made in no seconds of a training
    started = time.perf_counter()
    if shared is not None:
        shared.train(model, plain(one), one.data, one.recipe, 0, lambda *_: None, feeds=one.feeds)
    else:
        train(model, one.data, one.recipe, 0, lambda *_: None, compiled=compiled, feeds=one.feeds)
    return time.perf_counter() - started


def epoch(model: keras.Model, batches: TrainingBatches, seed: int) -> tuple[float, float]:
    """(seconds of a step, loss), where nothing drops what is compiled, as `keras.utils.set_random_seed` would."""
    clock, call = Clock(), model.steps_per_execution
    seed_all(seed)
    seed_quantizers(model, seed)
    model.fit(**batches.arguments(seed, 0, call), epochs=1, callbacks=[batches, clock], verbose=0)
    return (clock.ends[-1] - clock.ends[0]) / (call * (len(clock.ends) - 1)), clock.loss


def steps(name: str, rounds: int) -> str:
    """A row of the table of steps. One round warms up."""
    work = WORKS[name]
    with tempfile.TemporaryDirectory() as folder:
        batches = (one := Trials(work, Path(folder))).feeds.training(one.data.train, work.batch_size)
        assert batches is not None
        models: dict[str, keras.Model] = {}
        for way in (ORDINARY, AGAIN, SHARED):  # the shared one last: training an ordinary one drops what is compiled
            model = planned(one)
            trained(one, way, model)
            models[way] = one.shared.shared.model if way == SHARED else model
        seconds: dict[str, list[float]] = {way: [] for way in models}
        for turn in range(rounds + 1):
            order = (ORDINARY, SHARED, AGAIN)[:: 1 if turn % 2 else -1]
            found = {way: epoch(models[way], batches, turn) for way in order}
            for way, (each, _) in found.items():
                seconds[way].append(each)
            if len(losses := {loss for _, loss in found.values()}) > 1:
                raise SystemExit(f"{name}: the models are not equal, their losses are {sorted(losses)}")
    one_way, other, shared = (seconds[way][1:] for way in models)
    means = [(a + b) / 2 for a, b in zip(one_way, other, strict=True)]
    ratio, noise = ([a / b for a, b in zip(*pair, strict=True)] for pair in ((shared, means), (other, one_way)))
    milliseconds = " | ".join(f"{1000 * statistics.median(given):.2f}" for given in (shared, means))
    size = f"{len(layers_by_path(one.experiment.model))} | {work.batch_size} | {work.samples // work.batch_size}"
    call = models[SHARED].steps_per_execution
    return f"| {name} | {size} | {call} | {milliseconds} | {_spread(ratio, 3)} | {_spread(noise, 3)} |"


def _spread(given: Sequence[float], digits: int) -> str:
    return f"{statistics.median(given):.{digits}f} ({min(given):.{digits}f} - {max(given):.{digits}f})"


def serve(name: str, way: str) -> None:
    """Tell the seconds of what is first in this process."""
    with tempfile.TemporaryDirectory() as folder:
        one = Trials(_sized(WORKS[name], SHORT), Path(folder))
        model = planned(one)
        first, *warm = (trained(one, way, model, turn > 0) for turn in range(4))
        print(f"seconds {len(layers_by_path(one.experiment.model))} {one.made} {first - min(warm)}", flush=True)


def _told(name: str, way: str) -> tuple[int, float, float]:
    """(layers, seconds in which the shared model was made, seconds of the first training beyond a warm one)."""
    command = [sys.executable, __file__, "--works", name, "--serve", way]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    _, layers, made, first = next(line for line in told.splitlines() if line.startswith("seconds ")).split()
    return int(layers), float(made), float(first)


def traces(name: str, rounds: int) -> str:
    """A row of the table of first traces."""
    told = [(_told(name, SHARED), _told(name, ORDINARY)) for _ in range(rounds)]
    layers = told[0][0][0]
    made, first, ordinary = [one[1] for one, _ in told], [one[2] for one, _ in told], [one[2] for _, one in told]
    both, other = statistics.median(map(sum, zip(made, first, strict=True))), statistics.median(ordinary)
    seconds = " | ".join(_spread(one, 2) for one in (made, first, ordinary))
    return (
        f"| {name} | {layers} | {seconds} | {both / other:.1f} | "
        f"{1000 * both / layers:.0f} | {1000 * other / layers:.0f} |"
    )


STEPS = (
    "network | layers | batch | steps of an epoch | of a call | ms a step, shared | ordinary | "
    "shared / ordinary | one ordinary / the other"
)
TRACES = (
    "network | layers | shared: made, s | first training beyond a warm one, s | ordinary: first beyond a warm one, s | "
    "shared, both / ordinary | ms a layer, shared | ordinary"
)


def table(head: str, names: Sequence[str], row: Callable[[str], str]) -> None:
    print(f"\n| {head} |\n|{'---|' * len(head.split(' | '))}", flush=True)
    for name in names:
        print(row(name), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--works", nargs="*", default=list(WORKS), choices=list(WORKS))
    parser.add_argument("--rounds", type=int, default=7, help="of steps; 0 leaves their table out")
    parser.add_argument("--processes", type=int, default=3, help="of each kind, for the first trace; 0: none")
    parser.add_argument("--serve", choices=[SHARED, ORDINARY], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve is not None:
        return serve(given.works[0], given.serve)
    if given.rounds:
        table(STEPS, given.works, lambda name: steps(name, given.rounds))
    if given.processes:
        table(TRACES, given.works, lambda name: traces(name, given.processes))
    return None


if __name__ == "__main__":
    main()
