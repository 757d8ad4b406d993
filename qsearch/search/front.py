"""The trade-off between a metric and a cost: which trials are not beaten in both, and how much they cover."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class Point(NamedTuple):
    """What a trial came to.

    Attributes:
        worth: the metric, turned so that more is better.
        cost: less is better.
    """

    worth: float
    cost: float


def front(points: Sequence[Point]) -> list[int]:
    """Indexes of the points that no other beats in one without losing in the other, by rising cost.

    Of equal points the first counts.
    """
    order = sorted(range(len(points)), key=lambda index: (points[index].cost, -points[index].worth, index))
    members: list[int] = []
    for index in order:
        if not members or points[index].worth > points[members[-1]].worth:
            members.append(index)
    return members


def hypervolume(points: Sequence[Point], corner: Point) -> float:
    """The area that a front covers beyond a corner, worth times doublings of cost saved.

    Formula: the area under the staircase of worth - corner.worth over log2(corner.cost / cost) (Zitzler and Thiele
    1999, doi:10.1109/4235.797969). Points worse than the corner cover nothing.
    """
    stairs = [
        Point(points[index].worth - corner.worth, math.log2(corner.cost / max(points[index].cost, 1e-12)))
        for index in front(points)
        if points[index].worth > corner.worth and points[index].cost < corner.cost
    ]
    area, below = 0.0, 0.0
    for worth, saved in stairs:  # the cheapest first, which are the widest and the lowest steps
        area += (worth - below) * saved
        below = worth
    return area


def knee(points: Sequence[Point]) -> int | None:
    """The point of the front farthest from the line between its ends, in units of their distance.

    Costs count by their logarithm. A front of one or two points, or without one above that line, has none.
    """
    members = front(points)
    if len(members) < 3:
        return None
    places = [(math.log(max(points[index].cost, 1e-12)), points[index].worth) for index in members]
    (left, low), (right, high) = places[0], places[-1]
    heights = [(y - low) / (high - low) - (x - left) / (right - left) for x, y in places]
    best = max(range(len(members)), key=lambda place: heights[place])
    return members[best] if heights[best] > 1e-9 else None
