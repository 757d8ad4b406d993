"""A search that ends with a number of epochs, and not of trials."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tiny_search import Jumbled, accuracy, engines, search, space

from qsearch.config.extent import Extent
from qsearch.config.schema import RunConfig
from qsearch.goal.price import Price
from qsearch.search.engine import Stop
from qsearch.search.epochs import EpochCounter
from qsearch.search.modes import workload
from qsearch.search.proposals import Proposal
from qsearch.search.trials import AnyTrial, FailedTrial, Trained, Trial


def early(number: int, proposal: Proposal, price: Price, stop: Stop | None) -> tuple[Trained, str]:
    """Each third trial ends after its first epoch, each seventh fails."""
    if number % 7 == 0:
        raise ValueError("no reason")
    epochs = 1 if number % 3 == 0 else 3
    worth = accuracy(proposal.plan)
    return Trained(metrics={"val_acc": worth}, epochs=epochs, best_epoch=epochs, curve=(worth,) * epochs), "model"


def spent(trials: list[AnyTrial], executions: int = 1) -> list[int]:
    """After each trial that was trained."""
    counter, total, found = EpochCounter(3, executions), 0, []
    for trial in trials:
        if isinstance(trial, Trial | FailedTrial):
            total += counter.spent(trial)
            found.append(total)
    return found


def told(trials: list[AnyTrial]) -> list[dict[str, Any]]:
    """As the journal has them, but for seconds."""
    return [{**trial.to_dict(), "seconds": None} for trial in trials]


@pytest.mark.parametrize("mode", ["random", "bayesian", "guided", "pareto", "one_shot"])
def test_it_ends_with_the_trial_that_reaches_it(mode: str, tmp_path: Path) -> None:
    run: dict[str, Any] = {"epochs": 3, "max_epochs_total": 30}
    run |= {"shared_epochs": 11} if mode == "one_shot" else {}
    before = run.get("shared_epochs", 0)
    result, recorded, _ = search(tmp_path, space(), 1, mode=mode, train=early, run=run, prune=False)
    *earlier, last = spent(recorded)
    assert last + before >= 30 > earlier[-1] + before
    trained = len(earlier) + 1
    more = "" if last + before == 30 else f" ({last + before})"
    assert result.ended == f"all 30 epochs done{more}, {trained} trials trained"
    assert trained > math.ceil((30 - before) / 3)  # early ends made room


def test_executions_count(tmp_path: Path) -> None:
    run = {"epochs": 3, "max_epochs_total": 20, "executions_per_trial": 2}
    _, recorded, _ = search(tmp_path, space(), 1, run=run, prune=False)
    assert spent(recorded, 2) == [6, 12, 18, 24]


@pytest.mark.parametrize("slots", [2, 5])
def test_workers_come_to_the_same_trials(slots: int, tmp_path: Path) -> None:
    run = {"epochs": 3, "max_epochs_total": 40}
    made: list[Jumbled] = []
    _, alone, _ = search(tmp_path / "one", space(), 1, train=early, run=run)
    _, together, _ = search(tmp_path / "many", space(), 1, train=early, run=run, engine=engines(slots, 3, made))
    assert told(together) == told(alone)
    assert made[0].most > 1


@pytest.mark.parametrize("mode", ["random", "guided"])
def test_it_goes_on_with_more(mode: str, tmp_path: Path) -> None:
    def searched(folder: str, epochs: int, known: list[AnyTrial]) -> list[AnyTrial]:
        run = {"epochs": 3, "max_epochs_total": epochs}
        earlier = {trial.number: trial for trial in known}
        return search(tmp_path / folder, space(), 20, mode=mode, train=early, run=run, prune=False, known=earlier)[1]

    whole, begun = searched("whole", 36, []), searched("begun", 18, [])
    assert told(searched("more", 36, begun)) == told(whole)


def test_as_many_trials_are_told_as_it_looks_like() -> None:
    extent = Extent(trials=5, epochs=15, each=3)
    assert [extent.expected(*at) for at in ((0, 0), (1, 3), (2, 4), (3, 7), (6, 16))] == [5, 5, 6, 6, 6]
    assert Extent(trials=5).expected(2, 99) == 5


def test_parts_share_epochs_as_they_share_trials() -> None:
    trials = Extent.of(40, None, 0, 10)
    assert [trials.part(cost, 100.0, 5).trials for cost in (10.0, 50.0, 3.0)] == [5, 20, 5]
    epochs = Extent.of(40, 400, 0, 10)
    assert [(one.epochs, one.trials) for one in (epochs.part(cost, 100.0, 5) for cost in (10.0, 50.0, 33.3))] == [
        (50, 5),
        (200, 20),
        (133, 14),
    ]
    assert epochs.part(0.0, 0.0, 5).epochs == 50


def test_what_a_search_of_epochs_trains() -> None:
    run = RunConfig(mode="one_shot", epochs=5, max_epochs_total=100, shared_epochs=31, executions_per_trial=2)
    assert workload(run, run.extent) == (7, 69)
    assert run.extent.trials == 7


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"mode": "hyperband"}, "mode hyperband has a number of epochs of its own"),
        ({"mode": "sensitivity"}, "mode sensitivity trains nothing; leave it out, and set max_trials"),
        ({"mode": "one_shot", "shared_epochs": 40}, "found 40, and mode one_shot spends 40 before its first trial"),
        ({"mode": "learned", "learned_epochs": 50}, "found 40, and mode learned spends 50 before its first trial"),
    ],
)
def test_where_it_says_nothing_it_is_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        RunConfig(max_epochs_total=40, **options)
