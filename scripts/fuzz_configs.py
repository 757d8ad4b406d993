#!/usr/bin/env python3
"""Try thousands of mutated configurations and options: `scripts/fuzz_configs.py [--seed 0] [--number 2000]`.

Besides --number configurations, every key of the schema is set to some values by itself, and as many `--what-if` and
`--source` options are tried. Exit code 1 where one ends in anything but a result or a message with its place. No
TensorFlow.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from config_fuzz import Outcome, cases, key_cases, tried  # noqa: E402
from option_fuzz import option_cases, tried_options  # noqa: E402


def _outcomes(seed: int, number: int, folder: Path) -> Iterator[tuple[str, Outcome]]:
    files = chain(islice(cases(seed), number), key_cases(seed, each=max(1, number // 500)))
    for place, case in enumerate(files):
        yield f"case {place}, --set {case.overrides!r:.200}", tried(case, folder)
    for options in islice(option_cases(seed), number):
        yield f"{options!r:.300}", tried_options(options)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--number", type=int, default=2000)
    arguments = parser.parse_args()
    counts: Counter[str] = Counter()
    failures: dict[tuple[str, str], str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for what, outcome in _outcomes(arguments.seed, arguments.number, Path(folder)):
            counts[outcome.kind] += 1
            if outcome.kind not in ("right", "refused"):
                failures.setdefault((outcome.kind, outcome.told[:60]), f"{what}: {outcome.told}")
    for (kind, _), told in failures.items():
        sys.stdout.write(f"{kind}: {told}\n")
    sys.stdout.write(f"{', '.join(f'{count} {kind}' for kind, count in counts.most_common())}\n")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
