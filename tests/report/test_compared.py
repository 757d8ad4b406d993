"""Runs side by side, and what of them cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from run_by_hand import CONFIG, REFERENCE, completed, made_run, plan

from qsearch.goal.target import Target
from qsearch.report.compared import Comparison, compare
from qsearch.report.comparison_tables import csv_rows, headline_rows, remarks
from qsearch.runs.record import RunRecord
from qsearch.search.front import Point, hypervolume
from qsearch.search.trials import Trial


def made(folder: Path, *trials: Trial, config: str = CONFIG, ended: bool = True) -> RunRecord:
    return RunRecord.read(made_run(folder, trials, config=config, best=trials[0] if trials else None, ended=ended))


def rows(comparison: Comparison) -> dict[str, tuple[str, ...]]:
    return {row[0]: row[1:] for row in headline_rows(comparison)}


def test_figures_side_by_side(tmp_path: Path) -> None:
    found = compare(
        [made(tmp_path / "a", completed(1, 0.9, 4000.0)), made(tmp_path / "b", completed(7, 0.95, 5000.0), ended=False)]
    )
    assert found.incomparable == {}
    assert found.differences == ()
    shown = rows(found)
    assert shown["best, times less energy"] == ("2.5", "2")
    assert shown["best, test set"] == ("0.8900", "-")  # of the one that has ended
    assert shown["best: trial"] == ("1", "7")
    assert shown["state"] == ("finished", "stopped")
    assert json.loads(json.dumps(found.to_dict()))["runs"][1]["best_energy"] == 5000.0


def test_fronts_over_each_other(tmp_path: Path) -> None:
    """What one run has beats points of the other, and both are measured from the same corner."""
    one = made(tmp_path / "a", completed(1, 0.9, 4000.0), completed(2, 0.5, 3000.0))
    other = made(tmp_path / "b", completed(1, 0.95, 4000.0), completed(2, 0.4, 2000.0), completed(3, 0.5, 3000.0))
    front = compare([one, other]).front
    assert front is not None
    assert [(point.run, point.trial) for point in front.points] == [(1, 2), (0, 2), (1, 3), (1, 1)]
    assert (front.corner_metric, front.corner_cost) == (0.4, REFERENCE)
    assert front.hypervolumes[0] == hypervolume([Point(0.9, 4000.0), Point(0.5, 3000.0)], Point(0.4, REFERENCE))
    assert front.hypervolumes[1] > front.hypervolumes[0]


def test_the_front_of_a_loss(tmp_path: Path) -> None:
    loss = Target("val_loss", False, 0.0)
    runs = [
        RunRecord.read(made_run(tmp_path / str(value), [trial], best=trial, direction="min"))
        for value in (0.2, 0.4)
        for trial in [completed(1, value, 4000.0, target=loss)]
    ]
    front = compare(runs).front
    assert front is not None
    assert [(point.run, point.metric) for point in front.points] == [(0, 0.2)]
    assert front.corner_metric == 0.4


def test_configurations_as_far_as_they_differ(tmp_path: Path) -> None:
    other = CONFIG.replace("max_trials: 50", "max_trials: 9, mode: guided, time_limit: 2h")
    found = compare(
        [made(tmp_path / "a", completed(1, 0.9, 4000.0)), made(tmp_path / "b", completed(1, 0.9, 4000.0), config=other)]
    )
    differences = {each.key: each.values for each in found.differences}
    assert differences["run.mode"] == ("random", "guided")
    assert differences["run.max_trials"] == (50, 9)
    assert differences["run.time_limit"][0] is None
    assert len(differences) == 3  # the folder of each is no difference


@pytest.mark.parametrize(
    ("change", "incomparable"),
    [
        (("validation: 0.2", "validation: 0.1"), {"metric", "score"}),
        (("goal: {type: energy}", "goal: {type: bits}"), {"energy", "cost", "score"}),
        (("goal: {type: energy}", "goal: {type: energy, params: {process: jouppi_7nm}}"), {"energy", "cost", "score"}),
        (("goal: {type: energy}", "goal: {type: energy, params: {delta_p: 4.0}}"), {"score"}),
        (("run: {", "run: {seed: 3, "), set()),
    ],
)
def test_what_is_not_the_same_is_not_compared(tmp_path: Path, change: tuple[str, str], incomparable: set[str]) -> None:
    one, other = completed(1, 0.9, 4000.0), completed(1, 0.8, 3000.0)
    found = compare([made(tmp_path / "a", one), made(tmp_path / "b", other, config=CONFIG.replace(*change))])
    assert {*found.incomparable} == incomparable
    assert (found.front is None) == bool({"metric", "cost"} & incomparable)
    marked = {title.removesuffix(" *") for title in rows(found) if title.endswith(" *")}
    assert ("best, energy" in marked) == ("energy" in incomparable)
    assert ("best, selection set" in marked) == ("metric" in incomparable)
    assert len(remarks(found)) == len(incomparable)


def test_layers_that_the_best_models_share(tmp_path: Path) -> None:
    one = completed(1, 0.9, 4000.0, own_plan=plan("ternary", head={"kernel": "binary"}))
    other = completed(1, 0.9, 4000.0, own_plan=plan("binary", body={"kernel": "binary"}))
    found = compare([made(tmp_path / "a", one), made(tmp_path / "b", other)])
    assert [(each.layer, each.part, each.values) for each in found.layers] == [
        ("conv", "kernel", ("ternary", "binary")),
        ("conv", "filters", (8, 8)),
    ]
    assert found.unshared == 2


def test_names_tell_folders_apart(tmp_path: Path) -> None:
    folders = [tmp_path / "x" / "digits", tmp_path / "y" / "digits", tmp_path / "y" / "other"]
    for folder in folders:
        folder.parent.mkdir(exist_ok=True)
    found = compare([made(folder, completed(1, 0.9, 4000.0)) for folder in folders])
    assert [run.name for run in found.runs] == ["x/digits", "y/digits", "other"]


def test_a_run_without_trials(tmp_path: Path) -> None:
    found = compare([made(tmp_path / "a", ended=False), made(tmp_path / "b", completed(1, 0.9, 4000.0))])
    assert rows(found)["best, score"] == ("-", f"{found.runs[1].best_score:.4f}")
    assert found.front is not None
    assert found.front.hypervolumes[0] == 0.0
    assert len({len(row) for row in csv_rows(found)}) == 1
