"""The column of a goal's cost, in tables that tell the energy anyway."""

from __future__ import annotations

from qsearch.report.units import cost
from qsearch.runs.result import Result


def own_heading(result: Result) -> tuple[str, ...]:
    """Its head; none where the goal is energy."""
    return () if result.unit == "pJ" else (result.goal,)


def own_cost(value: float, result: Result) -> tuple[str, ...]:
    """Its cell; none where the goal is energy."""
    return () if result.unit == "pJ" else (cost(value, result.unit),)
