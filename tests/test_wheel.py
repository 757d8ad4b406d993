"""The wheel holds what a run in any folder needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

SOURCES = ("qsearch", "configs", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")


def ran(*command: str, cwd: Path, path: Path | None = None) -> str:
    env = {**os.environ, **({} if path is None else {"PYTHONPATH": str(path)})}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (root / name).is_dir():
            shutil.copytree(root / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(root / name, folder / name)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    ran(*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", "dist", ".", cwd=folder)
    (made,) = (folder / "dist").glob("*.whl")
    return made


def test_configurations_and_licence_travel_with_it(wheel: Path, root: Path) -> None:
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith("METADATA"))
    assert {Path(name).name for name in names if name.startswith("qsearch/configs/")} == {
        path.name for path in (root / "configs").glob("*.yaml")
    }
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "License-Expression: Apache-2.0" in metadata
    assert "\n# qsearch\n" in metadata


def test_a_shipped_configuration_is_found_from_any_folder(wheel: Path, tmp_path: Path) -> None:
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with ZipFile(wheel) as archive:
        archive.extractall(site)
    told = ran(sys.executable, "-m", "qsearch", "check", "digits", "--file-only", cwd=elsewhere, path=site)
    assert f"{site}/qsearch/configs/digits.yaml: no mistakes found" in told.replace("\n", "")
