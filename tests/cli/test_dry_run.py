"""`qsearch run --dry-run`: all that a run would do, and nothing done."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tiny_run import tiny

from qsearch.cli.dry_run import _folder
from qsearch.cli.main import cli
from qsearch.config import load_config, to_yaml
from qsearch.errors import ConfigError, OutputError


def dry(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["run", str(path), "--dry-run", *arguments], standalone_mode=False)


def test_everything_is_told_and_nothing_is_done(tmp_path: Path) -> None:
    path = tiny(tmp_path, tmp_path / "out")
    done = dry(path, "run.max_trials=7", "run.epochs=3", "run.best_models=2")
    assert done.exception is None, done.output
    assert done.return_value == 0
    config = load_config(path).config
    text = done.output
    assert f"data         {config.dataset.origin}: " in text
    assert "\nreference    " in text
    assert "\ncheapest     " in text
    assert "trials       7 at most, 21 epochs in all, mode random" in text
    assert f"writes {tmp_path / 'out'}\n" in text
    assert "trials.jsonl, best/model.keras, best/plan.yaml, models/trial_N/, checkpoints/" in text
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def where(path: Path, *overrides: str, resume: bool = False) -> list[str]:
    return [*_folder(load_config(path, overrides), resume)]


def test_the_folder_is_told_before_the_model_is_read(tmp_path: Path) -> None:
    path = tiny(tmp_path, tmp_path / "out")
    (tmp_path / "file").touch()
    told = dry(path, "--output-dir", str(tmp_path / "file" / "out"), "model={path: x.keras}", "limit={Dense: [4]}")
    assert str(told.exception).startswith("--set model={path: x.keras}: model.path: x.keras: no such file")
    told = dry(path, "--output-dir", str(tmp_path / "file" / "out"))
    assert isinstance(told.exception, OutputError)
    assert told.output == ""


def test_going_on_and_the_next_folder(tmp_path: Path) -> None:
    path = tiny(tmp_path, tmp_path / "out")
    assert where(path, resume=True) == where(path) == [f"writes {tmp_path / 'out'}"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.yaml").write_text(to_yaml(load_config(path).config), encoding="utf-8")
    assert where(path, resume=True) == [f"goes on with the run in {tmp_path / 'out'}"]
    assert where(path) == [f"writes {tmp_path / 'out_1'}"]
    with pytest.raises(ConfigError, match=r"run\.seed: found 3, the run has 0"):
        where(path, "run.seed=3", resume=True)
    with pytest.raises(OutputError, match="holds an earlier run"):
        where(path, "run.overwrite=false")


@pytest.mark.parametrize("option", ["--dry-run", "--print-config"])
def test_a_wrong_file_is_told_first(option: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["run", str(tmp_path / "c.yaml"), option])
    assert str(done.exception).startswith(f"{tmp_path / 'c.yaml'}: no such file")
