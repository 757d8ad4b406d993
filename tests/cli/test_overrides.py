"""Words KEY=VALUE of a command line, and what was probably meant by those that are none."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from qsearch.cli.main import cli
from qsearch.config import load_config, to_yaml
from qsearch.config.shipped import shipped_configs
from qsearch.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "c.yaml").write_text(shipped_configs()["digits"].read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def printed(*arguments: str) -> str:
    done = CliRunner().invoke(cli, ["run", "--print-config", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(*arguments: str) -> str:
    done = CliRunner().invoke(cli, ["check", *arguments])
    assert isinstance(done.exception, ConfigError), done.output
    return str(done.exception)


def test_words_and_options_do_the_same(folder: Path) -> None:
    words = ("goal.params.stress=0.5", "run.max_trials=5", "limit.^conv=[4]")
    options = tuple(part for word in words for part in ("--set", word))
    text = printed("c.yaml", *words)
    assert text == printed("c.yaml", *options) == printed("c.yaml", *options[:2], *words[1:])
    assert text == printed("--output-dir", "runs/c", "c.yaml", *words)
    # it is what the run directory holds, and loads again to the same
    assert text == to_yaml(load_config("c.yaml", words).config)
    (folder / "again.yaml").write_text(text, encoding="utf-8")
    assert printed("again.yaml") == text
    found = yaml.safe_load(text)
    assert (found["goal"]["params"]["stress"], found["run"]["max_trials"], found["limit"]["^conv"]) == (0.5, 5, [4])


def test_the_last_one_counts_and_words_come_last(folder: Path) -> None:
    text = printed("c.yaml", "run.max_trials=5", "run.max_trials=6", "--set", "run.max_trials=7")
    assert "max_trials: 6\n" in text


def test_a_first_word_that_is_no_file_is_an_override(folder: Path) -> None:
    assert refused("run.max_trials=5").startswith("qsearch.yaml: no such file; configurations in .: c.yaml; shipped ")
    (folder / "qsearch.yaml").write_bytes((folder / "c.yaml").read_bytes())
    assert "max_trials: 5\n" in printed("run.max_trials=5")
    (folder / "run.max_trials=5").write_text("dataset: {name: mnits}", encoding="utf-8")
    assert "run.max_trials=5:1:17: dataset.name: found 'mnits'" in refused("run.max_trials=5")
    assert refused("some/a=b.yaml") == "some/a=b.yaml: no such file"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["c.yaml", "run.max_trials", "5"], "'run.max_trials': expected KEY=VALUE; did you mean 'run.max_trials=5'?"),
        (["c.yaml", "run.seed", "=", "5"], "'run.seed': expected KEY=VALUE; did you mean 'run.seed=5'?"),
        (["c.yaml", "run.seed:5"], "'run.seed:5': expected KEY=VALUE; did you mean 'run.seed=5'?"),
        (["run.max_trials", "5"], "'run.max_trials': no such file; did you mean 'run.max_trials=5'?"),
        (["c.yaml", "fo\x1bo"], r"'fo\x1bo': expected KEY=VALUE, e.g. run.max_trials=3"),
        (["c.yaml", "=5"], "'=5': expected KEY=VALUE, e.g. run.max_trials=3"),
    ],
)  # fmt: skip
def test_words_that_are_no_overrides(folder: Path, arguments: list[str], told: str) -> None:
    assert refused(*arguments) == told


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("stress=0.5", "goal.params.stress"),
        ("max_trails=3", "run.max_trials"),
        ("run.stress=3", "goal.params.stress"),
        ("run.maxtrials=3", "max_trials"),
        ("limits={}", "limit"),
    ],
)
def test_a_key_without_its_section_is_told_the_nearest_one(folder: Path, word: str, near: str) -> None:
    assert refused("c.yaml", word).endswith(f"; did you mean {near!r}?")


def test_resume_takes_words(folder: Path) -> None:
    (folder / "r").mkdir()
    (folder / "r" / "config.yaml").write_text(printed("c.yaml"), encoding="utf-8")
    done = CliRunner().invoke(cli, ["resume", "r", "run.max_trials=five"])
    assert str(done.exception).startswith("--set run.max_trials=five: run.max_trials: found 'five'")
