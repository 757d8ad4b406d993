"""What a page's script tells of a trial that is pointed at, as data: figures, and plans as indexes of choices."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

from qsearch.plan import LayerPlan
from qsearch.report.shown_run import ShownRun
from qsearch.report.units import duration

MOST_PLANS = 1000
"""Trials whose plans are in a page; the best of them."""
MOST_CHOICES = 120_000
"""Choices that are in a page, of all trials together."""


def trials_data(run: ShownRun) -> dict[str, Any]:
    """For JSON: labels and figures of each trial, columns (layer, role) and their choices in each plan."""
    further = [axis for axis in run.axes if axis.key != "energy"]
    labels = ["score", run.metric, "energy", *(axis.label for axis in further), "training", "from trial"]
    figures, plans = {}, {}
    columns: dict[tuple[str, str], int] = {}
    choices: dict[Hashable, int] = {}
    room = MOST_CHOICES
    for place, trial in enumerate(run.every_ranked):
        parent = trial.proposal.parent
        figures[str(trial.number)] = [
            f"{trial.score:.4f}",
            f"{trial.metric:.4f}",
            run.energy_text(trial),
            *(axis.text(axis.costs[trial.number]) if trial.number in axis.costs else "" for axis in further),
            f"{trial.trained.epochs} epochs, {duration(trial.seconds)}",
            "" if parent is None else str(parent),
        ]
        plan = trial.plan.layers
        room -= sum(len(layer.quantizers) + 1 for layer in plan.values())
        if place >= MOST_PLANS or room < 0:
            continue
        own = {}
        for name, layer in plan.items():
            for role, choice in _chosen(layer):
                column = columns.setdefault((name, role), len(columns))
                own[column] = choices.setdefault(choice, len(choices))
        plans[str(trial.number)] = own
    return {
        "labels": labels,
        "figures": figures,
        "columns": [list(column) for column in columns],
        "choices": list(map(str, choices)),
        "plans": {number: [own.get(column, -1) for column in range(len(columns))] for number, own in plans.items()},
    }


def _chosen(layer: LayerPlan) -> Iterator[tuple[str, Hashable]]:
    for role, spec in layer.quantizers.items():
        yield role.value, spec
    if layer.filters is not None:
        yield "filters", layer.filters
    if layer.fold is not None:
        yield "fold", layer.fold.norm
