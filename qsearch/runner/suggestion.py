"""Plans for budgets without any training: sensitivities measured, the best sums found, each answer evaluated."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from qsearch.config.costs import COST_KINDS
from qsearch.energy.measures import Sum, measures
from qsearch.errors import ConfigError
from qsearch.goal.pricer import Costs
from qsearch.plan import QuantizationPlan
from qsearch.report.limits import amount, unit_of_key
from qsearch.report.units import energy
from qsearch.runner.experiment import Experiment
from qsearch.runner.prepared import Prepared
from qsearch.search.correlation import kendall_tau
from qsearch.search.seeds import SEARCH_SEED, spread
from qsearch.search.space import Choice, SearchSpace, Values
from qsearch.sensitivity.ladder import Rung, Solver, even_budgets, ladder
from qsearch.sensitivity.problem import ENERGY, Scale, cost_problem
from qsearch.sensitivity.table import SensitivityTable, plan_dimensions
from qsearch.training.sensitivities import Measuring
from qsearch.training.statistics import SAMPLES, calibration_batches

RUNGS = 8


@dataclass(frozen=True)
class Budget:
    """At most so much of a cost.

    Attributes:
        cost: its name in `config.costs`.
        most: in its unit.
    """

    cost: str
    most: float

    def __str__(self) -> str:
        unit = unit_of_key(self.cost, "")
        told = amount(self.most, self.cost, "").replace(" ", "")
        if unit not in ("pJ", "bits"):  # as the option is read: bytes are B, operations have no unit
            told = told.replace(unit, "B" if unit == "bytes" else "")
        return f"{self.cost}={told}"


@dataclass(frozen=True, kw_only=True)
class Proposed:
    """The plan of the least predicted loss inside of a budget.

    Attributes:
        budget: what it was looked for in; spent: what it has of that cost.
        energy: pJ.
        predicted: the increase of the loss per sample, were the increases of its choices to add up.
        exact: whether no plan inside the budget has a smaller sum; method: how it was found.
    """

    budget: Budget
    values: Values
    plan: QuantizationPlan
    spent: float
    energy: float
    predicted: float
    exact: bool
    method: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "cost": self.budget.cost,
            "budget": self.budget.most,
            "spent": self.spent,
            "energy": self.energy,
            "predicted_increase": self.predicted,
            "exact": self.exact,
            "method": self.method,
            "plan": self.plan.to_dict(),
        }


@dataclass(frozen=True, kw_only=True)
class Suggested:
    """A plan with what it really comes to, without training.

    Attributes:
        model: with the reference's weights, its moving averages taken anew.
        increase: of the loss per sample on the calibration set.
        metrics: on the set to select on.
    """

    proposed: Proposed
    model: keras.Model
    increase: float
    metrics: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        return {**self.proposed.to_dict(), "increase": self.increase, "metrics": dict(self.metrics)}


class Ladder:
    """The best plans of a space by sums of losses, for any budget of one cost.

    The cost is the energy or another sum over calls, each term of which depends on a layer's plan and on what it reads.
    """

    def __init__(
        self, space: SearchSpace, costs: Costs, losses: Mapping[str, Mapping[Choice, float]], cost: str = "energy"
    ) -> None:
        """
        Args:
            cost: as budgets name it; one that `costs` count, and that is a sum (`is_sum`).
        """
        self._space, self._costs, self.cost = space, costs, cost
        self._scale = _scale(costs, cost)
        problem, self._names, self._constant = cost_problem(space, costs.pricer, losses, self._scale)
        self._solver = Solver(problem)

    @property
    def ends(self) -> tuple[float, float]:
        """(the cost of the cheapest plan, the cost from which on nothing more is gained), in its unit.

        Raises:
            ConfigError: no plan means a model.
        """
        found = self._solver.ends()
        if found is None:
            raise ConfigError("no plan of the space means a model: its widths never fit together")
        least, most = ((end + self._constant) / self._scale.parts for end in found)
        # energies have fractions; all that is counted has none
        return (least, most) if self._scale.place is None else (math.ceil(least), math.ceil(most))

    def within(self, budget: float) -> Proposed | None:
        """The best plan inside of a budget, in the cost's unit; None: there is none."""
        rung = self._solver.within(self._parts(budget))
        return None if rung is None else self._proposed(rung, budget)

    def rungs(self, count: int, most: float) -> list[Proposed]:
        """Plans for so many budgets, at even factors from the cheapest plan to `most`, cheapest first."""
        least, top = self.ends
        highest = max(least, min(top, most))
        budgets = even_budgets(self._parts(least), self._parts(highest), count)
        return [
            self._proposed(rung, (rung.budget + self._constant) / self._scale.parts)
            for rung in ladder(self._solver, budgets)
        ]

    def _parts(self, budget: float) -> float:
        """The whole parts that a budget leaves to the terms: totals are rounded up to whole units."""
        if self._scale.place is None:
            return math.floor(budget * self._scale.parts + 1e-6)
        return math.floor(budget) * self._scale.parts - self._constant

    def _proposed(self, rung: Rung, budget: float) -> Proposed:
        options = {dimension.name: dimension.options for dimension in self._space.dimensions}
        # what no plan depends on (a step of the learning rate) has its first option
        values = {name: choices[0] for name, choices in options.items()}
        values |= {name: options[name][place] for name, place in zip(self._names, rung.chosen, strict=True)}
        plan = self._space.plan(values)
        price = self._costs.price(plan)
        own = self.cost not in self._costs.counted and self.cost != "energy"
        return Proposed(
            budget=Budget(self.cost, budget),
            values=values,
            plan=plan,
            spent=price.cost if own else price.of(self.cost),
            energy=price.energy,
            predicted=rung.loss,
            exact=rung.exact,
            method=rung.method,
        )


