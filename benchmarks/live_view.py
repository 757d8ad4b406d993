"""What the view in a terminal costs a run: processor time of a drawing, and its share at four drawings a second.

    python benchmarks/live_view.py

A drawing holds Python's lock, so that its time is time that training cannot call into TensorFlow. Draws trials that
are made up, in a pseudo-terminal that somebody reads; nothing is trained.
"""

from __future__ import annotations

import os
import pty
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from hand_made import completed, start  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.live import Live  # noqa: E402

from qsearch.cli.live import LiveObserver  # noqa: E402
from qsearch.runs.figures import Evaluation  # noqa: E402

DRAWINGS, A_SECOND = 200, 4


def drained(descriptor: int) -> None:
    """Read what is drawn, as a terminal does."""
    while True:
        try:
            if not os.read(descriptor, 1 << 16):
                return
        except OSError:
            return


def searched(console: Console, trials: int) -> LiveObserver:
    """In the middle of a search, after so many trials."""
    observer, draw = LiveObserver(console), random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        observer.run_started(start(Path(folder), trials=2 * trials, epochs=20 * trials))
    observer.reference_evaluated(Evaluation(selection={"acc": 0.99}, test={}, parameters=1))
    best = None
    for number in range(1, trials + 1):
        trial = completed(number, draw.random(), 1000 * draw.random() + 1)
        best = trial if best is None or trial.score > best.score else best
        observer.trial_started(number, trial.proposal, number, 2 * trials)
        observer.trial_ended(trial, best, number, 2 * trials)
    observer.trial_started(trials + 1, trial.proposal, trials, 2 * trials)
    observer.epoch_ended(3, 10, {"loss": 0.5, "acc": 0.9, "val_loss": 0.4, "val_acc": 0.9}, trials + 1)
    return observer


def main() -> int:
    terminal, stream = pty.openpty()
    threading.Thread(target=drained, args=(terminal,), daemon=True).start()
    for width, height, trials in ((40, 12, 20), (80, 24, 20), (80, 40, 500), (200, 60, 500)):
        with os.fdopen(os.dup(stream), "w", encoding="utf-8") as file:
            console = Console(file=file, width=width, height=height, force_terminal=True)
            observer = searched(console, trials)
            with Live(observer, console=console, auto_refresh=False, transient=True, vertical_overflow="crop") as live:
                live.refresh()
                before = time.thread_time()
                for _ in range(DRAWINGS):
                    live.refresh()
                spent = (time.thread_time() - before) / DRAWINGS
            before = time.thread_time()
            observer._picture = (None, [])
            observer.lines(width, height, False)
            picture = time.thread_time() - before
        print(
            f"{width:>4} x {height:<3} {trials:>4} trials: {1e3 * spent:.2f} ms a drawing, {A_SECOND * spent:.2%} of a "
            f"processor; {1e3 * picture:.2f} ms for the front, once a trial"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
