"""What keeps Keras from being imported is told in one line, with a code of the table."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

import qsearch
from qsearch.errors import ConfigError, OutputError
from qsearch.paths import temporary_folder
from qsearch.startup import importing


@pytest.mark.parametrize("name", ["jax", "torch", "no\x1bsense"])
def test_another_backend(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setenv("KERAS_BACKEND", name)
    with pytest.raises(
        ConfigError, match=r"^KERAS_BACKEND: found .*, and qsearch needs 'tensorflow'; unset it"
    ) as told:
        _ = qsearch.run
    assert str(told.value).isprintable()


def test_keras_is_imported_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(config=SimpleNamespace(backend=lambda: "torch")))
    with pytest.raises(ConfigError, match="import qsearch before keras"), importing():
        pass


def test_an_import_that_fails() -> None:
    with pytest.raises(ConfigError, match=r"^Keras cannot be imported: ImportError: nothing"), importing():
        raise ImportError("nothing")
    with pytest.raises(OutputError), importing():
        raise OutputError("its own")


def _none() -> str:
    raise FileNotFoundError(2, "No usable temporary directory found")


def test_no_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", _none)
    with pytest.raises(OutputError, match="set TMPDIR"), importing():
        pass
    with pytest.raises(OutputError, match="set TMPDIR"), temporary_folder():
        pass


def test_a_temporary_folder_that_went_away_or_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputError, match=r"cannot be written to: No space left on device"), temporary_folder():
        raise OSError(28, "No space left on device")
    with pytest.raises(OSError, match="elsewhere"), temporary_folder():
        raise OSError(28, "elsewhere", "/somewhere/else")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(OutputError, match=r"/gone, cannot be written to: No such file"), temporary_folder():
        pass
