"""`qsearch completion`, as a shell uses it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.shell_completion import ZshComplete
from click.testing import CliRunner

from qsearch.cli.commands import COMMANDS
from qsearch.cli.config_words import offered
from qsearch.cli.main import COMPLETE, NAME, cli
from qsearch.cli.shells import Bash
from qsearch.config.json_schema import json_schema
from qsearch.config.names import MODELS, OPTIMIZERS
from qsearch.config.search_modes import SEARCH_MODES
from qsearch.config.shipped import shipped_configs

ROOT = Path(__file__).resolve().parents[2]
TRY = r"""
source completion.bash
complete -p qsearch
COMP_WORDS=(qsearch run); COMP_CWORD=1; _qsearch_completion qsearch; echo "${COMPREPLY[*]}"
COMP_WORDS=(qsearch run ""); COMP_CWORD=2; COMPREPLY=(); _qsearch_completion qsearch; echo "${COMPREPLY[*]}"
COMP_WORDS=(qsearch run a.yaml run.max_t); COMP_CWORD=3; COMPREPLY=(); _qsearch_completion qsearch
echo "${COMPREPLY[*]}"
COMP_WORDS=(qsearch run a.yaml run.mode = g); COMP_CWORD=5; COMPREPLY=(); _qsearch_completion qsearch
echo "${COMPREPLY[*]}"
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
    return [item.value for item in Bash(cli, {}, NAME, COMPLETE).get_completions([*before], last)]


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
    for command in ("resume", "report", "compare", "trials", "best", "export"):
        assert completed(command, "ru") == ["runs/digits"]
    assert completed("compare", "runs/digits", "ru") == ["runs/digits"]


def test_models_are_files_and_names(folder: Path) -> None:
    for name in ("my.keras", "old.h5", "notes.md"):
        (folder / name).touch()
    assert completed("verify", "") == ["conf/", "my.keras", "old.h5", "runs/"]
    assert completed("energy", "m") == [*(name for name in MODELS if name.startswith("m")), "my.keras"]
    assert completed("quantize", "dig") == [name for name in MODELS if name.startswith("dig")]
    assert completed("export", "") == ["conf/", "my.keras", "old.h5", "runs/"]


def test_keys_of_a_configuration() -> None:
    assert completed("run", "digits", "run.max_") == [
        f"run.max_{name}=" for name in ("trials", "epochs_total", "failures", "epochs", "drop")
    ]
    assert completed("blocks", "digits", "run.epochs=3", "fin") == [
        *(f"final_training.{name}" for name in ("optimizer.", "optimizer=", "epochs=", "batch_size=")),
        *(f"final_training.learning_rate_schedule{end}" for end in ".="),
    ]
    assert completed("check", "digits", "--set", "goal.params.str") == ["goal.params.stress="]
    assert {"limit.Dense=", "limit.linear="} <= {*completed("run", "digits", "limit.")}
    assert completed("run", "digits", "run.nothing") == completed("run", "digits", "no.such.") == []


def test_values_of_keys() -> None:
    # as bash takes them: the part behind the =
    assert completed("run", "digits", "run.mode=") == [*SEARCH_MODES]
    assert completed("run", "digits", "run.mode=pa") == ["pareto"]
    assert completed("run", "digits", "run.prune=") == ["true", "false"]
    assert completed("run", "digits", "run.max_trials=") == ["10"]  # its default
    assert completed("run", "digits", "reference.optimizer=ad") == [
        name for name in OPTIMIZERS if name.startswith("ad")
    ]
    assert completed("run", "digits", "dataset.npz=") == []
    other = [
        item.value for item in ZshComplete(cli, {}, NAME, COMPLETE).get_completions(["run", "digits"], "run.mode=g")
    ]
    assert other == ["run.mode=guided"]


def test_every_key_of_the_shipped_configurations_is_offered() -> None:
    schema = json_schema()
    for path in shipped_configs().values():
        for key in _keys(yaml.safe_load(Path(path).read_text(encoding="utf-8")), ""):
            if not key.startswith(("limit.", "quantization_config.")):  # which have keys of the user's own
                assert {f"{key}=", f"{key}."} & {item.value for item in offered(schema, key)}, key


def _keys(section: dict[str, Any], above: str) -> Iterator[str]:
    for name, value in section.items():
        if isinstance(value, dict) and value:
            yield from _keys(value, f"{above}{name}.")
        else:
            yield f"{above}{name}"


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
        "run.max_trials=",
        "guided",
    ]


@pytest.mark.parametrize(("shell", "first"), [("zsh", "#compdef qsearch"), ("fish", "function _qsearch_completion;")])
def test_other_shells(shell: str, first: str) -> None:
    lines = CliRunner().invoke(cli, ["completion", shell]).output.splitlines()
    assert next(line for line in lines if line) == first
    assert "_QSEARCH_COMPLETE" in "".join(lines)
    assert lines[-1].startswith(f"# to have it in every {shell}: qsearch completion {shell} >")