def is_sum(cost: str) -> bool:
    """Whether a cost adds up over calls, so that best plans can be found; else it is the most that is alive at once."""
    return cost in ("energy", "bits") or isinstance(measures()[cost], Sum)


SUMS = tuple(name for name in COST_KINDS if is_sum(name))


def _scale(costs: Costs, cost: str) -> Scale:
    if cost == "energy":
        return ENERGY
    found = costs.sum_of(cost)
    if found is None:
        raise ValueError(f"{cost} is no sum over calls")
    place, measure = found
    return Scale(parts=measure.part, place=place)


def cheapest_of(space: SearchSpace, costs: Costs, cost: str = "energy") -> float:
    """The least that a plan has of a cost: exactly, where all losses are the same."""
    parts = plan_dimensions(space)
    losses = {one.name: dict.fromkeys(one.options, 0.0) for one in space.dimensions if one.name in parts}
    return Ladder(space, costs, losses, cost).ends[0]


def check_budgets(experiment: Experiment, budgets: Sequence[Budget]) -> None:
    """See that each can be met, and that there is something to quantize, before anything is trained or measured.

    Raises:
        ConfigError: with the least possible.
    """
    if not experiment.space.layers:
        raise ConfigError(
            f"{experiment.graph.name}: no layer of it is searched, so that there is nothing to suggest; give a limit "
            "for the classes of its layers (limit:)"
        )
    costs = experiment.costs
    least = {cost: cheapest_of(experiment.space, costs, cost) for cost in dict.fromkeys(one.cost for one in budgets)}
    for budget in budgets:
        found, unit = least[budget.cost], unit_of_key(budget.cost, "")
        if found > budget.most:
            exact = f"{math.ceil(found * 100) / 100:.2f}pJ" if unit == "pJ" else f"{found:,.0f} {unit}"
            raise ConfigError(
                f"--budget {budget}: no plan keeps to it; the cheapest takes {amount(found, budget.cost, '')} "
                f"({exact}), the reference {amount(costs.reference_of(budget.cost), budget.cost, '')}"
            )


def along(experiment: Experiment) -> str:
    """The cost that a ladder of budgets is of: the goal's own, where it is a sum; else the energy."""
    own = experiment.loaded.config.goal.type
    return own if is_sum(own) else "energy"


def measuring_of(ready: Prepared, samples: int = SAMPLES) -> Measuring:
    """What measures plans of the whole space, on samples of the training set."""
    experiment = ready.experiment
    batches = calibration_batches(ready.data.train, samples, spread(experiment.loaded.config.run.seed, SEARCH_SEED))
    return Measuring(experiment.model, experiment.space, ready.recipe, batches)


def suggested(
    ready: Prepared,
    measuring: Measuring,
    table: SensitivityTable,
    budgets: Sequence[Budget],
    count: int = RUNGS,
    told: Callable[[str], None] = lambda line: None,
) -> list[Suggested]:
    """The answers for these budgets, each by itself; for a ladder of `count` where there are none. Cheapest first."""
    space, costs = ready.experiment.space, ready.experiment.costs
    losses = table.losses(space)
    if budgets:
        ladders = {cost: Ladder(space, costs, losses, cost) for cost in dict.fromkeys(one.cost for one in budgets)}
        found = [ladders[one.cost].within(one.most) for one in budgets]
        distinct = {one.plan: one for one in found if one is not None}
        proposals = sorted(distinct.values(), key=lambda one: one.energy)
    else:
        cost = along(ready.experiment)
        proposals = Ladder(space, costs, losses, cost).rungs(count, costs.reference_of(cost))
    answers = []
    for number, proposed in enumerate(proposals, 1):
        answer = measuring.answer(proposed.values, ready.data.selection)
        told(f"plan {number} of {len(proposals)}, {energy(proposed.energy)}: evaluated")
        answers.append(
            Suggested(proposed=proposed, model=answer.model, increase=answer.loss - table.loss, metrics=answer.metrics)
        )
    return answers


def rank_correlation(answers: Sequence[Suggested]) -> float | None:
    """Kendall's tau of predicted and measured increases; None of fewer than three answers, or of equal ones."""
    if len(answers) < 3:
        return None
    return kendall_tau([one.proposed.predicted for one in answers], [one.increase for one in answers])
