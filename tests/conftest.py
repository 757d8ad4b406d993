"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from qsearch.runner.run_result import RunResult

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# TensorFlow turns it on by the processor; without it there are no channels-first convolutions
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def tiny_result(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """One tiny run, shared by the tests that read its directory."""
    from tiny_run import tiny

    from qsearch.runner.pipeline import run

    folder = tmp_path_factory.mktemp("tiny")
    return run(tiny(folder, folder / "out"))
