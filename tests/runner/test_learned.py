"""Whole runs in mode learned: plans from a mixed model become trials with its weights; stopped and gone on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mixed_net import config
from run_left import left, same
from run_record import check_record
from slow import by_hand, slow
from stopped_stage import Killed, Watching, save_every_epoch

from qsearch.config import load_config
from qsearch.errors import ConfigError, SearchError
from qsearch.runner.outlook import outlook
from qsearch.runner.pipeline import run
from qsearch.search.proposals import SHARED

TITLE = "mixed model"
"""Of the stage before the trials."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Watching]:
    """A run that nothing stops."""
    folder, watching = tmp_path_factory.mktemp("whole"), Watching(TITLE)
    return folder / "out", run(config(folder, "mixed_net_run"), observer=watching), watching


@pytest.mark.slow
def test_the_plans_that_are_learned_become_trials(whole: tuple[Path, Any, Watching]) -> None:
    out, result, watching = whole
    assert watching.epochs == [1, 2, 3, 4]
    ranking = json.loads((out / "shared.json").read_text(encoding="utf-8"))
    assert ranking["epochs"] == 4
    trials = [json.loads(line) for line in (out / "trials.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(trials) == 7
    order = [plan["values"] for plan in ranking["plans"]]
    shared = [trial for trial in trials if trial["parent"] == SHARED]
    assert [trial["values"] for trial in shared] == order[: len(shared)]
    assert len({json.dumps(values, sort_keys=True) for values in order}) == len(order) >= 3
    figures = result.summary["shared_weights"]
    assert (figures["epochs"], figures["plans"]) == (4, len(order))
    assert figures["compared"] == len(shared) == min(6, len(order))
    assert figures["epochs_in_all"] == 4 + sum(trial["epochs"] for trial in trials)
    for name in ("report.md", "report.html"):
        text = (out / name).read_text(encoding="utf-8")
        assert f"{figures['epochs_in_all']} epochs in all" in text
        assert "model of all options mixed" in text
    check_record(result)


@pytest.mark.parametrize(("epoch", "trial"), [slow(2, None), by_hand(None, 3)])
def test_a_killed_run_goes_on_to_the_same_end(
    epoch: int | None,
    trial: int | None,
    whole: tuple[Path, Any, Watching],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save_every_epoch(monkeypatch)
    with pytest.raises(Killed):
        run(config(tmp_path, "mixed_net_run"), observer=Watching(TITLE, epoch, trial))
    later = Watching(TITLE)
    run(tmp_path / "config.yaml", observer=later, resume=True)
    assert later.epochs == ([3, 4] if trial is None else [])
    same(left(tmp_path / "out"), left(whole[0]))


@pytest.mark.slow
def test_trials_keep_to_a_budget(whole: tuple[Path, Any, Watching], tmp_path: Path) -> None:
    energies = sorted(plan["energy"] for plan in json.loads((whole[0] / "shared.json").read_text())["plans"])
    budget = round((energies[0] * energies[-1]) ** 0.5, 2)
    watching = Watching(TITLE)
    result = run(config(tmp_path, "mixed_net_run"), [f"run.budget.energy={budget}"], observer=watching)
    assert any(f"from dear plans to {budget:,.0f} pJ" in line for line in watching.lines)
    plans = json.loads((tmp_path / "out" / "shared.json").read_text(encoding="utf-8"))["plans"]
    assert max(plan["energy"] for plan in plans) <= budget
    assert result.best is not None
    assert result.best.price.energy <= budget


@pytest.mark.by_hand
def test_without_time_nothing_is_searched(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match=r"while the mixed model was trained.*lower run\.learned_epochs"):
        overrides = ["run.time_limit=25s", "run.learned_epochs=100000", "reference.epochs=0"]
        run(config(tmp_path, "mixed_net_run"), overrides)


def test_epochs_of_the_mixed_model_are_told_before(tmp_path: Path) -> None:
    found = outlook(load_config(config(tmp_path, "mixed_net_run"), ["run.shared_epochs=7", "run.shared_trials=3"]))
    assert [stage.epochs for stage in found.stages] == [7 * 2 + 4]
    assert "run.shared_epochs: is for mode one_shot; not used in mode learned" in found.remarks
    assert not any("shared_trials" in line for line in found.remarks)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("run.blocks=['hidden', 'head']", "run.mode: found learned with run.blocks"),
        ("run.transfer_weights=false", "run.transfer_weights: found false with mode learned"),
    ],
)
def test_what_is_for_a_whole_network_from_trained_weights(override: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(config(tmp_path, "mixed_net_run"), [override])
    assert told in str(caught.value)
