"""The configurations that come with qsearch: found by name, and without what is a default anyway."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

import qsearch
from qsearch.config import load_config
from qsearch.config.shipped import shipped_configs
from qsearch.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = [*sorted((ROOT / "configs").glob("*.yaml")), *sorted((ROOT / "examples").rglob("*.yaml"))]
SAID_ANYWAY = ("name", "type", "mode", "epochs", "max_trials")
"""Keys that a reader wants to see, even with the default."""

Keys = tuple[str, ...]


def keys(data: dict[str, Any], above: Keys = ()) -> Iterator[Keys]:
    for key, value in data.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from keys(value, (*above, key))


def without(data: dict[str, Any], path: Keys) -> dict[str, Any]:
    copy = deepcopy(data)
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return copy


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_nothing_is_said_that_is_a_default(path: Path, tmp_path: Path) -> None:
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    whole = load_config(path).config
    shorter = tmp_path / path.name
    for key in keys(data):
        shorter.write_text(yaml.safe_dump(without(data, key)), encoding="utf-8")
        try:
            same = load_config(shorter).config == whole
        except ConfigError:
            continue
        assert not same or key[-1] in SAID_ANYWAY, f"{'.'.join(key)} is the default"


def test_a_name_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()  # a folder is no configuration
    assert load_config("digits", ["run.max_trials=3"]).config.run.max_trials == 3
    assert load_config("digits").config == load_config(ROOT / "configs" / "digits.yaml").config
    assert {path.name for path in (ROOT / "configs").glob("*.yaml")} == {p.name for p in shipped_configs().values()}
    assert qsearch.shipped_configs() == shipped_configs()


def test_a_file_comes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").write_text("dataset: {name: mnist}\nmodel: {name: mnist}\nlimit: {Dense: [4]}\n")
    assert load_config("digits").config.dataset.name == "mnist"


def test_what_is_no_file_and_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"^digit: no such file; shipped with qsearch: .*; did you mean 'digits'\?$"):
        load_config("digit")
    with pytest.raises(ConfigError, match=r"^configs/digits\.yaml: no such file$"):
        load_config("configs/digits.yaml")
