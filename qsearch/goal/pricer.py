"""`goal:` -> what a plan costs, and what that is worth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from qsearch.config.goals import (
    BitsGoalConfig,
    BitsParams,
    CountedGoalConfig,
    CountedParams,
    EnergyParams,
    GoalConfig,
)
from qsearch.energy.batch import PlanPricer
from qsearch.energy.ebops import most_effective_bit_operations
from qsearch.energy.estimate import EnergySettings
from qsearch.energy.footprint import Footprint, footprint_of
from qsearch.energy.measures import Sum
from qsearch.energy.metrics import ModelMetrics, model_metrics
from qsearch.energy.process import Process, process_named
from qsearch.energy.report import EnergyReport
from qsearch.goal import BitsGoal, CostReport, CountedGoal, EnergyGoal, ForgivingFactor, Goal
from qsearch.goal.price import Price
from qsearch.graph.built import built
from qsearch.graph.model_graph import ModelGraph
from qsearch.plan import NO_QUANTIZERS, QuantizationPlan
from qsearch.quantizers.formats import SOURCE_FORMATS, source_format
from qsearch.quantizers.number_types import NumberFormat

SEED_ENERGY = CountedParams()
"""What energies are priced with where the goal is bits: the seed's settings."""


@dataclass(frozen=True)
class Costs:
    """Prices of one model.

    Attributes:
        goal: what the search saves.
        energy_goal: the same where the goal is energy, else what energies are told with: every trial tells its own.
        base: the quantizers that the reference has, as far as they count for it.
        counted: further costs that each price tells, as budgets name them, and the goals that count them.
    """

    graph: ModelGraph
    goal: Goal
    energy_goal: EnergyGoal
    base: QuantizationPlan
    counted: Mapping[str, BitsGoal | CountedGoal] = field(default_factory=dict)

    @property
    def unit(self) -> str:
        return self.goal.unit

    @cached_property
    def reference(self) -> CostReport:
        return self.goal.reference(self.graph, self.base)

    @cached_property
    def reference_energy(self) -> EnergyReport:
        return self.energy_goal.reference(self.graph, self.base)

    @cached_property
    def pricer(self) -> PlanPricer:
        """Of energy, whose terms it tells, then of the own cost of another goal, then of what budgets name."""
        own = [self.goal.measure] if isinstance(self.goal, BitsGoal | CountedGoal) else []
        further = [goal.measure for goal in self.counted.values()]
        return PlanPricer(self.graph, self.energy_goal.trial_settings, measures=[*own, *further])

    @cached_property
    def measured(self) -> tuple[str, ...]:
        """The costs that `pricer` measures beside energy, in its order, as budgets name them."""
        own = [self.goal.kind] if isinstance(self.goal, BitsGoal | CountedGoal) else []
        return (*own, *self.counted)

    def sum_of(self, key: str) -> tuple[int, Sum] | None:
        """Of a cost that `pricer` measures: (its place among the sums, what it adds up); None where it is a maximum."""
        goals = [self.goal, *self.counted.values()]
        measures = [one.measure for one in goals if isinstance(one, BitsGoal | CountedGoal)]
        found = measures[self.measured.index(key)]
        if not isinstance(found, Sum):
            return None
        return sum(isinstance(one, Sum) for one in measures[: self.measured.index(key)]), found

    def reference_of(self, key: str) -> float:
        """What the reference has of what a key of the budget limits, or of what the goal saves."""
        if key == "energy":
            return self.reference_energy.total
        if key in ("cost", *self.measured[: len(self.measured) - len(self.counted)]):
            return self.reference.total
        return self.counted[key].reference(self.graph, self.base).total

    def energy(self, plan: QuantizationPlan) -> EnergyReport:
        return self.energy_goal.trial(self.graph, plan)

    def footprint(self, plan: QuantizationPlan | None) -> Footprint:
        """The memory of a plan; of the reference for None."""
        bits = self.energy_goal.trial_settings.internal.bits
        if plan is None:
            return footprint_of(self.graph, self.base, self.reference_energy, bits)
        return footprint_of(*built(self.graph, plan), self.energy(plan), bits)

    def metrics(self, plan: QuantizationPlan | None) -> tuple[ModelMetrics, int]:
        """Operations, bits and memory of a plan, and its effective bit operations at most; of the reference for None.

        Raises:
            ModelError: widths that do not fit together.
        """
        bits = self.energy_goal.trial_settings.internal.bits
        if plan is None:
            graph, plan, report = self.graph, self.base, self.reference_energy
        else:
            report = self.energy(plan)
            graph, plan = built(self.graph, plan)
        most = most_effective_bit_operations(graph, plan, report, bits)
        return model_metrics(graph, plan, report, bits), most

    def cost(self, plan: QuantizationPlan) -> CostReport:
        """A plan's cost in the goal's unit, by layer."""
        return self.goal.trial(self.graph, plan)

    def price(self, plan: QuantizationPlan) -> Price:
        """A plan's cost, its energy, and its delta."""
        energy, totals = self.pricer.totals(plan)
        measured = [float(total) for total in totals]
        cost = energy if self.goal is self.energy_goal else measured.pop(0)
        spent = dict(zip(self.counted, measured, strict=True))
        delta = self.goal.forgiving.delta(self.reference.total, cost)
        return Price(cost=cost, energy=energy, delta=delta, final_cost=cost, spent=spent)


