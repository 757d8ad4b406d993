"""`goal:` -> what a plan costs, and what that is worth."""

from __future__ import annotations

from dataclasses import dataclass

from qsearch.config.goals import BitsGoalConfig, BitsParams, EnergyGoalConfig, EnergyParams
from qsearch.energy.estimate import EnergySettings, price_plan, price_reference
from qsearch.energy.process import process
from qsearch.energy.report import EnergyReport
from qsearch.goal import BitsGoal, CostReport, EnergyGoal, ForgivingFactor, Goal
from qsearch.graph.model_graph import ModelGraph
from qsearch.plan import QuantizationPlan
from qsearch.quantizers.formats import SOURCE_FORMATS, NumberFormat, source_format
from qsearch.search.loop import Price

SEED_ENERGY = EnergyParams(
    parameters_on_memory=("sram", "sram"),
    activations_on_memory=("sram", "sram"),
    rd_wr_on_io=(False, False),
    source_quantizers=("int8",),
    reference_internal="int8",
    reference_accumulator="int32",
)
"""What energies are priced with when the goal is bits: the seed's settings."""
