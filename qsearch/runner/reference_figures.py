"""The trained reference in figures, as result.json and costs.json have it."""

from __future__ import annotations

from collections.abc import Sequence

from qsearch.runner.experiment import Experiment
from qsearch.runs.figures import Evaluation, Footprint, Reference


def reference_figures(experiment: Experiment, evaluation: Evaluation, curve: Sequence[float]) -> Reference:
    """What the reference is and costs: cost in the goal's unit, energy in pJ.

    Args:
        evaluation: of the trained reference.
        curve: the target metric on the selection set after each of its epochs.
    """
    costs = experiment.costs
    return Reference(
        **dict(evaluation),
        cost=round(experiment.reference.total, 2),
        energy=round(costs.reference_energy.total, 2),
        footprint=Footprint(**costs.footprint(None).to_dict()),
        curve=tuple(curve),
    )
