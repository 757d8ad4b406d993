"""What the plans of a space cost, without training: can a budget be met, and what are the cheapest and the dearest."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from qsearch.blocks.lookahead import cost_in
from qsearch.goal.price import Constraints, Price
from qsearch.runner.experiment import Experiment
from qsearch.search.cheapest import cheapest, dearest
from qsearch.search.space import Choice, SearchSpace, Values

_ALL = 2_000
"""Combinations that are all looked at; of more, those that `cheapest` comes to from several starts."""


def check_budget(experiment: Experiment, space: SearchSpace) -> None:
    """Refuse a budget that no plan keeps to.

    Raises:
        ConfigError: with the cheapest there is, and its key.
    """
    loaded = experiment.loaded
    budget = loaded.config.run.budget
    constraints = Constraints(budget.energy, budget.cost)
    if not constraints.limits_cost:
        return
    prices: list[Price] = []
    for values in _cheap(experiment, space):
        prices.append(experiment.costs.price(space.plan(values)))
        if constraints.objection(prices[-1]) is None:
            return
    if not prices:
        return
    energy, cost = min(one.energy for one in prices), min(one.cost for one in prices)
    reference = experiment.costs.reference
    for key, least, most, whole, unit in (
        ("energy", energy, budget.energy, experiment.costs.reference_energy.total, "pJ"),
        ("cost", cost, budget.cost, reference.total, experiment.costs.unit),
    ):
        if most is not None and least > most:
            raise loaded.error(
                ("run", "budget", key),
                f"found {_amount(most)} {unit}, and the cheapest candidate takes {_amount(least)} {unit} (the "
                f"reference: {_amount(whole)}); raise it to {_amount(least)} at least, or give cheaper quantizers"
                f"{_widths(loaded.config.run.tune_filters)}",
            )
    raise loaded.error(
        ("run", "budget"), "no candidate keeps to energy and cost at once; raise one of them, or leave it out"
    )


@dataclass(frozen=True)
class Extremes:
    """The cheapest and the dearest plan of a space.

    Attributes:
        exact: whether every plan was looked at; of a large space they are what turning one choice after the other
            comes to, from several starts.
    """

    cheapest: Values
    dearest: Values
    exact: bool


def extremes(experiment: Experiment, space: SearchSpace) -> Extremes | None:
    """The cheapest and the dearest plan; None where no widths fit together."""
    cost = cost_in(space, experiment.costs)
    cheap = list(_cheap(experiment, space))
    exact = space.size <= _ALL
    dear = cheap if exact else [dearest(space, cost, start) for start in _starts(space)]
    if not cheap:
        return None
    return Extremes(min(cheap, key=cost), max((one for one in dear if cost(one) < math.inf), key=cost), exact)


def _amount(value: float) -> str:
    """Rounded up, so that what is told is enough."""
    return f"{math.ceil(value * 100) / 100:,.2f}" if value >= 0.01 else f"{value:.3g}"


def _widths(tuned: str) -> str:
    return " or search narrower layers (run.tune_filters: layer)" if tuned == "none" else ""


def _cheap(experiment: Experiment, space: SearchSpace) -> Iterator[Values]:
    """All values of a small space; else the cheapest from several starts, as a choice may pay with another one."""
    cost = cost_in(space, experiment.costs)
    dimensions = space.dimensions
    if space.size <= _ALL:
        for options in itertools.product(*(dimension.options for dimension in dimensions)):
            values = dict(zip((dimension.name for dimension in dimensions), options, strict=True))
            if cost(values) < float("inf"):
                yield values
        return
    for start in _starts(space):
        values = cheapest(space, cost, start)
        if cost(values) < float("inf"):
            yield values


def _starts(space: SearchSpace) -> Iterator[dict[str, Choice]]:
    """The first options, the last ones, and the ones in the middle."""
    for share in (0.0, 1.0, 0.5):
        yield {one.name: one.options[round(share * (len(one.options) - 1))] for one in space.dimensions}
