"""A few hundred mutated configurations; `scripts/fuzz_configs.py` tries thousands."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from config_fuzz import KEYS, cases, tried


def test_nothing_ends_in_a_traceback(tmp_path: Path) -> None:
    outcomes = [tried(case, tmp_path) for case in islice(cases(seed=5), 400)]
    assert {outcome.kind for outcome in outcomes} == {"right", "refused"}, [
        outcome for outcome in outcomes if outcome.kind not in ("right", "refused")
    ]


def test_every_section_is_fuzzed() -> None:
    assert {("run", "seed"), ("goal", "params", "own_process", "float_add"), ("dataset", "augment", "flip")} <= set(
        KEYS
    )
