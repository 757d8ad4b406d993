"""`qsearch check`: what a run would import and read is told before anything is imported."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from qsearch.cli.check import check
from qsearch.config import load_config
from qsearch.config.import_paths import import_paths
from qsearch.errors import ConfigError

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
    done = CliRunner().invoke(check, [str(folder / "c.yaml")])
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


def test_names_of_other_things_are_no_imports(folder: Path) -> None:
    found = dict(import_paths(load_config(folder / "c.yaml").config))
    assert "x:y" not in found.values()
    assert "a:b" not in found.values()
