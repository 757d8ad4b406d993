"""Stop `qsearch run` at random moments by every kind of signal, and see that nothing is lost.

    python scripts/interrupt_runs.py [--count 100] [--seed 0]

Each run gets SIGINT, SIGTERM or SIGHUP after a random time (one in four gets two), and must end in exit code 130, or in
0 where it had ended before, without a traceback; whatever is in its folder must be whole: every line of the journal,
result.json where it is, and no file aside. Prints a line per run that does not, and how long the others took to end.
"""

from __future__ import annotations

import argparse
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from qsearch.runs.record import RunRecord

CONFIG = """
dataset: {name: digits, train_samples: 1200, test_samples: 100, validation: 0.2}
model: {name: digits, filters: [6, 8, 10]}
reference: {epochs: 8, optimizer: {learning_rate: 0.01}}
limit: {Dense: [8, 8, 4], Conv2D: [4, 8, 4], Activation: [4]}
goal: {type: energy}
run: {output_dir: OUT, max_trials: 5, epochs: 4, seed: 0, best_models: 2}
final_training: {epochs: 8}
"""
SLOW = 10.0
"""Seconds after a signal; what is finished is evaluated in them."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--count", type=int, default=100)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    draws = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "c.yaml"
        config.write_text(CONFIG.replace("OUT", str(Path(folder) / "whole")), encoding="utf-8")
        length = _length(config)
        print(f"undisturbed, a run takes {length:.1f} s")
        waits, bad = [], 0
        for number in range(given.count):
            output = Path(folder) / str(number)
            moment, kind, twice = draws.uniform(0.1, length), draws.choice(SIGNALS), draws.random() < 0.25
            process = _started(config, output)
            time.sleep(moment)
            process.send_signal(kind)
            asked = time.monotonic()
            if twice:
                time.sleep(draws.uniform(0, 1))
                process.send_signal(draws.choice(SIGNALS))
            out, err = process.communicate(timeout=120)
            waits.append(time.monotonic() - asked)
            problems = _problems(process.returncode, out + err, output)
            if waits[-1] > SLOW:
                problems.append(f"took {waits[-1]:.1f} s; the last lines: {(out + err)[-300:]}")
            if problems:
                bad += 1
                print(f"{number}: {kind.name}{' twice' if twice else ''} after {moment:.2f} s: {'; '.join(problems)}")
    ends = f"{statistics.median(waits):.2f} s (median), {max(waits):.2f} s (most)"
    print(f"{given.count} runs, {bad} bad; to the end {ends}")
    return 1 if bad else 0


def _started(config: Path, output: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "qsearch", "run", str(config), "--output-dir", str(output)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_hearing_all_signals
    )


def _hearing_all_signals() -> None:
    """What a shell runs in the background, or with nohup, ignores some of them, and so do its children."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def _length(config: Path) -> float:
    started = time.monotonic()
    process = _started(config, config.with_name("whole"))
    _, err = process.communicate()
    if process.returncode:
        raise SystemExit(f"the undisturbed run fails: {err}")
    return time.monotonic() - started


def _problems(code: int, text: str, output: Path) -> list[str]:
    found = []
    if code not in (0, 130):
        found.append(f"exit code {code}")
    if "Traceback" in text or "Exception ignored" in text or "bug in qsearch" in text:
        found.append(f"said: {text[-600:]}")
    for path in output.rglob("*") if output.is_dir() else ():
        if path.name.startswith("."):
            found.append(f"{path.name} is left")
    if not (output / "config.yaml").is_file():
        return found
    record = RunRecord.read(output)
    model = record.model_path
    if record.completed and not model.is_file():
        found.append("no best model")
    if model.is_file() and zipfile.ZipFile(model).testzip() is not None:
        found.append("the best model is broken")
    return found


if __name__ == "__main__":
    sys.exit(main())
