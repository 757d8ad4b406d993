"""What XLA does to a step and to the first training of an ordinary quantized model (`run.jit_compile`).

    python benchmarks/xla.py [--works digits dense mnist] [--rounds 7]

Two models of one plan, from the same weights and on the same batches, one of them compiled by XLA, are trained in turn
in one process. First training: an epoch with validation, whose steps are traced and compiled. Steps: as in
benchmarks/shared_steps.py.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from shared_steps import WORKS, epoch, planned
from trials import Trials

from qsearch.training.execution import Execution
from qsearch.training.fit import train


def compared(name: str, rounds: int) -> str:
    """A row of the table: seconds of a step and of the first training, with XLA and without."""
    work = WORKS[name]
    with tempfile.TemporaryDirectory() as folder:
        one = Trials(work, Path(folder))
        batches = one.feeds.training(one.data.train, work.batch_size)
        assert batches is not None
        models, first = {}, {}
        for jit in (False, True):
            models[jit] = planned(one)
            recipe = replace(one.recipe, execution=Execution(jit_compile=jit))
            started = time.perf_counter()
            train(models[jit], one.data, recipe, 0, lambda *_: None, feeds=one.feeds)
            first[jit] = time.perf_counter() - started
        steps: dict[bool, list[float]] = {False: [], True: []}
        for turn in range(rounds + 1):  # one to warm up
            for jit in (False, True) if turn % 2 else (True, False):
                steps[jit].append(epoch(models[jit], batches, turn)[0])
    ratios = sorted(a / b for a, b in zip(steps[True][1:], steps[False][1:], strict=True))
    milliseconds = " | ".join(f"{1000 * statistics.median(steps[jit][1:]):.2f}" for jit in (True, False))
    spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} - {ratios[-1]:.2f})"
    return f"| {name} | {work.batch_size} | {milliseconds} | {spread} | {first[True]:.1f} / {first[False]:.1f} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--works", nargs="+", choices=WORKS, default=["digits", "dense", "mnist"])
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    print("| network | batch | ms a step, XLA | ms, without | XLA / without | first training, s, XLA / without |")
    print("|---|---|---|---|---|---|")
    for name in asked.works:
        print(compared(name, asked.rounds), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
