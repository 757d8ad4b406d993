"""What trials are compared by besides their metric: energy, bits, operations, memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from qsearch.config.schema import BudgetConfig
from qsearch.report.units import bits, count, energy, size
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


_FURTHER: tuple[tuple[str, str, str, Callable[[PlanCosts], int], Callable[[float], str]], ...] = (
    ("bits", "bits of parameters and activations", "bits", lambda c: c.parameter_bits + c.activation_bits, bits),
    ("bops", "bit operations (BOPs)", "BOPs", lambda c: c.bops, count),
    ("ebops", "effective bit operations (EBOPs), at most", "EBOPs", lambda c: c.ebops, count),
    ("weight_bytes", "memory of parameters", "memory", lambda c: c.weight_bytes, lambda value: size(round(value))),
)


def axes_of(
    trials: Sequence[Trial], unit: str, reference: Reference | None, costs: RunCosts | None, budget: BudgetConfig
) -> tuple[Axis, ...]:
    """The goal's own cost first; what earlier versions did not record is left out."""
    found = [
        Axis(
            key="energy",
            label="energy of one inference",
            short="energy",
            costs={trial.number: trial.price.energy for trial in trials},
            reference=None if reference is None else reference.energy,
            budget=budget.energy if unit != "pJ" or budget.cost is None else _least(budget.energy, budget.cost),
            text=energy,
        )
    ]
    if unit != "pJ":
        own = Axis(
            key="cost",
            label="bits that the goal counts",
            short="cost",
            costs={trial.number: trial.price.cost for trial in trials},
            reference=None if reference is None else reference.cost,
            budget=budget.cost,
            text=bits,
        )
        found.insert(0, own)
    if costs is not None:
        for key, label, short, of, text in _FURTHER:
            known = {
                trial.number: float(of(costs.trials[trial.number])) for trial in trials if trial.number in costs.trials
            }
            if known and max(known.values()) > 0:
                found.append(
                    Axis(
                        key=key,
                        label=label,
                        short=short,
                        costs=known,
                        reference=float(of(costs.reference_costs)),
                        budget=None,
                        text=text,
                    )
                )
    return tuple(found)


def _least(first: float | None, second: float) -> float:
    return second if first is None else min(first, second)
