"""One tiny run, shared by the tests that read its directory."""

from __future__ import annotations

import pytest
from tiny_run import tiny

from qsearch.runner.pipeline import RunResult, run


@pytest.fixture(scope="session")
def tiny_result(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    folder = tmp_path_factory.mktemp("tiny")
    return run(tiny(folder, folder / "out"))
