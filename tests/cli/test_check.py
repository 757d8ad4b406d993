"""`qsearch check`: what a run would import and read is told before anything is imported."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner, Result
from tiny_run import tiny

from qsearch.cli.check import check
from qsearch.config import load_config
from qsearch.config.import_paths import import_paths
from qsearch.errors import ConfigError
from qsearch.runner.experiment import read_experiment, schedule_of
from qsearch.runner.feasible import extremes
from qsearch.runner.outlook import outlook

CONFIG = """
dataset: {factory: "looked_at:data", augment: "looked_at:moved"}
model: {factory: "looked_into.deep:build", custom_objects: ["looked_at:Layer"], arguments: {a: "x:y"}}
reference:
  loss: {a: "looked_at:loss", b: mse}
  metrics: [acc, {whole_set: "looked_at:auc", scores: "looked_at:score"}, "numpy.linalg:norm"]
limit: {Dense: [4]}
run: {output_dir: "a:b"}
"""
PATHS = ("data", "moved", "Layer", "loss", "auc", "score")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "looked_at.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    (tmp_path / "looked_into").mkdir()
    (tmp_path / "looked_into" / "__init__.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    (tmp_path / "looked_into" / "deep.py").touch()
    (tmp_path / "c.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


def test_every_import_is_told_and_none_is_made(folder: Path) -> None:
    done = CliRunner().invoke(check, [str(folder / "c.yaml"), "--file-only"])
    assert done.exception is None, done.output
    lines = [line for line in done.output.splitlines() if line.startswith("imports ")]
    for name in PATHS:
        assert any(f": looked_at:{name} from {folder / 'looked_at.py'}" in line for line in lines)
    assert any(line.endswith(f"looked_into.deep:build from {folder / 'looked_into' / 'deep.py'}") for line in lines)
    assert lines[0].startswith(f"imports {folder / 'c.yaml'}:2:20: dataset.factory: ")
    assert len(lines) == len(PATHS) + 2
    assert "writes a:b" in done.output
    assert not {"looked_at", "looked_into"} & set(sys.modules)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("model.custom_objects=['os:system']", "os:system: os is a module of Python itself"),
        ("dataset.factory=looked_ta:data", "looked_ta:data: there is no module looked_ta beside the file"),
        ("dataset.factory=looked_into.deeper:data", "there is no module looked_into.deeper beside"),
        ("dataset={npz: no.npz}", "dataset.npz: no.npz: no such file"),
        ("model={path: no.keras}", "model.path: no.keras: no such file"),
    ],
)
def test_what_a_run_would_stumble_over(folder: Path, change: str, told: str) -> None:
    done = CliRunner().invoke(check, [str(folder / "c.yaml"), "--set", change])
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception).startswith(f"--set {change}: ")
    assert told in str(done.exception)
    assert "no mistakes found" not in done.output


def checked(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(check, [str(path), *arguments])


def test_the_outlook_is_what_a_run_finds(tmp_path: Path) -> None:
    """Held against the prices of every plan of a small space, computed here one by one."""
    small = ["run.tune_filters=none", "limit={Conv2D: [2, 4, 4]}", "run.layer_indexes={start: 1, stop: 6}"]
    path = tiny(tmp_path, tmp_path / "out")
    options = [part for text in small for part in ("--set", text)]
    done = checked(path, "--format", "json", *options)
    assert done.exception is None, done.output
    found = json.loads(done.stdout)["outlook"]
    experiment = read_experiment(load_config(path, small))
    space = experiment.space
    names = [dimension.name for dimension in space.dimensions]
    every = [
        dict(zip(names, options, strict=True)) for options in itertools.product(*(d.options for d in space.dimensions))
    ]
    costs = [experiment.costs.price(space.plan(values)).cost for values in every]
    assert found["space"]["exact"] is True
    assert found["space"]["combinations"] == len(every) > 10
    assert (found["space"]["cheapest"]["cost"], found["space"]["dearest"]["cost"]) == (min(costs), max(costs))
    assert found["space"]["cheapest"]["saving"] == experiment.reference.total / min(costs)
    assert found["reference"]["parameters"] == experiment.model.count_params()
    assert found["data"] == {"name": "digits", "train": 240, "validation": 60, "test": 100}
    assert (found["trials"], found["stages"][0]["epochs"]) == (3, 6)
    assert 0 < found["unsearched_share"] < 1
    assert "writes" in done.stderr and not (tmp_path / "out").exists()


def test_a_large_space_is_bounded_from_both_sides(tmp_path: Path) -> None:
    experiment = read_experiment(load_config(tiny(tmp_path, tmp_path / "out")))
    space = experiment.space
    found = extremes(experiment, space)
    assert found is not None and not found.exact
    least, most = (experiment.costs.price(space.plan(values)).cost for values in (found.cheapest, found.dearest))
    random = Random(0)
    for _ in range(200):
        values = {one.name: random.choice(one.options) for one in space.dimensions}
        assert least <= experiment.costs.price(space.plan(values)).cost <= most


def test_a_budget_counts_only_what_blocks_can_change(tmp_path: Path) -> None:
    path = tiny(tmp_path, tmp_path / "out")
    blocks = ["run.blocks=['^dense']", "run.tune_filters=none"]
    loaded = load_config(path, blocks)
    experiment = read_experiment(loaded)
    reachable = schedule_of(experiment).reachable
    assert [layer.name for layer in reachable.layers] == ["dense"]
    whole = extremes(experiment, experiment.space)
    part = extremes(experiment, reachable)
    assert whole is not None and part is not None
    least = [
        experiment.costs.price(space.plan(one.cheapest)).energy
        for space, one in ((experiment.space, whole), (reachable, part))
    ]
    assert least[0] < least[1]
    between = sum(least) / 2
    with pytest.raises(ConfigError, match=r"the cheapest candidate takes .*; raise it to"):
        outlook(load_config(path, [*blocks, f"run.budget={{energy: {between}}}"]))


def test_names_of_other_things_are_no_imports(folder: Path) -> None:
    found = dict(import_paths(load_config(folder / "c.yaml").config))
    assert "x:y" not in found.values()
    assert "a:b" not in found.values()
