"""Plans for budgets without any training: sensitivities measured, the best sums found, each answer evaluated."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from qsearch.errors import ConfigError
from qsearch.goal.pricer import Costs
from qsearch.plan import QuantizationPlan
from qsearch.report.units import energy
from qsearch.runner.experiment import Experiment
from qsearch.runner.prepared import Prepared
from qsearch.search.correlation import kendall_tau
from qsearch.search.seeds import SEARCH_SEED, spread
from qsearch.search.space import Choice, SearchSpace, Values
from qsearch.sensitivity.ladder import Rung, Solver, even_budgets, ladder
from qsearch.sensitivity.problem import HUNDREDTHS, energy_problem
from qsearch.sensitivity.table import SensitivityTable, plan_dimensions
from qsearch.training.sensitivities import Measuring
from qsearch.training.statistics import SAMPLES, calibration_batches

RUNGS = 8


@dataclass(frozen=True, kw_only=True)
class Proposed:
    """The plan of the least predicted loss inside of a budget.

    Attributes:
        budget, energy: pJ.
        predicted: the increase of the loss per sample, were the increases of its choices to add up.
        exact: whether no plan inside the budget has a smaller sum; method: how it was found.
    """

    budget: float
    values: Values
    plan: QuantizationPlan
    energy: float
    predicted: float
    exact: bool
    method: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "budget": self.budget,
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
    """The best plans of a space by sums of losses, for any budget of energy."""

    def __init__(self, space: SearchSpace, costs: Costs, losses: Mapping[str, Mapping[Choice, float]]) -> None:
        self._space, self._costs = space, costs
        problem, self._names = energy_problem(space, costs.pricer, losses)
        self._solver = Solver(problem)

    @property
    def ends(self) -> tuple[float, float]:
        """(the energy of the cheapest plan, the energy from which on nothing more is gained), pJ.

        Raises:
            ConfigError: no plan means a model.
        """
        found = self._solver.ends()
        if found is None:
            raise ConfigError("no plan of the space means a model: its widths never fit together")
        return found[0] / HUNDREDTHS, found[1] / HUNDREDTHS

    def within(self, budget: float) -> Proposed | None:
        """The best plan inside of a budget, pJ; None: there is none."""
        rung = self._solver.within(math.floor(budget * HUNDREDTHS + 1e-6))
        return None if rung is None else self._proposed(rung, budget)

    def rungs(self, count: int, most: float) -> list[Proposed]:
        """Plans for so many budgets, at even factors from the cheapest plan to `most` pJ, cheapest first."""
        least, top = self.ends
        budgets = even_budgets(least * HUNDREDTHS, max(least, min(top, most)) * HUNDREDTHS, count)
        return [self._proposed(rung, rung.budget / HUNDREDTHS) for rung in ladder(self._solver, budgets)]

    def _proposed(self, rung: Rung, budget: float) -> Proposed:
        options = {dimension.name: dimension.options for dimension in self._space.dimensions}
        # what no plan depends on (a step of the learning rate) has its first option
        values = {name: choices[0] for name, choices in options.items()}
        values |= {name: options[name][place] for name, place in zip(self._names, rung.chosen, strict=True)}
        plan = self._space.plan(values)
        return Proposed(
            budget=budget,
            values=values,
            plan=plan,
            energy=self._costs.price(plan).energy,
            predicted=rung.loss,
            exact=rung.exact,
            method=rung.method,
        )


def cheapest_energy(space: SearchSpace, costs: Costs) -> float:
    """The energy of the cheapest plan, pJ: exactly, where all losses are the same."""
    parts = plan_dimensions(space)
    losses = {one.name: dict.fromkeys(one.options, 0.0) for one in space.dimensions if one.name in parts}
    return Ladder(space, costs, losses).ends[0]


def check_budgets(experiment: Experiment, budgets: Sequence[float]) -> None:
    """See that each can be met, and that there is something to quantize, before anything is trained or measured.

    Raises:
        ConfigError: with the least possible.
    """
    if not experiment.space.layers:
        raise ConfigError(
            f"{experiment.graph.name}: no layer of it is searched, so that there is nothing to suggest; give a limit "
            "for the classes of its layers (limit:)"
        )
    least = cheapest_energy(experiment.space, experiment.costs)
    for budget in budgets:
        if least > budget:
            raise ConfigError(
                f"--budget energy={energy(budget).replace(' ', '')}: no plan keeps to it; the cheapest takes "
                f"{energy(least)} ({math.ceil(least * 100) / 100:.2f}pJ), the reference "
                f"{energy(experiment.costs.reference_energy.total)}"
            )


def measuring_of(ready: Prepared, samples: int = SAMPLES) -> Measuring:
    """What measures plans of the whole space, on samples of the training set."""
    experiment = ready.experiment
    batches = calibration_batches(ready.data.train, samples, spread(experiment.loaded.config.run.seed, SEARCH_SEED))
    return Measuring(experiment.model, experiment.space, ready.recipe, batches)


def suggested(
    ready: Prepared,
    measuring: Measuring,
    table: SensitivityTable,
    budgets: Sequence[float],
    count: int = RUNGS,
    told: Callable[[str], None] = lambda line: None,
) -> list[Suggested]:
    """The answers for these budgets; for a ladder of `count` where there are none. Cheapest first.

    Raises:
        ConfigError: a budget that no plan keeps to.
    """
    experiment = ready.experiment
    plans = Ladder(experiment.space, experiment.costs, table.losses(experiment.space))
    if budgets:
        found = {one.plan: one for budget in sorted(budgets) if (one := plans.within(budget)) is not None}
        proposals = list(found.values())
    else:
        proposals = plans.rungs(count, experiment.costs.reference_energy.total)
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
