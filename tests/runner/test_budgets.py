"""Several budgets at once and tolerances in whole runs; what nothing meets is told before any training."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_run import tiny

from qsearch.config import load_config
from qsearch.errors import ConfigError, SearchError
from qsearch.goal.pricer import costs_of
from qsearch.report.shown_run import ShownRun
from qsearch.runner.experiment import Experiment, read_experiment
from qsearch.runner.feasible import check_budget, least_of
from qsearch.runner.outlook import outlook
from qsearch.runner.pipeline import run
from qsearch.search.trials import Trial

QUICK = ["run.max_trials=2", "run.epochs=1", "reference.epochs=1", "final_training=null"]
REGRESSION = """
import keras
import numpy
from sklearn.datasets import load_diabetes


def data():
    x, y = load_diabetes(return_X_y=True)
    x, y = (x * 20).astype("float32"), (y / 100).astype("float32")[:, None]
    return (x[:340], y[:340]), (x[340:], y[340:])


def net():
    inputs = keras.Input((10,))
    x = keras.layers.Dense(16, name="d0")(inputs)
    x = keras.layers.Activation("relu", name="a0")(x)
    return keras.Model(inputs, keras.layers.Dense(1, name="d1")(x))
"""


def experiment(folder: Path, *overrides: str) -> Experiment:
    return read_experiment(load_config(tiny(folder, folder / "out"), list(overrides)))


def within(free: Experiment, folder: Path, budget: str) -> Experiment:
    """The same with another budget, of which only the prices know."""
    loaded = load_config(tiny(folder, folder / "out"), [f"budget={budget}"])
    further = loaded.config.run.budget.further
    return replace(free, loaded=loaded, costs=costs_of(loaded.config.goal, free.graph, free.space.base, further))


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Which tells every cost."""
    folder = tmp_path_factory.mktemp("free")
    every = "weight_memory: 1GB, peak_activation: 1GB, flash: 1GB, ram: 1GB, bops: 1T, ebops: 1T, bits: 1GB"
    return experiment(folder, f"budget={{energy: 1J, {every}}}")


def test_a_limit_that_can_be_met_exactly(free: Experiment, tmp_path: Path) -> None:
    """The least of each cost is a budget that is met, and anything less is refused with that figure."""
    keys = list(free.loaded.config.run.budget.limits)
    least = least_of(free, free.space, keys)
    assert list(least) == keys
    for key in keys:
        bare = within(free, tmp_path, f"{{{key}: {least[key]}}}")
        check_budget(bare, bare.space)
        less = within(free, tmp_path, f"{{{key}: {least[key] * 0.99}}}")
        told = re.escape(f"{least[key]:,.10g}") if key != "energy" else r"[\d,.]+"
        with pytest.raises(ConfigError, match=rf"run\.budget\.{key}: found .*; raise it to {told} at least") as refused:
            check_budget(less, less.space)
        assert "the reference:" in str(refused.value)


def test_all_limits_that_nothing_meets_are_told(free: Experiment, tmp_path: Path) -> None:
    found = within(free, tmp_path, "{energy: 1pJ, weight_memory: 10B, ebops: 1G}")
    with pytest.raises(ConfigError) as refused:
        check_budget(found, found.space)
    keys = ["run.budget.energy", "run.budget.weight_memory"]
    assert [next(key for key in keys if f"{key}: found" in line) for line in str(refused.value).splitlines()] == keys
    assert [mistake.key for mistake in refused.value.mistakes] == keys


def test_limits_that_nothing_meets_together(tmp_path: Path) -> None:
    """3 bits are less memory than a power of two of 4, whose one bit is less operations."""
    kernels = '["quantized_bits(3,0,1,alpha=1.0)", "quantized_po2(4,1)"]'
    options = [
        "quantization_config.kernel={'quantized_bits(3,0,1,alpha=1.0)': 3, 'quantized_po2(4,1)': 4}",
        f"limit={{Conv2D: [{kernels}, 8, 4], Activation: [4]}}",
        "run.tune_filters=none",
    ]
    found = experiment(tmp_path, *options, "budget={weight_memory: 1GB, ebops: 1G}")
    least = least_of(found, found.space, ["weight_memory", "ebops"])
    for name in least:
        one = experiment(tmp_path, *options, f"budget={{{name}: {least[name]}}}")
        check_budget(one, one.space)
    both = f"budget={{weight_memory: {least['weight_memory']}, ebops: {least['ebops']}}}"
    together = experiment(tmp_path, *options, both)
    told = r"run\.budget: no candidate keeps to ebops and weight_memory at once; the nearest has ebops .* bytes; raise"
    with pytest.raises(ConfigError, match=told):
        check_budget(together, together.space)


