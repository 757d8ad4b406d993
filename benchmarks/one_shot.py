"""Modes one_shot and learned against the others at equal epochs in all: score, hypervolume, test accuracy, tau.

    python benchmarks/one_shot.py [--config configs/digits.yaml] [--epochs-in-all 200] [--shared-epochs 30]
                                  [--learned-epochs 60] [--seeds 0 1 2]
                                  [--modes random guided pareto one_shot learned] [--set KEY=VALUE]

All search the same space on the same data, without final training. Those epochs are the most that may be trained: a
mode without a stage before its trials has (epochs in all) / run.epochs trials; one_shot and learned have fewer by what
their shared weights, or their mixed model, take.
Trials end early where they gain nothing, so that the epochs that were trained are told too. Scores and hypervolumes (of
accuracy over 0.8 and doublings of energy saved) are of the selection set; the test set is used once, for the best by
score. All runs are kept in --folder, and one that is there already is not run again.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from search import FLOOR

from qsearch.config import load_config
from qsearch.config.search_modes import MODES, SEARCH_MODES
from qsearch.runs.record import RunRecord
from qsearch.search.front import Point, hypervolume

COLUMNS = ("score", "hypervolume", "test accuracy of the best", "trials", "epochs", "tau")


def searched(config: str, mode: str, seed: int, folder: Path, overrides: list[str]) -> RunRecord:
    """A run by a process of its own, as trials leave memory."""
    out = folder / f"{mode}_{seed}"
    if not (out / "result.json").exists():
        every = [f"run.output_dir={out}", f"run.mode={mode}", f"run.seed={seed}", "final_training=null", *overrides]
        sets = [argument for override in every for argument in ("--set", override)]
        subprocess.run(
            [sys.executable, "-m", "qsearch", "run", config, "--plain", *sets], check=True, stdout=subprocess.DEVNULL
        )
    return RunRecord.read(out)


def figures(record: RunRecord) -> tuple[float, ...]:
    """As `COLUMNS` names them; NaN where a mode has none."""
    result, trials = record.result, record.completed
    assert result is not None
    assert result.best is not None
    points = [Point(trial.metric, trial.price.energy) for trial in trials]
    shared = result.shared_weights
    nothing = float("nan")
    return (
        result.best.score,
        hypervolume(points, Point(FLOOR, result.reference.energy)),
        result.best.test[result.target_metric],
        len(trials),
        sum(trial.trained.epochs for trial in trials) if shared is None else shared.epochs_in_all,
        nothing if shared is None or shared.tau is None else shared.tau,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="configs/digits.yaml")
    parser.add_argument("--epochs-in-all", type=int, default=200)
    parser.add_argument("--shared-epochs", type=int, default=30)
    parser.add_argument("--learned-epochs", type=int, default=60)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument(
        "--modes", nargs="*", default=["random", "guided", "pareto", "one_shot", "learned"], choices=MODES
    )
    parser.add_argument("--set", dest="extra", action="append", default=[], help="an override for every run")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "qsearch-one-shot")
    arguments = parser.parse_args()
    epochs = load_config(arguments.config, arguments.extra).config.run.epochs
    found: dict[str, list[tuple[float, ...]]] = {}
    for seed in arguments.seeds:
        for mode in arguments.modes:
            own, left = list(arguments.extra), arguments.epochs_in_all
            if SEARCH_MODES[mode].shares:
                learns = SEARCH_MODES[mode].learns
                before = arguments.learned_epochs if learns else arguments.shared_epochs
                own.append(f"run.{'learned' if learns else 'shared'}_epochs={before}")
                left -= before
            own.append(f"run.max_trials={left // epochs}")
            found.setdefault(mode, []).append(figures(searched(arguments.config, mode, seed, arguments.folder, own)))
            print(f"seed {seed}, {mode}: {shown(found[mode][-1])}", flush=True)
    print(f"\nmeans of seeds {', '.join(map(str, arguments.seeds))} (scores from the least to the greatest)")
    for mode, rows in found.items():
        scores = [row[0] for row in rows]
        means = tuple(statistics.fmean(column) for column in zip(*rows, strict=True))
        print(f"{mode}: {shown(means)} ({min(scores):.4f} to {max(scores):.4f})")


def shown(row: tuple[float, ...]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in zip(COLUMNS, row, strict=True) if value == value)


if __name__ == "__main__":
    main()
