"""Searches that are killed at random moments and gone on with, against the same searches left alone.

    python benchmarks/kills.py [--kills 100] [--seed 0] [--searches random guided hyperband blocks workers]

Each process is killed by SIGKILL at one of its moments, drawn at random: an event of the run (a stage, the begin or the
end of a trial, an epoch) or a write to the disk. Then `resume` goes on, and is killed again, until a process gets to
the end. The journal, result.json and the best model's weights must then be those of the run that was left alone.
Trainings are saved after every epoch here, not about once a second, so that most of them go on in their middle.
Processes are forked from one that has imported TensorFlow, and done nothing with it, which saves each the import.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from run_left import written

CONFIG = """
dataset: {name: digits, train_samples: 300, test_samples: 100, validation: 0.2}
model: {name: digits, filters: [6, 8, 10]}
reference: {optimizer: {name: adam, learning_rate: 0.01}, metrics: [acc], epochs: 2, batch_size: 32}
limit: {Dense: [8, 8, 4], Conv2D: [4, 8, 4], Activation: [4], BatchNormalization: []}
goal:
  type: energy
  params: {parameters_on_memory: sram, activations_on_memory: sram, rd_wr_on_io: false, source_quantizers: [int8],
           reference_internal: int8, reference_accumulator: int32}
run: {output_dir: out, epochs: 3, batch_size: 32, seed: 0, tune_filters: layer}
final_training: {epochs: 3, batch_size: 32}
"""
SEARCHES = {
    "random": ["run.max_trials=8"],
    "guided": ["run.mode=guided", "run.max_trials=8", "run.max_drop=0.2"],
    "hyperband": ["run.mode=hyperband", "run.max_epochs=4", "run.factor=2"],
    "blocks": ["run.blocks=['^conv', '^(?!conv)']", "run.schedule_block=sequential", "run.max_trials=4"],
    "workers": ["run.max_trials=8"],
}
WORKERS = {"workers": 2}
"""Searches that have workers, and how many: the process that drives them is the one that is killed."""


class Moments:
    """Counts the moments of a run, and kills it at one of them."""

    def __init__(self, deadly: int) -> None:
        self.count, self.deadly = 0, deadly

    def next(self, *given: Any) -> None:
        self.count += 1
        if self.count == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)


def serve(config: str, deadly: int, sets: list[str], workers: int | None, told: Connection) -> None:
    """Run or go on in this process until its deadly moment, or to the end, and tell how many moments that took."""
    import qsearch
    from qsearch.runner import pipeline
    from qsearch.search.trials import SilentObserver
    from qsearch.training.checkpoints import Checkpoints
    from qsearch.training.progress import Pace

    setattr(pipeline, "Checkpoints", partial(Checkpoints, pace=Pace(least=0.0, share=math.inf)))  # noqa: B010

    moments, fsync, observer = Moments(deadly), os.fsync, SilentObserver()

    def synced(descriptor: int) -> None:
        moments.next()
        fsync(descriptor)

    os.fsync = synced
    for name in ("stage", "trial_started", "epoch_ended", "trial_ended"):
        setattr(observer, name, moments.next)
    qsearch.run(config, sets, observer, resume=True, workers=workers)
    told.send(moments.count)


def attempt(config: Path, deadly: int, sets: list[str], workers: int | None) -> int | None:
    """The moments of a run that got to its end; None for one that was killed."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tensorflow", "keras", "qsearch.runner.pipeline"])
    heard, told = processes.Pipe(duplex=False)
    process = processes.Process(target=serve, args=(str(config), deadly, sets, workers, told))
    process.start()
    told.close()
    process.join()
    if process.exitcode == -signal.SIGKILL:
        return None
    if process.exitcode:
        raise SystemExit(f"a process ended with {process.exitcode}: {config}, {sets}, moment {deadly}")
    return int(heard.recv())


def left(folder: Path) -> tuple[Any, ...]:
    """What a run came to, without its times."""
    import h5py
    import numpy

    weights: list[bytes] = []
    with tempfile.TemporaryDirectory() as aside:
        subprocess.run(["unzip", "-qo", folder / "best" / "model.keras", "-d", aside], check=True)
        with h5py.File(Path(aside) / "model.weights.h5") as file:
            file.visititems(
                lambda name, one: weights.append(numpy.asarray(one).tobytes()) if hasattr(one, "shape") else None
            )
    return *written(folder), weights


@dataclass
class Outcome:
    """Of one search: how often it was killed, in how many runs, and how many of these came to another end."""

    moments: int
    kills: int = 0
    runs: int = 0
    different: int = 0
    leftovers: int = 0


def tried(name: str, kills: int, drawn: random.Random, folder: Path) -> Outcome:
    config = folder / "run.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    sets, workers = SEARCHES[name], WORKERS.get(name)
    count = attempt(config, 0, [*sets, f"run.output_dir={folder / name}"], workers)
    assert count is not None
    expected, outcome = left(folder / name), Outcome(count)
    while outcome.kills < kills:
        outcome.runs += 1
        own = folder / f"{name}_killed_{outcome.runs}"
        while attempt(config, drawn.randint(1, count), [*sets, f"run.output_dir={own}"], workers) is None:
            outcome.kills += 1
            print(f"{name}: {outcome.kills} kills in {outcome.runs} runs", file=sys.stderr, flush=True)
        outcome.different += left(own) != expected
        outcome.leftovers += sum(1 for pattern in (".partial*", "training_*") for _ in own.rglob(pattern))
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="in all searches together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--searches", nargs="+", choices=SEARCHES, default=list(SEARCHES))
    given = parser.parse_args()
    drawn, started = random.Random(given.seed), time.monotonic()
    print("| search | moments of a run | kills | runs | of these different | files left behind |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in given.searches:
            found = tried(name, -(-given.kills // len(given.searches)), drawn, Path(folder))
            print(
                f"| {name} | {found.moments} | {found.kills} | {found.runs} | {found.different} | {found.leftovers} |",
                flush=True,
            )
    print(f"\nin {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
