"""The front page shows what is there, and what it shows runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from qsearch.config import load_config

EXAMPLE = "examples/own_model"


def text(root: Path, name: str) -> str:
    return (root / name).read_text(encoding="utf-8")


def blocks(root: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text(root, "README.md"), re.DOTALL)


def run(config: Path, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "qsearch", "run", str(config), "--plain"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any] = json.loads((folder / "runs" / config.stem / "result.json").read_text(encoding="utf-8"))
    return result


def test_the_front_page_is_short(root: Path) -> None:
    assert len(text(root, "README.md").splitlines()) <= 120


def test_the_example_is_the_one_that_is_shown(root: Path) -> None:
    first, own = blocks(root, "yaml")
    (shown,) = blocks(root, "python")
    assert text(root, f"{EXAMPLE}/nets.py").endswith(f'"""\n\n{shown}')
    assert text(root, f"{EXAMPLE}/search.yaml").startswith(own)
    kept = [line for line in first.splitlines()[3:] if "Conv2D" not in line]
    assert text(root, f"{EXAMPLE}/search.yaml").splitlines() == [*own.splitlines(), *kept]


def test_the_configuration_that_is_shown_loads(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "qsearch.yaml"
    path.write_text(blocks(root, "yaml")[0], encoding="utf-8")
    assert load_config(path).config.dataset.name == "digits"
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 15
    assert load_config(root / EXAMPLE / "search.yaml").config.model.factory == "nets:build"


def test_figures_of_a_shipped_configuration_are_of_its_seed(root: Path) -> None:
    assert "seed 42" in text(root, "README.md")
    for path in (root / "configs").glob("*.yaml"):
        assert yaml.safe_load(path.read_text(encoding="utf-8"))["run"]["seed"] == 42


@pytest.mark.slow
def test_what_is_shown_runs(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "qsearch.yaml"
    path.write_text(blocks(root, "yaml")[0], encoding="utf-8")
    result = run(path, tmp_path)
    assert result["trials"]["completed"] == 10
    assert result["best"]["energy"] < result["reference"]["energy"] / 10


@pytest.mark.slow
def test_the_example_runs_from_another_folder(root: Path, tmp_path: Path) -> None:
    result = run(root / EXAMPLE / "search.yaml", tmp_path)
    assert result["trials"]["completed"] == 10
    assert result["best"]["energy"] < result["reference"]["energy"] / 5
    assert result["best"]["test"]["acc"] > 0.85


@pytest.mark.slow
def test_the_three_lines_are_enough(root: Path, tmp_path: Path) -> None:
    """From the front page alone: its file, with its three lines in place of the first three, and its module."""
    first, own = blocks(root, "yaml")
    (tmp_path / "nets.py").write_text(blocks(root, "python")[0], encoding="utf-8")
    path = tmp_path / "mine.yaml"
    path.write_text(own + "".join(first.splitlines(keepends=True)[3:]), encoding="utf-8")
    assert run(path, tmp_path)["trials"]["completed"] == 10