def test_check_tells_each_limit(tmp_path: Path) -> None:
    sets = ["budget={energy: 5nJ, ram: 1kB}", "goal={type: ebops}", *QUICK]
    seen = outlook(load_config(tiny(tmp_path, tmp_path / "out"), sets))
    assert seen.unit == "EBOPs"
    assert [(limit.cost, limit.unit, limit.most) for limit in seen.budget] == [
        ("energy", "pJ", 5000.0),
        ("ram", "bytes", 1000.0),
    ]
    assert all(limit.least is not None and limit.least <= limit.most < limit.reference * 10 for limit in seen.budget)
    assert [one["cost"] for one in seen.to_dict()["budget"]] == ["energy", "ram"]


@pytest.mark.parametrize("mode", [pytest.param("random", marks=pytest.mark.by_hand), "guided"])
def test_a_run_with_a_goal_of_operations_and_two_budgets(mode: str, tmp_path: Path) -> None:
    sets = ["goal={type: bops}", "budget={energy: 2nJ, weight_memory: 1.5kB}", "tolerance={drop: 0.9}", *QUICK]
    result = run(tiny(tmp_path, tmp_path / "out"), [*sets, f"run.mode={mode}"])
    best, found = result.best, result.summary
    assert best is not None
    assert (found["goal"], found["unit"]) == ("bops", "BOPs")
    demands = found["demands"]
    assert demands["met"] is True
    assert demands["acc"] == pytest.approx(found["reference"]["selection"]["acc"] - 0.9)
    assert [(one["cost"], one["most"]) for one in demands["limits"]] == [("energy", 2000), ("weight_memory", 1500)]
    assert [one["best"] for one in demands["limits"]] == [
        round(best.price.energy, 2),
        best.price.spent["weight_memory"],
    ]
    assert best.price.energy <= 2000
    assert best.price.spent["weight_memory"] <= 1500
    assert best.price.cost == found["best"]["cost"]
    report = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "| weight_memory | 1.5 kB |" in report
    assert "BOPs |" in report
    energies = json.loads((tmp_path / "out" / "energy.json").read_text(encoding="utf-8"))
    assert energies["costs"]["unit"] == "BOPs"
    assert sum(energies["costs"]["best"].values()) == best.price.cost
    lines = [json.loads(line) for line in (tmp_path / "out" / "trials.jsonl").read_text().splitlines()]
    assert all(line["spent"]["weight_memory"] <= 1500 for line in lines if line["status"] == "completed")
    shown = ShownRun.read(str(tmp_path / "out"))
    assert [axis.budget for axis in shown.axes if axis.key in ("energy", "weight_bytes")] == [2000, 1500]
    assert shown.axes[0].label == "bit operations (BOPs)"
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "at most 1.5 kB" in page


@pytest.mark.slow
def test_a_budget_that_an_earlier_run_did_not_have(tmp_path: Path) -> None:
    """A journal without what the new limits are about; the best of its trials within them is taken."""
    config = tiny(tmp_path, tmp_path / "out")
    sets = ["run.max_trials=3", "run.epochs=1", "reference.epochs=1", "final_training=null", "run.prune=false"]
    before = run(config, sets)
    journal = (tmp_path / "out" / "trials.jsonl").read_text()
    assert '"spent"' not in journal
    finished = [trial for trial in before.trials if isinstance(trial, Trial)]
    priced = experiment(tmp_path, "budget={weight_memory: 1GB}").costs
    memory = {trial.number: priced.price(trial.plan).spent["weight_memory"] for trial in finished}
    most = sorted(memory.values())[1]
    expected = max((one for one in finished if memory[one.number] <= most), key=lambda trial: trial.score)
    again = run(config, [*sets, f"run.budget.weight_memory={most}"], resume=True)
    assert again.best is not None
    assert again.best.number == expected.number
    assert again.summary["demands"]["limits"][0]["best"] == memory[expected.number]
    assert (tmp_path / "out" / "trials.jsonl").read_text() == journal


