"""The most likely choices under budgets, where each dimension has probabilities of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from qsearch.sensitivity.frontier import Frontier, frontier
from qsearch.sensitivity.problem import Problem

_LEAST = 1e-12
_LABELS = 20_000
"""Pairs of one stage; beyond it some are left out."""


def likely(problem: Problem, probabilities: Sequence[Sequence[float]]) -> Frontier:
    """For every budget the choice of the greatest Π_d p_d(x_d) inside it: the least sum of -ln p_d(x_d).

    Args:
        probabilities: by dimension and option, as the problem has losses, which do not matter.
    """
    losses = tuple(tuple(-math.log(max(float(one), _LEAST)) for one in many) for many in probabilities)
    return frontier(replace(problem, losses=losses), _LABELS, thin=True)
