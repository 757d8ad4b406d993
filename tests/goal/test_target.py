"""The score of metrics that are maximised, minimised, negative or bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsearch.goal.target import Target

FLOATS = st.floats(-100, 100)
DELTAS = st.floats(-0.9, 2)


def test_autoqkeras_score() -> None:
    target = Target("val_acc")
    assert target.score(0.98, 0.3) == pytest.approx(0.98 * 1.3)
    assert target.bound(0.3) == pytest.approx(1.3)


def test_a_loss() -> None:
    target = Target("val_loss", maximize=False, limit=0.0)
    assert target.score(0.5, 0.08) == pytest.approx(-0.5 / 1.08)
    assert target.bound(0.3) == 0
    assert target.allowed(0.5, 0.1) == pytest.approx(0.55)
    assert Target("val_acc").allowed(0.98, 0.01) == pytest.approx(0.98 * 0.99)
    assert Target("val_x", limit=None).bound(0.1) is None


@given(FLOATS, FLOATS, DELTAS, st.booleans())
def test_a_better_metric_scores_more(one: float, other: float, delta: float, maximize: bool) -> None:
    target = Target("m", maximize, None)
    if target.worth(one) > target.worth(other):
        assert target.score(one, delta) >= target.score(other, delta)


@given(FLOATS, DELTAS, DELTAS, st.booleans())
def test_a_saving_never_lowers_the_score(metric: float, low: float, high: float, maximize: bool) -> None:
    target = Target("m", maximize, None)
    low, high = sorted((low, high))
    assert target.score(metric, high) >= target.score(metric, low)


def test_a_cost_of_thousands_of_references_still_has_a_score() -> None:
    assert Target("m", maximize=False).score(0.5, -3.0) < Target("m", maximize=False).score(0.5, 0.0)
