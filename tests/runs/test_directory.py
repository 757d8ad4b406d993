"""The names that a run directory may have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qsearch.errors import OutputError
from qsearch.runs.directory import create_directory


@pytest.mark.parametrize(
    ("name", "expected"),
    [("~/runs/a", "runs/a"), ("2024-11-25", "2024-11-25"), ("a #1", "a #1"), ("%s", "%s"), ("None", "None")],
)
def test_a_name_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, expected: str) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert create_directory(name, fresh_name=True).path.resolve() == tmp_path / expected
    assert (tmp_path / expected).is_dir()


def test_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert create_directory(".", fresh_name=True).path.resolve() == here
    (here / "taken").touch()
    assert create_directory(".", fresh_name=True).path == tmp_path / "here_1"
    assert create_directory("..", fresh_name=True).path == tmp_path.with_name(f"{tmp_path.name}_1")
    with pytest.raises(OutputError, match="holds an earlier run"):
        create_directory(".", fresh_name=False)


def test_what_is_no_name(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="has no name that a run's folder could have"):
        create_directory("/", fresh_name=True)
    with pytest.raises(OutputError, match="cannot be written: File name too long"):
        create_directory(str(tmp_path / ("x" * 300)), fresh_name=True)


def test_figures_that_are_no_numbers_are_null(tmp_path: Path) -> None:
    directory = create_directory(str(tmp_path / "a"), fresh_name=False)
    directory.write_json("result.json", {"a": {"loss": float("nan"), "best": [1.5, float("inf")]}})
    assert json.loads((tmp_path / "a" / "result.json").read_text()) == {"a": {"loss": None, "best": [1.5, None]}}
