"""Cost + metric -> score."""

from qsearch.goal.bits import BitsGoal
from qsearch.goal.counted import CountedGoal
from qsearch.goal.energy import EnergyGoal
from qsearch.goal.forgiving_factor import CostReport, ForgivingFactor, Goal

__all__ = ["BitsGoal", "CostReport", "CountedGoal", "EnergyGoal", "ForgivingFactor", "Goal"]
