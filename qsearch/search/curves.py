"""What learning curves of earlier trials say about one that is being trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from qsearch.goal.target import Target

MIN_CURVES = 3
"""Curves needed before anything is said."""
_SLACK = 2.0
"""How much further than the steepest earlier curve a trial may still come."""


class LearningCurves:
    """The reach of a trial: the worth that it may have at the end, judged generously.

    With a limit L, of every earlier curve the part (L - end) / (L - now) of the distance to L that is left at the end;
    the trial may leave half of the smallest such part. Without a limit, it may gain twice the greatest gain seen.
    This is experience and no proof: a late bloomer can be lost, so that nothing uses it unless the user asks for it.
    """

    def __init__(self, limit: float | None) -> None:
        self._limit = limit
        self._curves: list[list[float]] = []

    def add(self, curve: Sequence[float]) -> None:
        """Worths after each epoch of a trial that was trained to its end."""
        if curve:
            self._curves.append(list(accumulate(curve, max)))

    def reach(self, curve: Sequence[float]) -> float | None:
        """The worth that a trial with this curve so far may end with; None as long as too little is known."""
        epoch, now = len(curve), max(curve)
        known = [(past[epoch - 1], past[-1]) for past in self._curves if len(past) > epoch]
        if len(known) < MIN_CURVES:
            return None
        if self._limit is None:
            return now + _SLACK * max(end - then for then, end in known)
        left = min((self._limit - end) / max(self._limit - then, 1e-12) for then, end in known)
        return self._limit - min(left / _SLACK, 1.0) * (self._limit - now)


@dataclass(frozen=True)
class EarlyStop:
    """Given the target metric after every epoch of a trial so far, why to stop its training, or None.

    Attributes:
        delta: of the trial's cost.
        least: the score that it must pass to matter.
    """

    curves: LearningCurves
    target: Target
    delta: float
    least: float

    def __call__(self, curve: list[float]) -> str | None:
        target = self.target
        reach = self.curves.reach([target.worth(value) for value in curve])
        if reach is None:
            return None
        score = target.score(target.worth(reach), self.delta)
        return None if score > self.least else f"a score of {score:.4f} is in reach, {self.least:.4f} needed"
