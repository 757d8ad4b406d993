"""Limits of a budget, in units that a person would choose."""

from __future__ import annotations

from qsearch.config.costs import COST_KINDS
from qsearch.report.units import cost


def unit_of_key(key: str, unit: str) -> str:
    """The unit of what a key of the budget limits; unit: the goal's, which `cost` is in."""
    return unit if key == "cost" else COST_KINDS[key].unit


def amount(value: float, key: str, unit: str) -> str:
    """What a key of the budget limits, in sensible units; unit: the goal's."""
    return cost(value, unit_of_key(key, unit))
