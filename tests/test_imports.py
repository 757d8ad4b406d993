"""What a configuration may name by import path."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from qsearch.errors import ConfigError
from qsearch.imports import imported, look_in


def refused(path: str) -> str:
    with pytest.raises(ConfigError) as caught:
        imported(path, ConfigError)
    return str(caught.value)


@pytest.mark.parametrize(
    "path", ["os:system", "subprocess:run", "builtins:eval", "os.path:join", "posix:system", "importlib:import_module"]
)
def test_pythons_own_library_is_refused(path: str) -> None:
    module = path.partition(":")[0]
    assert refused(path) == (
        f"{path}: {module} is a module of Python itself; a configuration may name modules of yours, beside it or in "
        "the current folder, and installed packages"
    )


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", list(sys.path))
    look_in(tmp_path)
    return tmp_path


def test_nor_is_it_reached_through_another_module(beside: Path) -> None:
    (beside / "through.py").write_text("import os\nfrom os import system\nfrom subprocess import Popen as Net\n")
    assert refused("through:os.system") == "through:os.system: 'os' is a module; write through.os:system"
    assert "is posix.system, which is of Python itself" in refused("through:system")
    assert "is subprocess.Popen, which is of Python itself" in refused("through:Net")


def test_what_is_of_the_users_own_is_found(beside: Path) -> None:
    text = (
        "import functools\n\n@functools.lru_cache\ndef net(): return 3\n\n"
        "class Holder:\n    @staticmethod\n    def make(): return 4\n\nmade = Holder.make\n"
    )
    (beside / "of_mine.py").write_text(text)
    assert imported("of_mine:net", ConfigError)() == 3
    assert imported("of_mine:Holder.make", ConfigError)() == 4
    assert imported("of_mine:made", ConfigError)() == 4
    assert imported("numpy.linalg:norm", ConfigError)([3.0, 4.0]) == 5.0
    assert refused("of_mine:nett") == "of_mine:nett: of_mine has no 'nett'; did you mean 'net'?"


@pytest.mark.parametrize("code", ["import sys; sys.exit(0)", "raise SystemExit", "1/0"])
def test_modules_that_fail_or_end_the_process(code: str, beside: Path) -> None:
    name = f"ends_{abs(hash(code))}"
    (beside / f"{name}.py").write_text(code)
    assert refused(f"{name}:net").startswith(f"{name}:net: {name} cannot be imported (")


def test_a_current_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ConfigError, match="no_such_module_here cannot be imported"):
        imported("no_such_module_here:f", ConfigError)


def test_installers_run_commands() -> None:
    for path in ("pip:main", "pip._internal.utils.subprocess:call_subprocess", "setuptools:setup"):
        with pytest.raises(ConfigError, match="is a module of Python itself"):
            imported(path, ConfigError)


def test_a_module_that_fails_when_it_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "asked.py").write_text("def __getattr__(name): raise ValueError('not now')", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"asked fails when it is asked for 'x' \(ValueError: not now"):
        imported("asked:x", ConfigError)
