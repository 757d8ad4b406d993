"""The metric that a search is after, and its score together with a cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A metric and its direction.

    With m the metric where more is better, and minus the metric where less is:

        score = m · (1 + delta)   for m >= 0
        score = m / (1 + delta)   for m < 0

    so that a saving (delta > 0) always raises the score. The first line is AutoQKeras' score; a loss of 0.5 with a
    saving worth 8% scores -0.463, as a loss of 0.463 would without.

    Attributes:
        name: as training names it, e.g. "val_acc".
        maximize: whether more is better.
        limit: the best value that the metric can have, 1 of an accuracy, 0 of a loss; None where it has none.
    """

    name: str
    maximize: bool = True
    limit: float | None = 1.0

    def worth(self, metric: float) -> float:
        """The metric turned so that more is better."""
        return metric if self.maximize else -metric

    def score(self, metric: float, delta: float) -> float:
        """What a metric is worth at a cost."""
        worth, factor = self.worth(metric), max(1 + delta, _LEAST)
        return worth * factor if worth >= 0 else worth / factor

    def bound(self, delta: float) -> float | None:
        """The score that no training can pass at this cost; None where the metric has no limit."""
        return None if self.limit is None else self.score(self.limit, delta)

    def allowed(self, reference: float, max_drop: float) -> float:
        """The worst metric within `max_drop` (a fraction) of the reference's."""
        return reference - self.worth(1.0) * max_drop * abs(reference)


_LEAST = 1e-6
"""Of 1 + delta: a trial that costs thousands of times the reference still has a score."""
