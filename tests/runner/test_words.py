"""Savings in words."""

from __future__ import annotations

import pytest

from qsearch.report.units import priced, saving


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (6.2, "6.2 times less energy than the reference"),
        (1.00001, "as much energy as the reference"),
        (1.0, "as much energy as the reference"),
        (0.07, "14.29 times more energy than the reference"),
    ],
)
def test_a_saving_is_worded_as_what_it_is(ratio: float, words: str) -> None:
    assert saving(ratio) == words


def test_the_part_that_has_a_price() -> None:
    assert priced(1.0) == ""
    assert priced(0.87) == ", of the 87% of the multiply-accumulates that have a price"
