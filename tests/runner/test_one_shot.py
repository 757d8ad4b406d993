"""Whole runs by shared weights: trained once, plans ranked, the most promising fine-tuned; stopped and gone on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import pytest
from run_left import left, same
from run_record import check_record
from slow import by_hand, slow
from stopped_stage import Killed, Watching, save_every_epoch

from qsearch.config import load_config
from qsearch.errors import ConfigError, OutputError, SearchError
from qsearch.runner.outlook import outlook
from qsearch.runner.pipeline import run
from qsearch.search.one_shot import OneShot
from qsearch.search.proposals import SHARED
from qsearch.search.trials import Trial
from qsearch.training.checkpoints import Checkpoints

NET = """
import keras
from keras import layers

def dense():
    x = inputs = keras.Input((8, 8, 1), name="image")
    x = layers.Flatten(name="flat")(x)
    for index in range(2):
        x = layers.Dense(8, name=f"hidden_{index}")(x)
        x = layers.BatchNormalization(name=f"norm_{index}")(x)
        x = layers.Activation("relu", name=f"act_{index}")(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax", name="head")(x))
"""
CONFIG = """
dataset: {name: digits, train_samples: 200, test_samples: 100, validation: 0.2}
model: {factory: "one_shot_net:dense"}
reference: {optimizer: {name: adam, learning_rate: 0.01}, metrics: [acc], epochs: 2, batch_size: 32}
limit: {Dense: [4, 8, 4], Activation: [4], BatchNormalization: []}
run: {output_dir: OUT, mode: one_shot, max_trials: 7, epochs: 2, batch_size: 32, shared_epochs: 3, shared_plans: 20,
      tune_filters: layer}
"""


TITLE = "shared weights"
"""Of the stage before the trials."""


def config(folder: Path) -> Path:
    (folder / "one_shot_net.py").write_text(NET, encoding="utf-8")
    path = folder / "config.yaml"
    path.write_text(CONFIG.replace("OUT", str(folder / "out")), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Watching]:
    """A run that nothing stops."""
    folder, watching = tmp_path_factory.mktemp("whole"), Watching(TITLE)
    return folder / "out", run(config(folder), observer=watching), watching


@pytest.mark.slow
def test_trials_are_the_most_promising_plans_from_the_shared_weights(whole: tuple[Path, Any, Watching]) -> None:
    out, result, watching = whole
    assert watching.epochs == [1, 2, 3]
    ranking = json.loads((out / "shared.json").read_text(encoding="utf-8"))
    assert len(ranking["plans"]) == 20
    assert ranking["epochs"] == 3
    trials = [json.loads(line) for line in (out / "trials.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(trials) == 7
    order = [plan["values"] for plan in ranking["plans"]]
    shared = [trial for trial in trials if trial["parent"] == SHARED]
    assert [trial["values"] for trial in shared] == order[: len(shared)]
    figures = result.summary["shared_weights"]
    assert figures["compared"] == len(shared) == 6  # half of 7, and at least 6
    assert (figures["epochs"], figures["plans"]) == (3, 20)
    assert figures["epochs_in_all"] == 3 + sum(trial["epochs"] for trial in trials)
    assert -1 <= figures["tau"] <= 1
    assert (figures["fell_back"] is None) == (figures["tau"] >= 0.5)
    for name in ("report.md", "report.html"):
        assert f"{figures['epochs_in_all']} epochs in all" in (out / name).read_text(encoding="utf-8")
    check_record(result)


@pytest.mark.slow
def test_a_trial_starts_from_its_part_of_the_shared_weights(whole: tuple[Path, Any, Watching], tmp_path: Path) -> None:
    """Shared weights that have learned are better after one epoch than fresh ones after two."""
    out, result, _ = whole
    first = next(trial for trial in result.trials if isinstance(trial, Trial))
    ranking = json.loads((out / "shared.json").read_text(encoding="utf-8"))["plans"]
    assert first.trained.curve[0] >= ranking[0]["metric"] - 0.15
    assert Checkpoints(out / "checkpoints").shared() is not None


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
        run(config(tmp_path), observer=Watching(TITLE, epoch, trial))
    later = Watching(TITLE)
    run(tmp_path / "config.yaml", observer=later, resume=True)
    assert later.epochs == ([3] if trial is None else [])
    same(left(tmp_path / "out"), left(whole[0]))
    ours, theirs = (Checkpoints(out / "checkpoints").shared() for out in (tmp_path / "out", whole[0]))
    assert ours is not None
    assert theirs is not None
    assert all(numpy.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.slow
def test_an_order_that_is_wrong_is_told_and_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = OneShot._tau
    monkeypatch.setattr(OneShot, "_tau", lambda self: None if original(self) is None else -0.3)
    watching = Watching(TITLE)
    result = run(config(tmp_path), ["run.max_trials=8", "run.epochs=1"], observer=watching)
    assert result.summary["shared_weights"]["fell_back"] == 6
    assert any("not believed" in line for line in watching.lines)
    assert [trial.proposal.parent == SHARED for trial in result.trials[:7]] == [True] * 6 + [False]
    assert "from trial 6 on" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("run.blocks=['hidden', 'head']", "run.mode: found one_shot with run.blocks"),
        ("run.transfer_weights=false", "run.transfer_weights: found false with mode one_shot"),
        pytest.param(
            "reference.optimizer.name=adafactor",
            "run.mode: found 'one_shot', whose weights are shared by all plans",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_cannot_be_shared_is_told_before_training(override: str, told: str, tmp_path: Path) -> None:
    watching = Watching(TITLE)
    with pytest.raises(ConfigError) as caught:
        run(config(tmp_path), [override], observer=watching)
    assert told in str(caught.value)
    assert not any("reference" in line and "epochs" in line for line in watching.lines)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_damaged_ranking_is_told(whole: tuple[Path, Any, Watching], tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run(config(tmp_path), observer=Watching(TITLE, trial=1))
    (tmp_path / "out" / "shared.json").write_text('{"plans": 7}', encoding="utf-8")
    with pytest.raises(OutputError, match="delete it, and plans are ranked anew"):
        run(tmp_path / "config.yaml", resume=True)


@pytest.mark.slow
def test_without_time_nothing_is_searched(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match=r"while the shared weights were trained.*lower run\.shared_epochs"):
        run(config(tmp_path), ["run.time_limit=20s", "run.shared_epochs=100000", "reference.epochs=0"])


@pytest.mark.by_hand
def test_epochs_of_the_shared_weights_are_told_before(tmp_path: Path) -> None:
    found = outlook(load_config(config(tmp_path)))
    assert [stage.epochs for stage in found.stages] == [7 * 2 + 3]


@pytest.mark.slow
def test_workers_train_from_the_shared_weights_too(whole: tuple[Path, Any, Watching], tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    result = run(config(tmp_path), workers=2)
    assert {trial.proposal.parent for trial in result.trials[:3]} == {SHARED}
    ours, theirs = (Checkpoints(out / "checkpoints").shared() for out in (tmp_path / "out", whole[0]))
    assert ours is not None
    assert theirs is not None
    assert all(numpy.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))
