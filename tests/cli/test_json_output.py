"""`--format json`: documents with a name and a version, and errors as documents."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

import qsearch.cli.main as room
from qsearch import __version__
from qsearch.cli.json_output import document, messages_aside, wants_json
from qsearch.cli.output import say
from qsearch.exit_codes import ExitCode
from qsearch.interrupts import Interrupts


def test_the_header_comes_first_and_nothing_is_nan() -> None:
    text = document("trials", 2, score=math.nan, kind="a\x1b[31m")
    assert [*json.loads(text)] == ["schema", "qsearch", "score", "kind"]
    assert json.loads(text) == {
        "schema": "qsearch.trials/2",
        "qsearch": __version__,
        "score": None,
        "kind": "a\x1b[31m",
    }
    assert "\x1b" not in text  # a terminal is shown none of it


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["trials", "run", "--format", "json"], True),
        (["trials", "--format=json", "run"], True),
        (["trials", "run", "--format", "csv"], False),
        (["trials", "run", "--format", "json", "--format", "csv"], False),
        (["trials", "json", "--format"], False),
        (["trials", "run"], False),
        ([], False),
    ],
)
def test_whether_json_is_asked_for(arguments: list[str], wanted: bool) -> None:
    assert wants_json(arguments) is wanted


def ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, dict[str, Any], str]:
    monkeypatch.setattr(sys, "argv", ["qsearch", *arguments])
    monkeypatch.setattr(room, "_quiet", lambda: None)  # its filters of warnings would stay for other tests
    code = room._outcome(Interrupts())
    shown = capsys.readouterr()
    return code, json.loads(shown.out) if shown.out else {}, shown.err


def test_mistakes_of_a_configuration_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("dataset: {name: mnits}\nmodel: {name: digits}\nlimit: {Dense: [0]}\n", encoding="utf-8")
    code, found, err = ended(monkeypatch, capsys, "run", str(path), "--format", "json")
    assert code == ExitCode.CONFIG
    assert found["schema"] == "qsearch.error/1"
    assert found["error"]["exit_code"] == 2
    first, second = found["error"]["mistakes"]
    assert (first["source"], first["line"], first["column"], first["key"]) == (str(path), 1, 17, "dataset.name")
    assert "did you mean 'mnist'" in first["text"]
    assert second["key"] == "limit.Dense[0]"
    assert [line.partition(" ")[0] for line in err.splitlines()] == [f"{path}:1:17:", f"{path}:3:17:"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("trials", "nowhere", "--format", "json"), 5, "nowhere: is not a folder"),
        (("list", "modells", "--format=json"), 2, "did you mean 'models'"),
        (("energy", "--format", "json"), 2, "Missing argument 'MODEL'"),
        (("no_such_command", "--format", "json"), 2, "No such command"),
    ],
)
def test_errors(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    found = ended(monkeypatch, capsys, *arguments)
    assert (found[0], found[1]["error"]["exit_code"]) == (code, code)
    assert message in found[1]["error"]["message"]
    assert message in found[2]  # and a person reads it on the standard error


def test_without_json_the_standard_output_stays_empty(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, capsys, "trials", "nowhere")[1] == {}


def test_messages_stand_aside_for_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    with messages_aside("json"):
        say("message")
    with messages_aside("text"):
        say("line")
    assert capsys.readouterr() == ("line\n", "message\n")
