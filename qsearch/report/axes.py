"""What trials are compared by besides their metric: energy, bits, operations, memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from qsearch.config.budget import BudgetConfig
from qsearch.config.costs import COST_KINDS
from qsearch.report.units import bits, cost, count, energy, size
from qsearch.runs.costs import PlanCosts, RunCosts
from qsearch.runs.figures import Reference
from qsearch.search.trials import Trial


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One cost of all trials.

    Attributes:
        key: a short name for files and columns.
        label, short: for people; short in tables.
        costs: by the trial's number.
        reference: the reference's, where it is known.
        budget: what may be spent at most; None where nothing is said.
        text: a cost in sensible units.
    """

    key: str
    label: str
    short: str
    costs: Mapping[int, float]
    reference: float | None
    budget: float | None
    text: Callable[[float], str]


_FURTHER: tuple[tuple[str, str, str, str], ...] = (
    ("bits", "bits of parameters and activations", "bits", ""),
    ("bops", "bit operations (BOPs)", "BOPs", "bops"),
    ("ebops", "effective bit operations (EBOPs), at most", "EBOPs", "ebops"),
    ("weight_bytes", "memory of parameters", "memory", "weight_memory"),
)
"""(key, label, short, the cost's name in a budget) of costs that all runs record; others are axes where a budget names
them."""


def axes_of(
    trials: Sequence[Trial], goal: str, reference: Reference | None, costs: RunCosts | None, budget: BudgetConfig
) -> tuple[Axis, ...]:
    """The goal's own cost first; what earlier versions did not record is left out.

    Args:
        goal: its type.
    """
    limits, own = budget.limits, COST_KINDS[goal]
    axes = [
        Axis(
            key="energy",
            label=COST_KINDS["energy"].label,
            short="energy",
            costs={trial.number: trial.price.energy for trial in trials},
            reference=None if reference is None else reference.energy,
            budget=_least(limits, "energy", *(("cost",) if goal == "energy" else ())),
            text=energy,
        )
    ]
    if goal != "energy":
        axes.insert(
            0,
            Axis(
                key="cost",
                label=own.label,
                short="cost",
                costs={trial.number: trial.price.cost for trial in trials},
                reference=None if reference is None else reference.cost,
                budget=_least(limits, "cost", goal),
                text=_text(own.unit),
            ),
        )
    for key, label, short, name in (*_FURTHER, *_limited(budget, goal)):
        if name == goal:
            continue
        known = {trial.number: amount for trial in trials if (amount := _amount(trial, key, name, costs)) is not None}
        if known and max(known.values()) > 0:
            axes.append(
                Axis(
                    key=key,
                    label=label,
                    short=short,
                    costs=known,
                    reference=None if costs is None else _of_plan(costs.reference_costs, key, name),
                    budget=_least(limits, name),
                    text=_TEXTS.get(key) or _text(COST_KINDS[name].unit),
                )
            )
    return tuple(axes)


def _limited(budget: BudgetConfig, goal: str) -> list[tuple[str, str, str, str]]:
    """Costs that are limited and not among the usual ones; `bits` is there as the goal of that type counts them."""
    usual = {name for *_, name in _FURTHER}
    return [
        (name if name != "bits" else "counted_bits", COST_KINDS[name].label, name.replace("_", " "), name)
        for name in budget.further
        if name not in usual and name != goal
    ]


def _amount(trial: Trial, key: str, name: str, costs: RunCosts | None) -> float | None:
    if name in trial.price.spent:
        return trial.price.spent[name]
    return (
        None if costs is None or trial.number not in costs.trials else _of_plan(costs.trials[trial.number], key, name)
    )


def _of_plan(costs: PlanCosts, key: str, name: str) -> float | None:
    return float(costs.parameter_bits + costs.activation_bits) if key == "bits" else costs.of_kind(name)


def _text(unit: str) -> Callable[[float], str]:
    return lambda value: cost(value, unit)


_TEXTS: Mapping[str, Callable[[float], str]] = {
    "bits": bits,
    "bops": count,
    "ebops": count,
    "weight_bytes": lambda value: size(round(value)),
}
"""Of axes whose label has the unit."""


def _least(limits: Mapping[str, float], *keys: str) -> float | None:
    return min((limits[key] for key in keys if key in limits), default=None)
