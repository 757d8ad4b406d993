"""What may be tried: values, the plan that they mean, and what it costs. Made once, and handed on from there."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from qsearch.errors import QsearchError, plain
from qsearch.goal.price import Price
from qsearch.plan import QuantizationPlan
from qsearch.search.space import LEARNING_RATE, SearchSpace, Values


@dataclass(frozen=True)
class Candidate:
    """A plan of the space, with all that is known of it before training."""

    values: Values
    plan: QuantizationPlan
    price: Price

    @property
    def identity(self) -> Hashable:
        """Equal for values that mean the same plan and the same learning rate."""
        return (self.plan, self.values.get(LEARNING_RATE))


@dataclass(frozen=True)
class Unpriced:
    """A plan that has no price: one that means no model, as its widths do not fit together, or one of a journal.

    Attributes:
        reason: why.
    """

    values: Values
    plan: QuantizationPlan
    reason: str

    @property
    def identity(self) -> Hashable:
        return (self.plan, self.values.get(LEARNING_RATE))


@dataclass(frozen=True)
class Candidates:
    """Makes candidates of values.

    Attributes:
        price: what a plan costs, and whether that is allowed, without building its model.
    """

    space: SearchSpace
    price: Callable[[QuantizationPlan], Price]

    def of(self, values: Values) -> Candidate | Unpriced:
        plan = self.space.plan(values)
        try:
            return Candidate(values, plan, self.price(plan))
        except QsearchError as error:
            return Unpriced(values, plan, plain(error))
