"""Trials an hour of workers on this machine against one process, on the digits.

    .venv/bin/python benchmarks/workers.py --workers 1 2 4 --trials 40 --rounds 5

Each round searches the same trials in each way, one after the other, each in a process of its own; 0 stands for no
workers. The time is that of the search, from its start to its last trial: workers start TensorFlow and trace the model
in it. `later` is the time from the first trial that each worker has done, as a search of hours has it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time

SETS = ["run.mode=random", "run.prune=false", "reference.epochs=1", "final_training.epochs=0"]


def one(workers: int, trials: int, epochs: int, folder: str) -> None:
    """Search once, and print the times in seconds."""
    import qsearch
    from qsearch.search.trials import AnyTrial, SilentObserver, Trial

    class Timed(SilentObserver):
        """Notes when the search began, and when each trial ended."""

        def __init__(self) -> None:
            self.began, self.ended = 0.0, [0.0]

        def stage(self, title: str) -> None:
            if title.startswith("search,"):
                self.began = time.monotonic()

        def trial_ended(self, trial: AnyTrial, best: Trial | None, trained: int, total: int) -> None:
            self.ended.append(time.monotonic())

    timed = Timed()
    sets = [*SETS, f"run.max_trials={trials}", f"run.epochs={epochs}", f"run.output_dir={folder}"]
    qsearch.run("digits", sets, timed, workers=workers or None)
    ended, first = timed.ended[1:], max(1, workers)
    later = (ended[-1] - ended[first - 1]) / (len(ended) - first)
    print(json.dumps({"search": ended[-1] - timed.began, "later": later}))


def main() -> None:
    """Print a table of medians and ranges."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one is not None:
        one(asked.one, asked.trials, asked.epochs, asked.folder)
        return
    ways = [0, *asked.workers]
    times: dict[int, list[dict[str, float]]] = {way: [] for way in ways}
    for _ in range(asked.rounds):
        for way in ways:
            with tempfile.TemporaryDirectory() as folder:
                command = [sys.executable, __file__, "--one", str(way), "--folder", f"{folder}/run"]
                command += ["--trials", str(asked.trials), "--epochs", str(asked.epochs)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
            times[way].append(json.loads(done.stdout.splitlines()[-1]))
            print(way, times[way][-1], file=sys.stderr, flush=True)
    print("| workers | search, s | a later trial, s | trials an hour against one process |")
    print("|---|---|---|---|")
    for way in ways:
        searches, later = ([one_time[name] for one_time in times[way]] for name in ("search", "later"))
        ratios = [alone["later"] / other["later"] for alone, other in zip(times[0], times[way], strict=True)]
        print(f"| {way or 'none'} | {_told(searches)} | {_told(later)} | {_told(ratios)} |")


def _told(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
