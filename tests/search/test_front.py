"""Front, hypervolume and knee against hand-computed figures."""

from __future__ import annotations

import numpy
import pytest

from qsearch.search.front import Point, front, hypervolume, knee

POINTS = [Point(0.9, 4.0), Point(0.8, 2.0), Point(0.7, 3.0), Point(0.6, 1.0), Point(0.9, 8.0), Point(0.8, 2.0)]


def test_front() -> None:
    assert front(POINTS) == [3, 1, 0]
    assert front([]) == []
    assert front([Point(1.0, 1.0)]) == [0]


def test_no_point_of_a_front_is_beaten_and_every_other_is() -> None:
    rng = numpy.random.default_rng(1)
    points = [Point(float(w), float(c)) for w, c in rng.uniform(size=(60, 2)).round(1)]
    members = front(points)
    for index, point in enumerate(points):
        beaten = any(other.worth >= point.worth and other.cost <= point.cost and other != point for other in points)
        assert beaten == (point not in [points[member] for member in members]), index


def test_hypervolume() -> None:
    # log2(8 / cost): 1, 2, 3 for costs 4, 2, 1; steps of 0.1 in worth from 0.5
    assert hypervolume(POINTS, Point(0.5, 8.0)) == pytest.approx(0.1 * 3 + 0.2 * 2 + 0.1 * 1)
    assert hypervolume(POINTS, Point(0.95, 8.0)) == 0
    assert hypervolume([], Point(0.0, 1.0)) == 0


def test_hypervolume_is_what_random_darts_hit() -> None:
    rng = numpy.random.default_rng(2)
    points = [Point(float(w), float(2**c)) for w, c in zip(rng.uniform(size=8), rng.uniform(0, 4, 8), strict=True)]
    darts = zip(rng.uniform(size=40000), rng.uniform(0, 4, 40000), strict=True)
    hits = sum(any(point.worth >= w and numpy.log2(16 / point.cost) >= c for point in points) for w, c in darts)
    assert hypervolume(points, Point(0.0, 16.0)) == pytest.approx(hits / 40000 * 4, abs=0.03)


def test_knee() -> None:
    bent = [Point(0.5, 1.0), Point(0.89, 2.0), Point(0.9, 16.0)]
    assert knee(bent) == 1
    assert knee(bent[:2]) is None
    assert knee([Point(0.2, 1.0), Point(0.4, 2.0), Point(0.6, 4.0)]) is None  # a straight line has none
