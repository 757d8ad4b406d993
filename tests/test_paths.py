"""`~` wherever a path is given."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qsearch.datasets.npz import arrays_in
from qsearch.errors import DatasetError, ModelError
from qsearch.models import load_model
from qsearch.paths import as_text, expanded


def test_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/a") == tmp_path / "a"
    assert expanded("a~") == Path("a~")
    assert expanded("~nobody-of-this-name/a") == Path("~nobody-of-this-name/a")
    (tmp_path / "a.keras").write_text("no model")
    with pytest.raises(ModelError, match=rf"{tmp_path}/a\.keras: is no \.keras file"):
        load_model("~/a.keras")
    (tmp_path / "a.npz").write_text("no arrays")
    with pytest.raises(DatasetError, match=r"cannot be read as a \.npz file of plain arrays"):
        arrays_in("~/a.npz", ("x_",), "~/a.npz")


def test_names_where_the_locale_knows_ascii_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def encode(name: str) -> bytes:
        return name.encode("ascii", "surrogateescape")

    monkeypatch.setattr(os, "fsencode", encode)
    monkeypatch.setattr(os, "fsdecode", lambda name: name.decode("ascii", "surrogateescape"))
    assert str(expanded("ü/a")) == "\udcc3\udcbc/a"
    assert as_text("\udcc3\udcbc") == "ü"
    assert as_text("\udcff") == "\udcff"
