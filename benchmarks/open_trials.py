"""Guided search with several trials open at a time: how good the best of equally many trials is.

    .venv/bin/python benchmarks/open_trials.py --seeds 20

A synthetic problem of the kind that searches have (tests/tiny_search.py: layers x quantizers x widths), whose trials
cost nothing, so that many seeds can be run. Trials end in an order by chance.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from tiny_search import engines, learned, search, space

SLOTS = (1, 2, 4, 8)


def main() -> None:
    """Print a table: slots, mean of the best scores, and the mean and deviation of the difference to one slot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--layers", type=int, default=8)
    asked = parser.parse_args()
    best: dict[int, list[float]] = {slots: [] for slots in SLOTS}
    for seed in range(asked.seeds):
        for slots, scores in best.items():
            with tempfile.TemporaryDirectory() as folder:
                result, _, _ = search(
                    Path(folder),
                    space(asked.layers),
                    asked.trials,
                    seed=seed,
                    mode="guided",
                    train=learned,
                    engine=engines(slots, seed, []),
                )
            if result.best is None:
                raise SystemExit(f"seed {seed}, {slots} slots: no trial was completed")
            scores.append(result.best.score)
    print(f"{asked.trials} trials, {asked.layers} layers, {asked.seeds} seeds")
    print("| open | best score, mean | less than one at a time, mean ± standard error |")
    print("|---|---|---|")
    for slots, scores in best.items():
        loss = numpy.array(best[1]) - numpy.array(scores)
        print(f"| {slots} | {numpy.mean(scores):.4f} | {loss.mean():.4f} ± {loss.std() / len(loss) ** 0.5:.4f} |")


if __name__ == "__main__":
    main()
