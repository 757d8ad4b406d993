"""A few hundred mutated configurations; `scripts/fuzz_configs.py` tries thousands."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from config_fuzz import KEYS, Outcome, cases, key_cases, tried
from option_fuzz import option_cases, tried_options


def test_nothing_ends_in_a_traceback(tmp_path: Path) -> None:
    assert not failures([tried(case, tmp_path) for case in islice(cases(seed=5), 400)])


def test_every_key_by_itself(tmp_path: Path) -> None:
    assert not failures([tried(case, tmp_path) for case in key_cases(seed=6, each=1)])


def test_options() -> None:
    outcomes = [tried_options(options) for options in islice(option_cases(seed=7), 400)]
    assert not failures(outcomes)
    assert sum(outcome.kind == "right" for outcome in outcomes) > 20


def failures(outcomes: list[Outcome]) -> list[Outcome]:
    assert {outcome.kind for outcome in outcomes} >= {"right", "refused"}
    return [outcome for outcome in outcomes if outcome.kind not in ("right", "refused")]


def test_every_section_is_fuzzed() -> None:
    assert {("run", "seed"), ("goal", "params", "own_process", "float_add"), ("dataset", "augment", "flip")} <= set(
        KEYS
    )
