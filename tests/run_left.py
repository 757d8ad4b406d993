"""What a run leaves, to hold one run against another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy

import qsearch


def written(folder: Path) -> tuple[Any, ...]:
    """What a run wrote: the journal, the figures and the best plan, without times and sizes."""
    journal = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    result = json.loads((folder / "result.json").read_text())
    for one in (*journal, result, *(result.get("blocks") or ())):
        for name in ("seconds", "disk_bytes", "checkpoint_bytes"):
            one.pop(name, None)
    return journal, result, (folder / "best" / "plan.yaml").read_text()


def left(folder: Path) -> tuple[Any, ...]:
    """What a run came to: what it wrote, and the best model's weights."""
    return *written(folder), qsearch.load_model(folder / "best" / "model.keras").get_weights()


def same(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    """Whether two runs came to the same."""
    assert one[:3] == other[:3]
    for ours, others in zip(one[3], other[3], strict=True):
        numpy.testing.assert_array_equal(ours, others)
