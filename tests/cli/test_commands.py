"""The table of commands: what each costs before it does anything, and what `qsearch --help` says of it."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from qsearch.cli.commands import COMMANDS
from qsearch.cli.main import cli

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("tensorflow", "keras", "numpy", "pydantic", "rich", "yaml", "sklearn", "jinja2")
MARK = "imported: "
PROGRAM = f"""
import sys
from qsearch.cli.main import cli
for arguments in sys.argv[1].split("|"):
    cli(arguments.split(), standalone_mode=False)
    print("{MARK}" + " ".join(name for name in {HEAVY!r} if name in sys.modules))
"""


def imported(*calls: str, cwd: Path) -> list[set[str]]:
    """Of the heavy packages, those that are there after each call of the command line, all in one process."""
    command = [sys.executable, "-c", PROGRAM, "|".join(calls)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    return [{*line.removeprefix(MARK).split()} for line in done.stdout.splitlines() if line.startswith(MARK)]


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    calls = ["--help", *(f"{name} --help" for name in COMMANDS), "--version", "completion bash"]
    assert imported(*calls, cwd=tmp_path) == [set()] * len(calls)


def test_what_reads_a_file_alone_imports_no_tensorflow(tmp_path: Path) -> None:
    light = {"pydantic", "yaml"}
    calls = ["check digits --file-only", "run digits run.max_trials=3 --print-config"]
    assert imported(*calls, cwd=tmp_path) == [light, light]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_row_is_a_command_with_its_own_help(name: str) -> None:
    module, _, attribute = COMMANDS[name].path.partition(":")
    command = getattr(import_module(module), attribute)
    assert isinstance(command, click.Command)
    assert command.name == name
    shown = CliRunner().invoke(cli, [name, "--help"]).output
    for option in ("--verbose", "--log-file FILE", "--debug"):
        assert option in shown
    assert shown.count("--debug") == 1 + (name == "blocks")  # whose own one means the blocks
    # the options that every command has are added to a copy
    assert all("--log-file" not in parameter.opts for parameter in command.params)


def test_a_mistyped_command_is_told_the_nearest() -> None:
    assert "'chekc'; did you mean 'check'?" in CliRunner().invoke(cli, ["chekc"]).output
    assert "there are init, check, run, " in CliRunner().invoke(cli, ["zzz"]).output
