"""Search modes compared at equal work: best score and hypervolume after so many trials, over several seeds.

    python benchmarks/search.py [--config configs/digits.yaml] [--trials 20] [--epochs 10] [--seeds 3]
                                [--modes random bayesian hyperband guided pareto] [--qkeras /path/to/python]

Every mode searches the same space on the same data, with trials of equal length and without final training. Scores are
of the selection set. `--qkeras`, the Python of an environment with TensorFlow 2.15 and QKeras 0.9, lets AutoQKeras
search the same network with as many trials and epochs; its trials are scored by the same formula. The hypervolume is
that of accuracy over 0.8 and doublings of energy saved. All runs are kept in --folder.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy
from train_step import described

from qsearch.config import load_config
from qsearch.config.names import MODES
from qsearch.datasets import load_dataset
from qsearch.goal.forgiving_factor import ForgivingFactor
from qsearch.runner.experiment import read_experiment
from qsearch.search.front import Point, hypervolume

FLOOR = 0.8


def ours(config: str, mode: str, seed: int, folder: Path, extra: list[str]) -> tuple[list[list[float]], int]:
    """([accuracy, energy] of every completed trial, epochs trained), by a process of its own: trials leave memory."""
    out = folder / f"{mode}_{seed}"
    overrides = [f"run.output_dir={out}", f"run.mode={mode}", f"run.seed={seed}", "final_training=null", *extra]
    sets = [argument for override in overrides for argument in ("--set", override)]
    subprocess.run(
        [sys.executable, "-m", "qsearch.cli.main", "run", config, "--plain", *sets],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    lines = [json.loads(line) for line in (out / "trials.jsonl").read_text(encoding="utf-8").splitlines()]
    trials = [line for line in lines if line["status"] == "completed"]
    target = next(name for name in trials[0]["metrics"] if name.startswith("val_") and name != "val_loss")
    epochs = sum(len(line["curve"]) for line in trials)
    return [[line["metrics"][target], line["energy"]] for line in trials], epochs


def autoqkeras(python: str, config: str, seed: int, arguments: argparse.Namespace) -> tuple[list[list[float]], int]:
    """The same of AutoQKeras' search."""
    loaded = load_config(config)
    settings, experiment = loaded.config, read_experiment(loaded)
    data = load_dataset(str(settings.dataset.name), validation=settings.dataset.validation)
    layers = described(experiment.model, None)
    for row, layer in zip(layers[1:], experiment.model.layers[1:], strict=True):
        row["name"] = layer.name
    goal = settings.goal.model_dump(mode="json")
    groups = settings.quantization_config.model_dump(mode="json")
    run = {
        "goal": goal,
        "quantization_config": groups,
        "limit": json.loads(json.dumps(settings.model_dump(mode="json")["limit"])),
        "mode": "random",
        "learning_rate_optimizer": False,
        "transfer_weights": False,
        "tune_filters": settings.run.tune_filters,
        "tune_filters_exceptions": settings.run.tune_filters_exceptions or "",
        "max_trials": arguments.trials,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.npz"
        numpy.savez(path, x=data.train.x, y=data.train.y, x_selection=data.selection.x, y_selection=data.selection.y)
        task = {
            "data": str(path),
            "layers": layers,
            "run": run,
            "epochs": arguments.epochs,
            "batch": settings.run.batch_size,
            "learning_rate": settings.reference.optimizer.learning_rate,
            "reference_epochs": 1,
            "seed": seed,
        }
        worker = Path(__file__).with_name("autoqkeras_worker.py")
        done = subprocess.run(
            [python, str(worker)], input=json.dumps(task), capture_output=True, text=True, check=False
        )
    if done.returncode:
        sys.exit(f"AutoQKeras: {done.stderr[-2000:]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    if found["ended"] != "done":
        print(f"AutoQKeras, seed {seed}: {len(found['trials'])} trials, then {found['ended']}")
    return found["trials"], arguments.epochs * len(found["trials"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="configs/digits.yaml")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--modes", nargs="*", default=list(MODES), choices=MODES)
    parser.add_argument("--set", dest="extra", action="append", default=[], help="an override for every run of ours")
    parser.add_argument("--qkeras", help="the Python of an environment with QKeras")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "qsearch-benchmark")
    arguments = parser.parse_args()
    loaded = load_config(arguments.config)
    experiment = read_experiment(loaded)
    params = loaded.config.goal.params
    forgiving = ForgivingFactor(params.delta_p, params.delta_n, params.rate, params.stress)
    reference = experiment.reference.total
    extra = [f"run.max_trials={arguments.trials}", f"run.epochs={arguments.epochs}", *arguments.extra]
    rows: dict[str, list[tuple[float, ...]]] = {}
    for seed in range(arguments.seeds):
        for name in [*arguments.modes, *(["AutoQKeras"] if arguments.qkeras else [])]:
            started = time.monotonic()
            if name == "AutoQKeras":
                trials, epochs = autoqkeras(arguments.qkeras, arguments.config, seed, arguments)
            else:
                trials, epochs = ours(arguments.config, name, seed, arguments.folder, extra)
            seconds = time.monotonic() - started
            scores = [accuracy * (1 + forgiving.delta(reference, energy)) for accuracy, energy in trials]
            points = [Point(accuracy, energy) for accuracy, energy in trials]
            row = (max(scores), hypervolume(points, Point(FLOOR, reference)), len(trials), epochs, seconds)
            rows.setdefault(name, []).append(row)
            print(f"seed {seed}, {name}: " + shown(row), flush=True)
    print(f"\nmeans of {arguments.seeds} seeds (from the least to the greatest score)")
    for name, found in rows.items():
        means = tuple(statistics.fmean(column) for column in zip(*found, strict=True))
        scores = [row[0] for row in found]
        print(f"{name}: {shown(means)} ({min(scores):.4f} to {max(scores):.4f})")


def shown(row: tuple[Any, ...]) -> str:
    score, volume, trials, epochs, seconds = row
    return f"score {score:.4f}, hypervolume {volume:.4f}, {trials:.0f} trials, {epochs:.0f} epochs, {seconds:.0f} s"


if __name__ == "__main__":
    main()
