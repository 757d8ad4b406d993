"""`--budget energy=20nJ`: a cost, and the most of it."""

from __future__ import annotations

from collections.abc import Sequence

from qsearch.config.costs import COST_KINDS
from qsearch.errors import ConfigError, did_you_mean, shown


def read_budget(text: str) -> tuple[str, float]:
    """energy=20nJ -> ("energy", pJ); weight_memory=64kB -> ("weight_memory", bytes).

    Raises:
        ConfigError: it is no cost, or no amount of one.
    """
    from pydantic import ValidationError

    from qsearch.config.budget import BudgetConfig

    name, equals, value = text.partition("=")
    if not equals or name not in COST_KINDS:
        near, costs = did_you_mean(name, COST_KINDS), ", ".join(COST_KINDS)
        raise ConfigError(f"--budget {shown(text)}: expected COST=AMOUNT, such as energy=20nJ; costs: {costs}{near}")
    try:
        number: float | str = float(value)
    except ValueError:
        number = value
    try:
        return name, BudgetConfig.model_validate({name: number}).limits[name]
    except ValidationError as error:
        why = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f"--budget {shown(text)}: {why}") from None


def check_sums(budgets: Sequence[tuple[str, float]], sums: Sequence[str]) -> None:
    """See that each is of a cost that adds up.

    Raises:
        ConfigError: one is not.
    """
    for name in (name for name, _ in budgets if name not in sums):
        raise ConfigError(
            f"--budget {name}: is the most that is alive at once, and no sum over layers, whose best plan could be "
            f"found; allowed: {', '.join(sums)}. A search keeps to it: run.budget.{name}"
        )
