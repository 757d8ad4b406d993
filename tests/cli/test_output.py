"""Names that steer a terminal, or that rich or Markdown take for markup, wherever they are shown."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from typing import Any

import keras
import pytest
from click.testing import CliRunner
from rich.console import Console

from qsearch.cli.energy import energy
from qsearch.cli.output import add_row, show, table_of
from qsearch.cli.plain_progress import PlainObserver
from qsearch.cli.verify import verify
from qsearch.errors import ModelError, one_line
from qsearch.layers import QDense
from qsearch.report.markdown import code, plain, table
from qsearch.runner.experiment import _check_names

NAMES = ("a\x1b[31mred", "b\nnew | line", "[bold]c[bold]", "`d`*e*<b>", "é\u202ef", "g" * 20_000, "h,1", ":smile:")
STEERING = re.compile(r"[\x00-\x09\x0b-\x1f\x7f\u202e]")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    inputs = x = keras.Input((4,), name="input")
    for name in NAMES:
        x = QDense(4, kernel_quantizer="quantized_bits(4,0,1)", name=name)(x)
    path = tmp_path_factory.mktemp("hostile") / "m.keras"
    keras.Model(inputs, x, name="model").save(path)
    return str(path)


def printed(command: Any, *arguments: str) -> str:
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("output", ["table", "md", "csv", "json"])
def test_energy(model: str, output: str) -> None:
    text = printed(energy, model, "--format", output)
    assert not STEERING.search(text)
    if output == "json":
        assert tuple(json.loads(text)["layers"]) == NAMES
        return
    assert max(map(len, text.splitlines())) < 1_000
    if output == "csv":
        assert [line[0] for line in csv.reader(io.StringIO(text))][1:-1] == [one_line(name) for name in NAMES]
    elif output == "table":
        assert "[bold]c[bold]" in text
    else:
        assert r"| \`d\`\*e\*\<b\> |" in text


@pytest.mark.parametrize("output", ["table", "md", "csv"])
def test_comparisons(model: str, output: str) -> None:
    text = printed(energy, model, "--compare", model, "--format", output)
    assert not STEERING.search(text)
    assert max(map(len, text.splitlines())) < 1_000


def test_verify(model: str) -> None:
    text = printed(verify, model)
    assert not STEERING.search(text)
    assert "[bold]c" in text
    weights = json.loads(printed(verify, model, "--format", "json"))["weights"]
    assert [row["layer"] for row in weights][::2] == list(NAMES)


def test_progress() -> None:
    file = io.StringIO()
    observer = PlainObserver(Console(file=file))
    for name in NAMES:
        observer.stage(f"not searched: {name}")
    assert not STEERING.search(file.getvalue())
    assert len(file.getvalue().splitlines()) == len(NAMES)
    assert "[bold]c[bold]" in file.getvalue()


def test_markdown() -> None:
    rows = table(("layer",), ([plain(name)] for name in NAMES)).splitlines()[2:]
    assert len(rows) == len(NAMES)
    assert rows[1] == r"| b\\nnew \| line |"
    assert max(map(len, rows)) < 300
    assert code("a`b") == "`` a`b ``"
    assert code("a|b") == "`a|b`"


@pytest.mark.parametrize("name", [*NAMES[:5], *NAMES[6:]])
def test_names_that_tensorflow_cannot_train(name: str) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name=name)], name="model")
    with pytest.raises(ModelError, match=r"the layer .* cannot be trained by that name"):
        _check_names(model, "m.keras")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("columns", "colour"), [("40", False), ("12", False), ("40", True)])
def test_a_table_in_a_narrow_terminal(columns: str, colour: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", file := _Terminal())
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "" if colour else "1")
    table = table_of(("layer", "bits"), "all of\x1bthem")
    add_row(table, ("conv2d_first\x1b", "4"))
    show(table)
    text = file.getvalue()
    assert ("\x1b" in text) == colour  # bold headings
    if columns == "12":
        assert text == "all of\\x1bthem\nlayer: conv2d_first\\x1b\n  bits: 4\n"
    else:
        assert len(text.splitlines()) == 6