def also_counting(costs: Costs, config: GoalConfig, names: Iterable[str]) -> Costs:
    """The same prices, which tell further costs too.

    Args:
        config: the goal that they were made for.
    """
    further = dict.fromkeys((*costs.counted, *names))
    return costs_of(config, costs.graph, costs.base, [name for name in further if name != "energy"])


def costs_of(
    config: GoalConfig,
    graph: ModelGraph,
    base: QuantizationPlan = NO_QUANTIZERS,
    further: Iterable[str] = (),
) -> Costs:
    """The prices that a `goal:` section asks for.

    Args:
        base: the quantizers that the model has from the start.
        further: names of costs that prices tell beside energy and the goal's own.
    """
    base = base if config.params.reference_cost == "own" else NO_QUANTIZERS
    params = config.params
    energy = _energy_goal(params if isinstance(params, EnergyParams) else SEED_ENERGY)
    forgiving = ForgivingFactor(params.delta_p, params.delta_n, params.rate, params.stress)
    goal: Goal = energy
    if isinstance(config, BitsGoalConfig):
        goal = _bits_goal(config.params)
    elif isinstance(config, CountedGoalConfig):
        goal = _counted_goal(config.type, energy, forgiving)
    bits = goal if isinstance(goal, BitsGoal) else _bits_goal(BitsParams())
    counted = {name: bits if name == "bits" else _counted_goal(name, energy, forgiving) for name in further}
    return Costs(graph, goal, energy, base, counted)


def _bits_goal(params: BitsParams) -> BitsGoal:
    return BitsGoal(
        forgiving=ForgivingFactor(params.delta_p, params.delta_n, params.rate, params.stress),
        counted=params.config,
        input_bits=params.input_bits,
        output_bits=params.output_bits,
        ref_bits=params.ref_bits,
    )


def _counted_goal(kind: str, energy: EnergyGoal, forgiving: ForgivingFactor) -> CountedGoal:
    return CountedGoal(
        kind=kind,
        forgiving=forgiving,
        reference_settings=energy.reference_settings,
        trial_settings=energy.trial_settings,
    )


def _energy_goal(params: EnergyParams) -> EnergyGoal:
    """AutoQKeras reads the reference's input as `reference_internal`, the trials' as `source_quantizers` says."""
    sources = None if params.source_quantizers is None else tuple(source_format(t) for t in params.source_quantizers)
    return EnergyGoal(
        ForgivingFactor(params.delta_p, params.delta_n, params.rate, params.stress),
        _settings(params, 0, (SOURCE_FORMATS[params.reference_internal],)),
        _settings(params, 1, sources),
    )


def _process(params: EnergyParams) -> Process:
    own = params.own_process
    if own is None:
        return process_named(params.process)
    given = {key: value for key, value in own.model_dump().items() if value is not None and key != "based_on"}
    return replace(process_named(own.based_on), **given)


def _settings(params: EnergyParams, index: int, sources: tuple[NumberFormat, ...] | None) -> EnergySettings:
    return EnergySettings(
        process=_process(params),
        weights_on_memory=params.parameters_on_memory[index],
        activations_on_memory=params.activations_on_memory[index],
        min_sram_size=params.min_sram_size[index],
        rd_wr_on_io=params.rd_wr_on_io[index],
        sources=sources,
        internal=SOURCE_FORMATS[params.reference_internal],
        accumulator=SOURCE_FORMATS[params.reference_accumulator],
        activations=params.reference_activations,
        unquantized_norm=params.unquantized_norm,
        fused_activation=params.fused_activation,
    )
