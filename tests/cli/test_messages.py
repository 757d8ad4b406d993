"""What is told beside the results: --debug, --verbose, --log-file."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import qsearch.cli.main as room
from qsearch.cli.messages import Messages, quiet
from qsearch.errors import ConfigError
from qsearch.exit_codes import ExitCode
from qsearch.interrupts import Interrupts
from qsearch.startup import quiet_start

ROOT = Path(__file__).resolve().parents[2]
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} (INFO|ERROR|WARNING) ([\w.]+): ")


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> ExitCode:
    monkeypatch.setattr(sys, "argv", ["qsearch", *arguments])
    monkeypatch.setattr(room, "_quiet", lambda: None)  # its filters of warnings would stay for other tests
    return ExitCode(room._outcome(Interrupts()))


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["check", "no.yaml"], False),
        (["check", "no.yaml", "--debug"], True),
        (["--debug", "check", "no.yaml"], True),
        (["blocks", "no.yaml", "--debug"], False),  # which means the blocks
        (["--debug", "blocks", "no.yaml"], True),
    ],
)
def test_a_traceback_is_shown_where_it_is_asked_for(
    arguments: list[str],
    shown: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QSEARCH_TRACEBACK", raising=False)
    assert ended(monkeypatch, *arguments) is ExitCode.CONFIG
    err = capsys.readouterr().err
    assert err.splitlines()[-1] == "no.yaml: no such file"
    assert ("Traceback (most recent call last)" in err) == shown
    assert ("FileNotFoundError" in err) == shown  # what the message was made of
    assert len(err.splitlines()) == 1 or shown


def test_a_bug_is_told_with_the_way_to_see_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("\x1b[31mred")

    monkeypatch.setattr("qsearch.config.load.load_config", broken)
    monkeypatch.setenv("QSEARCH_TRACEBACK", "")
    assert ended(monkeypatch, "check", "digits") is ExitCode.BUG
    told = capsys.readouterr().err
    assert told.startswith(r"error: this is a bug in qsearch: ValueError: \x1b[31mred")
    assert "`qsearch --debug ...`" in told
    monkeypatch.setenv("QSEARCH_TRACEBACK", "1")
    assert ended(monkeypatch, "check", "digits") is ExitCode.BUG
    traced = capsys.readouterr().err
    assert traced.endswith(told)
    assert traced.startswith("Traceback")
    assert "\x1b" not in traced


PROGRAM = """
import logging, os, sys, warnings
from qsearch.startup import quiet_start
def noise():
    os.write(2, b"C++ speaks\\n")
    warnings.warn("python warns")
    logging.getLogger("tensorflow").warning("of inner workings")
    logging.getLogger("keras").info("of no interest")
    logging.getLogger("somebody").warning("of somebody")
from qsearch.cli.check import check
import qsearch.cli.check as room
whole = room.what_is_touched
def noisy(loaded, aside=False):
    with quiet_start():
        noise()
    logging.getLogger("somebody").warning("of somebody later")
    logging.getLogger("tensorflow").warning("of inner workings")
    return whole(loaded)
room.what_is_touched = noisy
from qsearch.__main__ import main
main()
"""
NOISE = ("C++ speaks", "python warns", "of inner workings", "of somebody")


def noisy(tmp_path: Path, *arguments: str) -> tuple[str, str]:
    """What `qsearch check` says while libraries talk: its output, and its standard error."""
    env = {name: value for name, value in os.environ.items() if name not in ("TF_CPP_MIN_LOG_LEVEL", "PYTHONWARNINGS")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "check", "digits", "--file-only", *arguments],
        env={**env, "PYTHONPATH": str(ROOT)}, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_libraries_are_heard_where_they_are_asked_for(tmp_path: Path) -> None:
    out, err = noisy(tmp_path, "-v")
    assert out.endswith("no mistakes found in the file alone\n")
    assert all(text in err for text in NOISE)


def test_a_log_keeps_everything_and_the_terminal_stays_as_it_is(tmp_path: Path) -> None:
    log = tmp_path / "all.log"
    plain = noisy(tmp_path)
    assert plain[1] == "of somebody later\n"
    log.write_text("before\n", encoding="utf-8")
    out, err = noisy(tmp_path, "--log-file", str(log))
    assert (out, err) == plain
    text = log.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert all(said in text for said in (*NOISE, "of no interest"))
    lines = text.splitlines()[1:]
    assert STAMP.match(lines[0])
    assert "check digits --file-only --log-file" in lines[0]
    own = [line for line in lines if (found := STAMP.match(line)) and found[2] == "qsearch"]
    assert [STAMP.sub("", line) for line in own[1:]] == out.splitlines()


def test_a_log_of_an_error_has_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.setenv("GRPC_VERBOSITY", "ERROR")
    log = tmp_path / "all.log"
    root = logging.getLogger()
    before = (root.level, [*root.handlers], sys.stderr)
    with warnings.catch_warnings():
        code = ended(monkeypatch, "check", str(tmp_path / "no.yaml"), "--log-file", str(log))
    assert code is ExitCode.CONFIG
    assert capfd.readouterr().err == f"{tmp_path}/no.yaml: no such file\n"
    text = log.read_text(encoding="utf-8")
    assert "ERROR qsearch: Traceback (most recent call last):" in text
    assert text.endswith(f"ERROR qsearch: {tmp_path}/no.yaml: no such file\n")
    assert (root.level, root.handlers, sys.stderr) == before


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no/where.log", "No such file"),
        ("", "Is a directory"),
        ("/dev/full", "No space left"),
    ],
)
def test_a_log_that_cannot_be_written(
    name: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / name)
    for arguments in (["--log-file", path, "check", "digits"], ["check", "digits", "--log-file", path]):
        assert ended(monkeypatch, *arguments) is ExitCode.OUTPUT
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("error: --log-file: ")
        assert f"cannot be written: {why}" in err
        assert err.count("\n") == 1


def test_a_user_who_asked_tensorflow_for_everything_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    with warnings.catch_warnings():
        quiet()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
    assert Messages().log is None
    with pytest.raises(ConfigError, match="Keras cannot be imported"), quiet_start():
        raise ImportError("nothing")
