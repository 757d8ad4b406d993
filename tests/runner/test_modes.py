"""Whole runs in every mode, and what is kept of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import pytest
from run_record import check_record
from slow import by_hand, slow
from tiny_run import tiny

import qsearch
from qsearch.config.search_modes import MODES, SEARCH_MODES
from qsearch.datasets import load_dataset
from qsearch.errors import ConfigError
from qsearch.runner.pipeline import run
from qsearch.runner.run_result import RunResult
from qsearch.search.trials import Trial

QUICK = ["reference.epochs=1", "run.epochs=1", "final_training.epochs=0"]


def accuracy(folder: Path) -> float:
    """On the selection set, of a saved model."""
    model = qsearch.load_model(folder / "model.keras")
    data = load_dataset("digits", 300, 100, validation=0.2).selection
    return float(numpy.mean(model.predict(data.x, verbose=0).argmax(-1) == data.y.argmax(-1)))


def completed(result: RunResult) -> list[Trial]:
    return [trial for trial in result.trials if isinstance(trial, Trial)]


@pytest.mark.parametrize(
    "mode",
    [
        mode if mode == "guided" else slow(mode) if mode == "bayesian" else by_hand(mode)
        for mode in MODES
        if SEARCH_MODES[mode].trains
    ],
)
def test_every_mode_leaves_a_trained_best_model(mode: str, tmp_path: Path) -> None:
    result = run(tiny(tmp_path, tmp_path / "out"), [*QUICK, f"run.mode={mode}", "run.max_epochs=3"])
    assert result.summary["mode"] == mode
    assert result.best is not None
    assert accuracy(tmp_path / "out" / "best") == pytest.approx(result.best.metric, abs=1e-6)
    kept = {path.name for path in (tmp_path / "out" / "checkpoints").iterdir()}
    assert {"reference.npz", "kept.txt"} <= kept
    assert any(name.startswith("trial_") for name in kept) == (mode in ("guided", "pareto", "one_shot", "learned"))
    unused = [note for note in result.summary["notes"] if note.startswith("run.max_epochs")]
    assert bool(unused) == (mode != "hyperband")
    check_record(result)


@pytest.mark.slow
def test_the_k_best_and_the_front_are_kept_with_their_weights(tmp_path: Path) -> None:
    overrides = [*QUICK, "run.mode=pareto", "run.max_trials=5", "run.best_models=2"]
    result = run(tiny(tmp_path, tmp_path / "out"), overrides)
    models = result.summary["models"]
    by_number = {trial.number: trial for trial in completed(result)}
    ranked = sorted(by_number.values(), key=lambda trial: -trial.score)
    roles = {model["trial"]: model["as"] for model in models}
    assert "best 1" in roles[ranked[0].number]
    assert "best 2" in roles[ranked[1].number]
    assert {number for number, found in roles.items() if "front" in found} == {
        point["trial"] for point in result.summary["front"]["trials"]
    }
    for model in models:
        folder = tmp_path / "out" / model["folder"]
        assert accuracy(folder) == pytest.approx(by_number[model["trial"]].metric, abs=1e-6)
        assert (folder / "plan.yaml").exists()
    report = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "## The trade-off" in report
    assert "## More models" in report
    check_record(result)


@pytest.mark.slow
def test_a_promoted_trial_goes_on_from_its_parents_weights_and_optimizer(tmp_path: Path) -> None:
    """Trained for 1 and then to 3 epochs, the journal shows one training of 3."""
    overrides = [*QUICK, "run.mode=hyperband", "run.max_epochs=3", "run.prune=false"]
    result = run(tiny(tmp_path, tmp_path / "out"), overrides)
    promoted = [trial for trial in completed(result) if trial.proposal.first_epoch]
    assert promoted
    by_number = {trial.number: trial for trial in completed(result)}
    for trial in promoted:
        assert trial.proposal.parent is not None
        parent = by_number[trial.proposal.parent]
        assert trial.to_dict()["first_epoch"] == parent.trained.epochs == 1
        assert len(trial.trained.curve) == trial.trained.epochs - 1
        assert trial.metrics["loss"] < parent.metrics["loss"]


@pytest.mark.slow
def test_children_start_from_the_weights_of_a_trial(tmp_path: Path) -> None:
    overrides = ["reference.epochs=8", "run.epochs=1", "final_training.epochs=0", "run.mode=guided", "run.max_trials=5"]
    losses = []
    for transfer in ("true", "false"):
        result = run(tiny(tmp_path, tmp_path / transfer), [*overrides, f"run.transfer_weights={transfer}"])
        losses.append(sum(trial.metrics["loss"] for trial in completed(result)) / len(completed(result)))
    assert losses[0] < losses[1]


@pytest.mark.parametrize("mode", ["random", "guided"])
def test_a_budget_nothing_fits_into_is_told_with_the_nearest(mode: str, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"run\.budget\.energy: found 1\.00 pJ, and the cheapest candidate takes .* pJ"
    ):
        run(tiny(tmp_path, tmp_path / "out"), [*QUICK, "run.budget.energy=1pJ", f"run.mode={mode}"])


@pytest.mark.parametrize(("most", "met"), [slow("99%", True), ("0%", False)])
def test_the_drop_that_the_user_allows(most: str, met: bool, tmp_path: Path) -> None:
    overrides = ["reference.epochs=10", "run.epochs=1", "final_training.epochs=0", f"max_drop={most}"]
    result = run(tiny(tmp_path, tmp_path / "out"), overrides)
    assert result.summary["demands"]["met"] is met
    assert result.best is not None
    trials = completed(result)
    expected = max(trials, key=lambda trial: trial.score if met else trial.metric)
    assert result.best.number == expected.number or result.best.metric == expected.metric
    report = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert ("No trial keeps to it" in report) == (not met)


@pytest.mark.slow
def test_executions_are_averaged(tmp_path: Path) -> None:
    result = run(tiny(tmp_path, tmp_path / "out"), [*QUICK, "run.max_trials=1", "run.executions_per_trial=3"])
    assert result.best is not None
    samples = 60
    hits = result.best.metric * samples * 3
    assert hits == pytest.approx(round(hits), abs=1e-3)
    assert accuracy(tmp_path / "out" / "best") >= result.best.metric - 1e-6


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "trials.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow
def test_the_journal_tells_parents_and_curves(tmp_path: Path) -> None:
    run(tiny(tmp_path, tmp_path / "out"), [*QUICK, "run.mode=guided", "run.epochs=2", "run.max_trials=4"])
    journal = [line for line in lines(tmp_path / "out") if line["status"] == "completed"]
    assert all(len(line["curve"]) == line["epochs"] for line in journal)
    assert "parent" not in journal[0]
    assert all(line["parent"] < line["id"] for line in journal[1:])
