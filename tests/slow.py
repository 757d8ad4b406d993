"""Long cases of a parametrized test: `.ci/run` runs them, `scripts/test` does not."""

from __future__ import annotations

from typing import Any

import pytest


def slow(*values: Any) -> Any:
    """A case that is marked slow."""
    return pytest.param(*values, marks=pytest.mark.slow)


def by_hand(*values: Any) -> Any:
    """A case that CI has no time for, as another one is alike; `pytest -m by_hand` runs it."""
    return pytest.param(*values, marks=pytest.mark.by_hand)
