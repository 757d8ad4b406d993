#!/usr/bin/env python3
"""Try thousands of mutated configurations: `scripts/fuzz_configs.py [--seed 0] [--number 2000]`.

Exit code 1 where one ends in anything but a configuration or a message with its place. No TensorFlow.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from config_fuzz import cases, tried  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--number", type=int, default=2000)
    arguments = parser.parse_args()
    counts: Counter[str] = Counter()
    failures: dict[tuple[str, str], str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(islice(cases(arguments.seed), arguments.number)):
            outcome = tried(case, Path(folder))
            counts[outcome.kind] += 1
            if outcome.kind not in ("right", "refused"):
                shown = f"case {number}: {outcome.told}; --set {case.overrides!r:.200}"
                failures.setdefault((outcome.kind, outcome.told[:60]), shown)
    for (kind, _), told in failures.items():
        sys.stdout.write(f"{kind}: {told}\n")
    sys.stdout.write(f"{', '.join(f'{count} {kind}' for kind, count in counts.most_common())}\n")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
