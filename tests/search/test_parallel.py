"""Several trials at a time: what an engine with many slots gives, in any order, comes to what one slot gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
from tiny_search import Jumbled, engines, learned, search, space

from qsearch.config.search_modes import MODES
from qsearch.search.trials import AnyTrial, SkippedTrial, Trained, Trial, trial_from_dict


def told(trials: list[AnyTrial]) -> list[dict[str, Any]]:
    return [{name: value for name, value in one.to_dict().items() if name != "seconds"} for one in trials]


@pytest.mark.parametrize("slots", [2, 4, 7])
@pytest.mark.parametrize("mode", ["random", "hyperband"])
def test_the_trials_are_those_of_one_slot(mode: str, slots: int, tmp_path: Path) -> None:
    run = {"max_epochs": 9} if mode == "hyperband" else {}
    _, alone, models = search(tmp_path / "one", space(), 30, mode=mode, train=learned, run=run)
    assert any(isinstance(trial, SkippedTrial) for trial in alone)  # which depends on the best of all before it
    made: list[Jumbled] = []
    result, together, kept = search(
        tmp_path / "many", space(), 30, mode=mode, train=learned, run=run, engine=engines(slots, 3, made)
    )
    assert told(together) == told(alone)
    assert kept == models
    assert made[0].most == slots
    assert "30 trials" in result.ended or mode == "hyperband"


@pytest.mark.parametrize("mode", MODES)
def test_a_search_with_many_slots_goes_on_as_it_was(mode: str, tmp_path: Path) -> None:
    run = {"max_epochs": 9} if mode == "hyperband" else {}

    def searched(folder: str, slots: int, known: list[AnyTrial]) -> list[AnyTrial]:
        made: list[Jumbled] = []
        options: dict[str, Any] = {"known": {trial.number: trial for trial in known}}
        _, trials, _ = search(
            tmp_path / folder, space(), 16, mode=mode, train=learned, run=run, engine=engines(slots, 5, made), **options
        )
        return trials

    whole = searched("whole", 3, [])
    assert len([trial for trial in whole if isinstance(trial, Trial)]) >= 9
    if mode in ("guided", "pareto", "bayesian", "one_shot", "learned"):
        assert any(trial.told is not None for trial in whole)
    for length in (1, 6, len(whole)):
        for slots in (1, 3):
            begun = [trial_from_dict(trial.to_dict()) for trial in whole[:length]]
            again = searched(f"{length}_{slots}", slots, begun)
            assert told(again)[:length] == told(whole)[:length]
            assert len(again) >= length


def test_guided_search_is_no_worse_with_many_slots(tmp_path: Path) -> None:
    """Equal trials, several seeds: the mean of the best scores."""
    best: dict[int, list[float]] = {1: [], 4: []}
    for slots, scores in best.items():
        for seed in range(2):
            result, _, _ = search(
                tmp_path / f"{slots}_{seed}",
                space(6),
                24,
                seed=seed,
                mode="guided",
                train=learned,
                engine=engines(slots, seed, []),
            )
            assert result.best is not None
            scores.append(result.best.score)
    assert numpy.mean(best[4]) > numpy.mean(best[1]) - 0.01


def test_a_task_that_came_to_nothing_is_dropped(tmp_path: Path) -> None:
    made: list[Jumbled] = []

    def failing(*_: Any) -> tuple[Trained, Any]:
        raise RuntimeError("out of memory")

    result, trials, _ = search(tmp_path, space(), 30, train=failing, engine=engines(4, 1, made))
    assert result.ended == "the first 5 trials all failed"
    assert len(trials) == 5
    assert made[0].dropped == len(made[0].tasks) + made[0].dropped > 0
