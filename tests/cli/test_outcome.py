"""What ends a command, and with which exit code."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import qsearch.cli.main as room
from qsearch.exit_codes import ExitCode
from qsearch.interrupts import Interrupts

CONFIG = """
dataset: {factory: "leaving_data:load"}
model: {name: digits}
limit: {Dense: [4], Conv2D: [4], Activation: [4]}
"""


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> ExitCode:
    monkeypatch.setattr(sys, "argv", ["qsearch", *arguments])
    monkeypatch.setattr(room, "_quiet", lambda: None)  # its filters of warnings would stay for other tests
    return ExitCode(room._outcome(Interrupts()))


@pytest.mark.parametrize("how", ["class Leaving(BaseException): pass\n", "Leaving = GeneratorExit\n"])
def test_code_that_raises_what_no_error_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "leaving_data", raising=False)
    (tmp_path / "leaving_data.py").write_text(
        f"{how}def load():\n    raise Leaving('\\x1b[31mbye')\n", encoding="utf-8"
    )
    (tmp_path / "c.yaml").write_text(CONFIG, encoding="utf-8")
    assert ended(monkeypatch, "run", "c.yaml") is ExitCode.CONFIG
    err = capsys.readouterr().err
    assert "error: code that the configuration names ended with " in err
    assert "bye (leaving_data.py:" in err
    assert "\x1b" not in err


def test_arguments_are_shown_escaped(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(monkeypatch, "energy", "a", "b\x1b[31m") is ExitCode.CONFIG
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert "Got unexpected extra argument" in err
    assert "qsearch energy --help" in err
