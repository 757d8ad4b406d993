"""Search modes compared at equal work: best score and hypervolume after so many trials, over several seeds.

    python benchmarks/search.py [--config configs/digits.yaml] [--trials 20] [--epochs 10] [--seeds 3]
                                [--modes random bayesian hyperband guided pareto]
                                [--starts uniform sensitivity] [--epochs-in-all 120]

Every mode searches the same space on the same data, with trials of equal length and without final training. Scores are
of the selection set. The hypervolume is that of accuracy over 0.8 and doublings of energy saved. --starts holds
`run.start` against each other in the modes that have it; with --epochs-in-all runs end with so many epochs. All
runs are kept in --folder; those that are there are read, and not made again.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from qsearch.config import load_config
from qsearch.config.search_modes import MODES, SEARCH_MODES
from qsearch.goal.forgiving_factor import ForgivingFactor
from qsearch.runner.experiment import read_experiment
from qsearch.runs.record import RunRecord
from qsearch.search.front import Point, hypervolume

FLOOR = 0.8


def ours(
    config: str, mode: str, seed: int, folder: Path, extra: list[str], extra_name: Sequence[str] = ()
) -> tuple[list[list[float]], int]:
    """([accuracy, energy] of every completed trial, epochs trained), by a process of its own: trials leave memory."""
    out = folder / f"{'_'.join([mode, *extra_name])}_{seed}"
    if (out / "result.json").exists():
        return _trials(out)
    overrides = [f"run.output_dir={out}", f"run.mode={mode}", f"run.seed={seed}", "final_training=null", *extra]
    sets = [argument for override in overrides for argument in ("--set", override)]
    subprocess.run(
        [sys.executable, "-m", "qsearch", "run", config, "--plain", *sets],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return _trials(out)


def _trials(out: Path) -> tuple[list[list[float]], int]:
    trials = RunRecord.read(out).completed
    epochs = sum(len(trial.trained.curve) for trial in trials)
    return [[trial.metric, trial.price.energy] for trial in trials], epochs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="configs/digits.yaml")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--modes", nargs="*", default=list(MODES), choices=MODES)
    parser.add_argument("--set", dest="extra", action="append", default=[], help="an override for every run of ours")
    parser.add_argument("--starts", nargs="*", default=[], choices=("uniform", "sensitivity"))
    parser.add_argument("--epochs-in-all", type=int, default=None)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "qsearch-benchmark")
    arguments = parser.parse_args()
    loaded = load_config(arguments.config)
    experiment = read_experiment(loaded)
    params = loaded.config.goal.params
    forgiving = ForgivingFactor(params.delta_p, params.delta_n, params.rate, params.stress)
    reference = experiment.reference.total
    extra = [f"run.max_trials={arguments.trials}", f"run.epochs={arguments.epochs}", *arguments.extra]
    if arguments.epochs_in_all is not None:
        extra.append(f"run.max_epochs_total={arguments.epochs_in_all}")
    kinds: list[tuple[str, tuple[str, ...]]] = []
    for mode in arguments.modes:
        starts = arguments.starts if SEARCH_MODES[mode].starts else []
        kinds += [(mode, (start,)) for start in starts] or [(mode, ())]
    rows: dict[str, list[tuple[float, ...]]] = {}
    for seed in range(arguments.seeds):
        for mode, start in kinds:
            name = ", start ".join([mode, *start])
            started = time.monotonic()
            own = [*extra, *(f"run.start={one}" for one in start)]
            trials, epochs = ours(arguments.config, mode, seed, arguments.folder, own, start)
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
