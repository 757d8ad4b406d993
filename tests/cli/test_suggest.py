"""`qsearch suggest`: plans for budgets, written and told, and what it refuses."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from dense_net import dense
from few import few

import qsearch
from qsearch.cli.quantize import quantize
from qsearch.cli.suggest import suggest
from qsearch.errors import ConfigError, OutputError

Told = dict[str, Any]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run of few quantizers, the reference trained for long enough to know something."""
    folder = tmp_path_factory.mktemp("suggest")
    return few(folder, folder / "out")


def done(*arguments: object) -> Result:
    return CliRunner().invoke(suggest, [*map(str, arguments)])


@pytest.fixture(scope="module")
def told(config: Path) -> Told:
    folder = config.parent / "found"
    result = done(config, "-o", folder, "--rungs", 3, "--samples", 64, "--format", "json")
    assert result.exception is None, result.output
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def test_the_ladder_is_told_and_written(told: Told, config: Path) -> None:
    folder = Path(told["folder"])
    assert told["schema"] == "qsearch.suggest/1"
    assert told["reference"]["epochs_trained"] == 8
    assert told["one_model"] is True
    plans = told["plans"]
    assert 2 <= len(plans) <= 3
    assert [one["energy"] for one in plans] == sorted(one["energy"] for one in plans)
    assert [one["predicted_increase"] for one in plans] == sorted(
        (one["predicted_increase"] for one in plans), reverse=True
    )
    for one in plans:
        assert one["exact"] is True
        assert one["method"] == "dynamic programming"
        assert one["energy"] <= one["budget"] + 0.01
        assert yaml.safe_load((folder / one["folder"] / "plan.yaml").read_text(encoding="utf-8")) == one["plan"]
        model = qsearch.load_model(folder / one["folder"] / "model.keras")
        assert qsearch.estimate_energy(model).total == pytest.approx(one["energy"], abs=0.02)
    rows = list(csv.DictReader((folder / "sensitivity.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == len(told["sensitivity"])
    assert {row["part"] for row in rows} >= {"kernel", "activation"}
    page = (folder / "suggest.html").read_text(encoding="utf-8")
    assert 'id="sensitivity"' in page
    assert "Kendall" in page or told["rank_correlation"] is None
    assert (folder / "sensitivity.svg").read_text(encoding="utf-8").startswith("<svg")


def test_its_plan_is_one_that_quantize_takes_and_its_model_one_to_suggest_for(
    told: Told, config: Path, tmp_path: Path
) -> None:
    folder = Path(told["folder"])
    model = tmp_path / "model.keras"
    qsearch.build_model("digits", filters=[6, 8, 10]).save(model)
    plan = folder / told["plans"][-1]["folder"] / "plan.yaml"
    result = CliRunner().invoke(quantize, [str(model), "--plan", str(plan), "-o", str(tmp_path / "out.keras")])
    assert result.exception is None, result.output


def test_what_cannot_be_answered_is_told_before_anything_is_trained(config: Path, tmp_path: Path) -> None:
    for arguments, message in (
        (("--budget", "energy=1pJ"), r"--budget energy=1pJ: no plan keeps to it; the cheapest takes .* pJ \(.*pJ\)"),
        (
            ("--budget", "latency=1ms"),
            "--budget 'latency=1ms': expected COST=AMOUNT, such as energy=20nJ; costs: energy",
        ),
        (("--budget", "flash=1"), r"--budget flash=1B: no plan keeps to it; the cheapest takes .* bytes \(.* bytes\)"),
        (("--budget", "ram=9kB"), r"--budget ram: is the most that is alive at once, .* keeps to it: run\.budget\.ram"),
        (("--budget", "flash=9pJ"), "--budget 'flash=9pJ': found '9pJ', with the unit 'pJ', allowed"),
        (("--budget", "energi=20nJ"), "did you mean 'energy'"),
        (("--budget", "energy=much"), "--budget 'energy=much': found 'much', expected an energy above 0"),
        (("--data", "digits"), "--data: is for a MODEL; a configuration has it in its sections"),
    ):
        result = done(config, "-o", tmp_path / "none", *arguments)
        assert isinstance(result.exception, ConfigError), result.output
        assert re.search(message, str(result.exception)), str(result.exception)
    assert not (tmp_path / "none").exists()


def test_a_model_needs_data_and_training(tmp_path: Path) -> None:
    model = tmp_path / "model.keras"
    qsearch.build_model("digits", filters=[4, 4]).save(model)
    without = done(model)
    assert isinstance(without.exception, ConfigError)
    assert "--data is missing, which plans are measured on" in str(without.exception)
    untrained = done(model, "--data", "digits", "--samples", 32, "-o", tmp_path / "out")
    assert isinstance(untrained.exception, ConfigError)
    assert "the reference is not trained: its loss is" in str(untrained.exception)


def test_budgets_of_other_costs_each_have_their_plan(tmp_path: Path) -> None:
    budgets = ("--budget", "weight_memory=1kB", "--budget", "bops=20k", "--budget", "energy=1uJ")
    result = done(dense(tmp_path), "-o", tmp_path / "found", *budgets, "--samples", 32, "--format", "json")
    assert result.exception is None, result.output
    plans = json.loads(result.stdout)["plans"]
    assert {one["cost"] for one in plans} <= {"weight_memory", "bops", "energy"}
    assert len(plans) >= 2
    for one in plans:
        assert one["spent"] <= one["budget"]
        assert one["exact"] is True
    assert [one["energy"] for one in plans] == sorted(one["energy"] for one in plans)


def test_a_folder_that_is_taken_stays(config: Path, tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("mine", encoding="utf-8")
    result = done(config, "-o", tmp_path)
    assert isinstance(result.exception, OutputError)
    assert str(result.exception).startswith("-o: ")
    assert [one.name for one in tmp_path.iterdir()] == ["own.txt"]
