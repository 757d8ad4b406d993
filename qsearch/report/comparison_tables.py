"""A comparison of runs as rows: a fact each, with a column for every run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from qsearch.report.compared import CommonFront, Comparison, Headline
from qsearch.report.config_diff import shown
from qsearch.report.units import cost, duration, energy

Row = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Fact:
    """A row of the headlines.

    Attributes:
        show: the figure of a run for people.
        what: of what it is one, where runs may differ in what that means: "metric", "energy", "cost", "score".
    """

    field: str
    title: str
    show: Callable[[Any, Headline], str]
    what: str | None = None


def _plain(value: Any, run: Headline) -> str:
    return str(value)


def _whole(value: Any, run: Headline) -> str:
    return f"{value:,}"


def _real(value: Any, run: Headline) -> str:
    return f"{value:.4f}"


def _energy(value: Any, run: Headline) -> str:
    return energy(value)


def _cost(value: Any, run: Headline) -> str:
    return cost(value, run.unit)


def _seconds(value: Any, run: Headline) -> str:
    return duration(value)


_FACTS = (
    _Fact(field="state", title="state", show=_plain),
    _Fact(field="model", title="model", show=_plain),
    _Fact(field="dataset", title="data set", show=_plain),
    _Fact(field="mode", title="mode", show=_plain),
    _Fact(field="trials", title="trials", show=_whole),
    _Fact(field="completed", title="completed", show=_whole),
    _Fact(
        field="combinations",
        title="combinations",
        show=lambda value, run: f"{value:,}" if value < 1e9 else f"{value:.2e}",
    ),
    _Fact(field="seconds", title="time", show=_seconds),
    _Fact(field="metric", title="metric", show=_plain),
    _Fact(field="reference_metric", title="reference, selection set", show=_real, what="metric"),
    _Fact(field="reference_test", title="reference, test set", show=_real, what="metric"),
    _Fact(field="reference_energy", title="reference, energy", show=_energy, what="energy"),
    _Fact(field="reference_cost", title="reference, cost", show=_cost, what="cost"),
    _Fact(field="reference_parameters", title="reference, parameters", show=_whole),
    _Fact(field="best", title="best: trial", show=_plain),
    _Fact(field="best_metric", title="best, selection set", show=_real, what="metric"),
    _Fact(field="best_test", title="best, test set", show=_real, what="metric"),
    _Fact(field="best_score", title="best, score", show=_real, what="score"),
    _Fact(field="best_energy", title="best, energy", show=_energy, what="energy"),
    _Fact(field="best_cost", title="best, cost", show=_cost, what="cost"),
    _Fact(field="best_ratio", title="best, times less energy", show=lambda value, run: f"{value:.4g}", what="energy"),
    _Fact(field="best_parameters", title="best, parameters", show=_whole),
)
_MARK = " *"
"""After the title of what cannot be compared."""


def headings(comparison: Comparison) -> Row:
    """An empty one, and the runs' names."""
    return ("", *(run.name for run in comparison.runs))


def headline_rows(comparison: Comparison) -> list[Row]:
    """The figures of all runs; those of costs alone where they are no energies."""
    own_costs = any(run.unit != "pJ" for run in comparison.runs)
    rows = []
    for fact in _FACTS:
        if fact.what == "cost" and not own_costs:
            continue
        mark = _MARK if fact.what in comparison.incomparable else ""
        values = [getattr(run, fact.field) for run in comparison.runs]
        cells = [
            "-" if value is None else fact.show(value, run) for value, run in zip(values, comparison.runs, strict=True)
        ]
        rows.append((f"{fact.title}{mark}", *cells))
    return rows


def remarks(comparison: Comparison) -> list[str]:
    """What cannot be compared, and why."""
    return [f"* {what}: not comparable: {why}" for what, why in comparison.incomparable.items()]


def difference_rows(comparison: Comparison) -> list[Row]:
    """Keys of the configurations that differ."""
    return [(each.key, *map(shown, each.values)) for each in comparison.differences]


def front_rows(comparison: Comparison, common: CommonFront) -> list[Row]:
    """The hypervolume of each run, and its trials on the common front."""
    own = [
        ", ".join(str(point.trial) for point in common.points if point.run == place) or "none"
        for place in range(len(comparison.runs))
    ]
    counts = [sum(point.run == place for point in common.points) for place in range(len(comparison.runs))]
    return [
        ("hypervolume", *(f"{volume:.4f}" for volume in common.hypervolumes)),
        ("points on it", *map(str, counts)),
        ("trials on it", *own),
    ]


def point_rows(comparison: Comparison, common: CommonFront) -> list[Row]:
    """(run, trial, metric, energy, cost) of the common front; the cost where it is no energy."""
    found = []
    for point in common.points:
        run = comparison.runs[point.run]
        own = () if run.unit == "pJ" else (cost(point.cost, run.unit),)
        found.append((run.name, str(point.trial), f"{point.metric:.4f}", energy(point.energy), *own))
    return found


def point_headings(comparison: Comparison) -> Row:
    """Of `point_rows`."""
    run = comparison.runs[0]
    return ("run", "trial", f"{run.metric}, selection set", "energy", *(() if run.unit == "pJ" else (run.unit,)))


def corner(comparison: Comparison, common: CommonFront) -> str:
    """Where hypervolumes are measured from."""
    run = comparison.runs[0]
    return (
        f"hypervolume: {run.metric} times doublings of cost saved, from {run.metric} {common.corner_metric:.4f} at "
        f"{cost(common.corner_cost, run.unit)}"
    )


def layer_rows(comparison: Comparison) -> list[Row]:
    """What the best models have, by layer and place."""
    return [
        (f"{each.layer}.{each.part}", *("-" if value is None else shown(value) for value in each.values))
        for each in comparison.layers
    ]


def csv_rows(comparison: Comparison) -> list[Sequence[Any]]:
    """(part, key, a value for each run) of everything, figures as they are."""
    rows: list[Sequence[Any]] = [
        ("figures", fact.field, *(getattr(run, fact.field) for run in comparison.runs)) for fact in _FACTS
    ]
    rows += [("incomparable", what, why) for what, why in comparison.incomparable.items()]
    rows += [
        ("config", each.key, *(None if value is None else shown(value) for value in each.values))
        for each in comparison.differences
    ]
    if comparison.front is not None:
        rows.append(("front", "hypervolume", *comparison.front.hypervolumes))
        rows += [("front", *row) for row in front_rows(comparison, comparison.front)[1:]]
    rows += [("layers", f"{each.layer}.{each.part}", *each.values) for each in comparison.layers]
    return rows