def test_a_space_of_one_plan(tmp_path: Path) -> None:
    one = """{Conv2D: [["quantized_bits(4,0,1)"], ["quantized_bits(8,3,1)"], ["quantized_relu(3,1)"]],
              Dense: [["quantized_bits(4,0,1)"], ["quantized_bits(8,3,1)"], ["quantized_relu(3,1)"]],
              Activation: [["quantized_relu(3,1)"]]}"""
    sets = [f"limit={one}", "run.tune_filters=none", "goal={type: weight_memory}", *QUICK]
    found = experiment(tmp_path, *sets, "budget={flash: 1MB}")
    assert found.space.size == 1
    result = run(tiny(tmp_path, tmp_path / "a"), [*sets, "budget={flash: 1MB, peak_activation: 1MB}"])
    assert result.best is not None
    assert result.summary["best"]["cost"] == result.best.price.cost
    with pytest.raises(ConfigError, match=r"run\.budget\.flash: found 1,000 bytes, and the cheapest candidate takes"):
        run(tiny(tmp_path, tmp_path / "b"), [*sets, "budget={flash: 1kB}"])


def test_a_residual_network_with_tied_widths(tmp_path: Path) -> None:
    sets = ["model={name: digits_resnet}", "run.tune_filters=layer", "goal={type: peak_activation}"]
    found = experiment(tmp_path, *sets, "budget={weight_memory: 1GB, ram: 1GB}")
    least = least_of(found, found.space, ["weight_memory", "ram", "cost"])
    budget = f"budget={{weight_memory: {least['weight_memory'] * 1.5}, ram: {least['ram'] * 1.5}}}"
    result = run(tiny(tmp_path, tmp_path / "out"), [*sets, budget, "run.mode=guided", *QUICK])
    assert result.best is not None
    assert result.best.price.spent["ram"] <= least["ram"] * 1.5
    assert result.best.price.cost >= least["cost"]
    assert result.summary["unit"] == "bytes"


@pytest.mark.slow
def test_a_regression_with_an_error_to_keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "diabetes_mse.py").write_text(REGRESSION, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    text = """
dataset: {factory: "diabetes_mse:data", validation: 0.25}
model: {factory: "diabetes_mse:net"}
reference: {epochs: 10, loss: mse, metrics: [mse], batch_size: 30}
limit: {Dense: [8, 8, 4], Activation: [8]}
goal: {type: flash}
run: {output_dir: out, max_trials: 3, epochs: 5, mode: guided, seed: 1}
"""
    Path("c.yaml").write_text(text, encoding="utf-8")
    for ratio, met in (("1000", True), ("1", False)):
        result = run("c.yaml", [f"tolerance={{ratio: {ratio}}}", f"run.output_dir=out_{met}"])
        summary = result.summary
        reference = summary["reference"]["selection"]["mse"]
        assert summary["direction"] == "min"
        assert summary["demands"]["mse"] == pytest.approx(float(ratio) * reference)
        assert result.best is not None
        assert summary["demands"]["met"] is (result.best.metric <= summary["demands"]["mse"])
        if met:
            assert result.best.accepted
    with pytest.raises(ConfigError, match=r"run\.tolerance\.ratio: found 0\.9, .* mse .* less of it is better"):
        run("c.yaml", ["tolerance={ratio: 0.9}", "run.output_dir=out_wrong"])
    with pytest.raises(ConfigError, match=r"run\.tolerance\.metric: found -2, and mse is 0 at best"):
        run("c.yaml", ["tolerance={metric: -2}", "run.output_dir=out_wrong"])


@pytest.mark.slow
def test_blocks_keep_to_every_limit(tmp_path: Path) -> None:
    blocks = ['run.blocks=["^.*_0$", "^.*_1$", "^.*_2$|^dense"]', "run.min_trials_per_block=1"]
    found = experiment(tmp_path, *blocks, "budget={weight_memory: 1GB, peak_activation: 1GB}")
    least = least_of(found, found.space, ["weight_memory", "energy"])
    budget = f"budget={{energy: {least['energy'] * 3}, weight_memory: {least['weight_memory'] * 1.6}}}"
    result = run(tiny(tmp_path, tmp_path / "out"), [*blocks, budget, "run.mode=guided", *QUICK])
    assert result.best is not None
    assert [limit["best"] <= limit["most"] for limit in result.summary["demands"]["limits"]] == [True, True]
    assert len(result.summary["blocks"]) == 3


def test_random_proposals_that_all_miss_the_budget_are_told_so(free: Experiment, tmp_path: Path) -> None:
    least = least_of(free, free.space, ["energy"])["energy"]
    sets = [f"run.budget.energy={least * 1.02}", "run.mode=random", *QUICK]
    with pytest.raises(SearchError, match=r"nothing that was proposed is inside it .* mode guided"):
        run(tiny(tmp_path, tmp_path / "out"), sets)
