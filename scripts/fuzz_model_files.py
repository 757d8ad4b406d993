#!/usr/bin/env python3
"""Try thousands of mutated model files: `scripts/fuzz_model_files.py [--seed 0] [--cases 500] [--bombs]`.

Exit code 1 where one ends in anything but a model or a message of one line, or takes more than 5 s or 500 MB.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
from model_file_fuzz import cases, tried  # noqa: E402
from model_file_parts import bombs  # noqa: E402

_CLEARED = 100


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--bombs", action="store_true", help="layers of absurd sizes, before the mutated files")
    parser.add_argument("--verbose", action="store_true", help="a line for each case, before it is tried")
    arguments = parser.parse_args()
    counts: Counter[str] = Counter()
    failures: dict[tuple[str, str], str] = {}
    slowest, most = 0.0, 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        marker = folder / "marker"
        found = [*(bombs() if arguments.bombs else ())]
        for number, case in enumerate((*found, *islice(cases(arguments.seed, marker), arguments.cases))):
            if arguments.verbose:
                sys.stdout.write(f"{number} {case.told[:200]!r}\n")
                sys.stdout.flush()
            outcome = tried(case, folder, marker)
            if number % _CLEARED == 0:
                keras.backend.clear_session()  # names that Keras gave
            counts[outcome.kind] += 1
            slowest, most = max(slowest, outcome.seconds), max(most, outcome.megabytes)
            if arguments.verbose:
                sys.stdout.write(f"    {outcome.seconds:.2f} s, {outcome.kind}: {outcome.told[:300]!r}\n")
            if outcome.kind not in ("read", "refused"):
                cost = f"{outcome.seconds:.1f} s, {outcome.megabytes:.0f} MB"
                told = f"case {number} ({case.told[:200]!r}): {cost}, {outcome.told}"
                failures.setdefault((outcome.kind, outcome.told[:80]), told)
    for (kind, _), told in failures.items():
        sys.stdout.write(f"{kind}: {told}\n")
    sys.stdout.write(f"{', '.join(f'{count} {kind}' for kind, count in counts.most_common())}; ")
    sys.stdout.write(f"slowest {slowest:.1f} s, most memory {most:.0f} MB\n")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
