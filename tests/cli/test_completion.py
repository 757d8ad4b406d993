"""`qsearch completion`, as a shell uses it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner

from qsearch.cli.commands import COMMANDS
from qsearch.cli.main import COMPLETE, NAME, cli
from qsearch.config.shipped import shipped_configs

ROOT = Path(__file__).resolve().parents[2]
TRY = r"""
source completion.bash
complete -p qsearch
COMP_WORDS=(qsearch run); COMP_CWORD=1; _qsearch_completion qsearch; echo "${COMPREPLY[*]}"
COMP_WORDS=(qsearch run ""); COMP_CWORD=2; COMPREPLY=(); _qsearch_completion qsearch; echo "${COMPREPLY[*]}"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a.yaml", "b.yml", "c.txt", ".d.yaml", "conf/deep/e.yaml", "runs/digits/config.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def completed(*words: str) -> list[str]:
    *before, last = words
    return [item.value for item in BashComplete(cli, {}, NAME, COMPLETE).get_completions([*before], last)]


def test_commands_options_and_choices() -> None:
    assert completed("") == [*COMMANDS]
    assert completed("re") == ["resume", "report"]
    assert {"--dry-run", "--set", "--workers", "--verbose"} <= {*completed("run", "--")}
    assert completed("energy", "--process", "h") == ["horowitz"]


def test_configurations_are_files_and_names(folder: Path) -> None:
    assert completed("run", "") == [*shipped_configs(), "a.yaml", "b.yml", "conf/", "runs/"]
    assert completed("check", "di") == [name for name in shipped_configs() if name.startswith("di")]
    assert completed("run", "./a") == ["./a.yaml"]
    # into folders, as long as there is nothing to choose
    assert completed("blocks", "conf") == ["conf/deep/e.yaml"]
    assert completed("run", ".d") == [".d.yaml"]
    assert completed("run", "nowhere/") == []


def test_folders_of_runs(folder: Path) -> None:
    assert completed("resume", "") == ["conf/", "runs/"]
    assert completed("resume", "ru") == ["runs/digits"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash(folder: Path) -> None:
    caller = folder / "bin" / "qsearch"
    caller.parent.mkdir()
    caller.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m qsearch "$@"\n', encoding="utf-8")
    caller.chmod(0o755)
    script = CliRunner().invoke(cli, ["completion", "bash"]).output
    assert script.splitlines()[-1] == "# to have it in every bash: qsearch completion bash >> ~/.bashrc"
    (folder / "completion.bash").write_text(script, encoding="utf-8")
    env = {**os.environ, "PATH": f"{caller.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", TRY], env=env, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "complete -o nosort -F _qsearch_completion qsearch",
        "run",
        " ".join([*shipped_configs(), "a.yaml", "b.yml", "bin/", "conf/", "runs/"]),
    ]


@pytest.mark.parametrize(("shell", "first"), [("zsh", "#compdef qsearch"), ("fish", "function _qsearch_completion;")])
def test_other_shells(shell: str, first: str) -> None:
    lines = CliRunner().invoke(cli, ["completion", shell]).output.splitlines()
    assert next(line for line in lines if line) == first
    assert "_QSEARCH_COMPLETE" in "".join(lines)
    assert lines[-1].startswith(f"# to have it in every {shell}: qsearch completion {shell} >")
