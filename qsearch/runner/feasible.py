"""What the plans of a space cost, without training: can a budget be met, and what are the cheapest and the dearest."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from qsearch.blocks.lookahead import by_cost, by_excess, cost_in, rank_in
from qsearch.errors import ConfigError
from qsearch.goal.price import Constraints, Price, budget_of
from qsearch.report.limits import amount, unit_of_key
from qsearch.runner.experiment import Experiment
from qsearch.search.cheapest import cheapest, dearest
from qsearch.search.space import Choice, SearchSpace, Values

_ALL = 2_000
"""Combinations that are all looked at; of more, those that `cheapest` comes to from several starts."""


def check_budget(experiment: Experiment, space: SearchSpace) -> None:
    """Refuse a budget that no plan keeps to.

    Raises:
        ConfigError: with each limit that no plan keeps to and the least there is, or the plan nearest to all of them.
    """
    budget = experiment.loaded.config.run.budget
    constraints = budget_of(budget)
    if not constraints.limits_cost:
        return
    least: dict[str, float] = {}
    nearest: Price | None = None
    for price in _near(experiment, space, constraints, constraints.limits):
        if constraints.objection(price) is None:
            return
        if nearest is None or constraints.excess(price) < constraints.excess(nearest):
            nearest = price
        least = {key: min(price.of(key), least.get(key, math.inf)) for key in constraints.limits}
    if nearest is None:
        return
    limits = constraints.limits
    broken = [_unmet(experiment, key, least[key], most) for key, most in limits.items() if least[key] > most]
    if len(broken) == 1:
        raise broken[0]
    if broken:
        raise ConfigError("\n".join(map(str, broken)), [one for error in broken for one in error.mistakes])
    together = _listed([*limits])
    costs = _listed([f"{key} {amount(nearest.of(key), key, experiment.costs.unit)}" for key in limits])
    raise experiment.loaded.error(
        ("run", "budget"),
        f"no candidate keeps to {together} at once; the nearest has {costs}; raise one of them, or leave it out",
    )


def _unmet(experiment: Experiment, key: str, least: float, most: float) -> ConfigError:
    """A limit that no plan keeps to."""
    loaded, costs = experiment.loaded, experiment.costs
    unit, whole = unit_of_key(key, costs.unit), costs.reference_of(key)
    # energies have fractions; all that is counted has none
    told = _amount if unit == "pJ" else lambda value: f"{value:,.10g}"
    return loaded.error(
        ("run", "budget", key),
        f"found {told(most)} {unit}, and the cheapest candidate takes {told(least)} {unit} (the reference: "
        f"{told(whole)}); raise it to {told(least)} at least, or give cheaper quantizers"
        f"{_widths(loaded.config.run.tune_filters)}",
    )


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def least_of(experiment: Experiment, space: SearchSpace, keys: Iterable[str]) -> dict[str, float]:
    """The least that any plan has of what keys of the budget limit; nothing where no widths fit together."""
    found = {}
    for key in keys:
        amounts = [price.of(key) for price in _near(experiment, space, Constraints(), [key])]
        if amounts:
            found[key] = min(amounts)
    return found


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


def _near(experiment: Experiment, space: SearchSpace, constraints: Constraints, keys: Iterable[str]) -> Iterator[Price]:
    """All prices of a small space; else the nearest to a budget, then the least of each of these costs."""
    if space.size <= _ALL:
        for values in _cheap(experiment, space):
            yield experiment.costs.price(space.plan(values))
        return
    ranks = [by_excess(constraints), *map(by_cost, keys)]
    found: list[dict[str, Choice]] = []
    for rank in (*ranks, ranks[0]):  # at the end from where each limit's least is
        ranked = rank_in(space, experiment.costs, rank)
        for start in [*_starts(space)] if rank is not ranks[0] or not found else found.copy():
            values = cheapest(space, ranked, start)
            if ranked(values)[0] < math.inf:
                found.append(values)
                yield experiment.costs.price(space.plan(values))


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
