"""The first things that a reader wants to know of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from qsearch.config.costs import COST_KINDS
from qsearch.report.axes import Axis
from qsearch.report.sentences import demanded, final_training, kept_to, own_saving, selected_on, shared_weights
from qsearch.report.shown_run import ShownRun
from qsearch.report.units import bits, cost, count, duration, energy, priced, saving, size
from qsearch.runs.costs import PlanCosts
from qsearch.runs.figures import BestModel, Demands
from qsearch.runs.overview import epochs_so_far, planned_trials
from qsearch.runs.result import Result
from qsearch.runs.state import State

_MOODS: Mapping[State, str] = {
    State.RUNNING: "live",
    State.FINISHED: "good",
    State.INTERRUPTED: "bad",
    State.OUT_OF_TIME: "bad",
    State.STOPPED: "bad",
}


ENERGY_ALONE = "The run is by a version that recorded no costs of trials beside energy."


@dataclass(frozen=True)
class Card:
    """A figure that is read from afar."""

    what: str
    figure: str
    origin: str


@dataclass(frozen=True, kw_only=True)
class Headline:
    """The head of a report.

    Attributes:
        state, mood: how far the run is, and the class of its badge.
        rows: (what, reference, best, change).
        best: how the column of the best model is called.
        lines: sentences; warnings: those that must not be missed.
    """

    title: str
    state: str
    mood: str
    subtitle: str
    cards: tuple[Card, ...]
    rows: tuple[tuple[str, str, str, str], ...]
    best: str
    lines: tuple[str, ...]
    warnings: tuple[str, ...]


def headline(run: ShownRun) -> Headline:
    """Of a run, finished or not."""
    best, result = run.best, run.record.result
    final = result.best if result is not None and not run.is_live else None
    called = "best" if best is None else f"{'best' if final else 'best so far'}: trial {best.number}"
    return Headline(
        title=run.title,
        state=run.state.value,
        mood=_MOODS[run.state],
        subtitle=_subtitle(run),
        cards=tuple(_cards(run, final)),
        rows=tuple(_rows(run, final)),
        best=called,
        lines=tuple(_lines(run, final)),
        warnings=tuple(_warnings(run)),
    )


def _subtitle(run: ShownRun) -> str:
    record, config = run.record, run.record.config
    most = planned_trials(config.run)
    total = f" of {most}" if run.is_live and most is not None and len(record.completed) <= most else ""
    parts = [
        f"{len(record.completed)}{total} trials completed, {len(run.failed)} failed, {len(run.skipped)} skipped",
        f"mode {config.run.mode}",
        f"goal {config.goal.type}",
        f"seed {config.run.seed}",
    ]
    if config.run.max_epochs_total is not None:
        spent = f"{epochs_so_far(config.run, record.trials):,}"
        parts.insert(1, f"epochs {spent}{f' of {config.run.max_epochs_total:,}' if run.is_live else ''}")
    if record.result is not None and not run.is_live:
        parts.insert(1, duration(record.result.seconds))
    return " · ".join(parts)


def _number(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.4f}"


def _change(first: float | None, second: float | None) -> str:
    if first is None or second is None or math.isnan(first) or math.isnan(second):
        return ""
    return f"{second - first:+.4f}".replace("-", "−")


def _times(first: float | None, second: float | None) -> str:
    """The reference's over the best's: "25.93× less"."""
    if not first or not second:
        return ""
    if f"{first / second:.4g}" == "1":
        return "the same"
    return f"{first / second:.4g}× less" if first > second else f"{second / first:.4g}× more"


def _cards(run: ShownRun, final: BestModel | None) -> list[Card]:
    best, reference, cards = run.best, run.reference, list[Card]()
    if best is None:
        return cards
    if reference is not None:
        told = f"{energy(reference.energy)} → {energy(best.price.energy)}"
        cards.append(Card("energy of one inference", _times(reference.energy, best.price.energy), told))
        if run.unit != "pJ":
            told = f"{cost(reference.cost, run.unit)} → {cost(best.price.cost, run.unit)}"
            cards.insert(0, Card(run.goal_label, _times(reference.cost, best.price.cost), told))
    else:
        cards.append(Card("energy of one inference", energy(best.price.energy), "the reference's is not recorded"))
    if final is not None and reference is not None:
        pair = (reference.test.get(run.metric), final.test.get(run.metric))
        cards.append(
            Card(f"{run.metric} on the test set", _number(pair[1]), f"reference {_number(pair[0])}, {_change(*pair)}")
        )
    chosen = best.metric if final is None else final.selection.get(run.metric)
    before = run.reference_metric
    told = "" if before is None else f"reference {_number(before)}, {_change(before, chosen)}"
    cards.append(Card(f"{run.metric} on the selection set", _number(chosen), told))
    costs = run.record.costs
    if costs is not None and best.number in costs.trials:
        first, own = costs.reference_costs.weight_bytes, costs.trials[best.number].weight_bytes
        cards.append(Card("memory of parameters", size(own), f"reference {size(first)}, {_times(first, own)}"))
    elif final is not None and reference is not None:
        cards.append(Card("parameters", f"{final.parameters:,}", f"reference {reference.parameters:,}"))
    return cards


def _rows(run: ShownRun, final: BestModel | None) -> list[tuple[str, str, str, str]]:
    best, reference = run.best, run.reference
    if reference is None:
        return []
    rows = []
    selection = final.selection.get(run.metric) if final is not None else None if best is None else best.metric
    before = run.reference_metric
    rows.append((f"{run.metric}, selection set", _number(before), _number(selection), _change(before, selection)))
    test = reference.test.get(run.metric)
    own = None if final is None else final.test.get(run.metric)
    rows.append((f"{run.metric}, test set", _number(test), _number(own), _change(test, own)))
    spent = None if best is None else best.price.energy
    told = _spent(_limited(run, "energy", "energy"), reference.energy, spent, energy)
    rows.append(told)
    if run.unit != "pJ":
        own = None if best is None else best.price.cost
        rows.append(
            _spent(_limited(run, run.goal_label, "cost"), reference.cost, own, lambda value: cost(value, run.unit))
        )
    rows += [_of_axis(run, axis) for axis in run.axes if axis.key in _WHERE_LIMITED]
    parameters = None if final is None else final.parameters
    rows.append(_spent("parameters", reference.parameters, parameters, lambda value: f"{value:,.0f}"))
    return [*rows, *_metric_rows(run)]


def _metric_rows(run: ShownRun) -> list[tuple[str, str, str, str]]:
    costs, best, weights = run.record.costs, run.best, run.record.weights
    if costs is None:
        return []
    first = costs.reference_costs
    own: PlanCosts | None = None if best is None else costs.trials.get(best.number)

    def row(what: str, name: str, text: Callable[[float], str]) -> tuple[str, str, str, str]:
        return _spent(
            _limited(run, what, _KEYS.get(name, name)),
            getattr(first, name),
            None if own is None else getattr(own, name),
            text,
        )

    rows = [
        row("memory of parameters, bit by bit", "weight_bytes", _bytes),
        row("memory of activations at once", "peak_activation_bytes", _bytes),
        row("bits of all activations", "activation_bits", bits),
        row("multiply-accumulates (MACs)", "macs", count),
        row("bit operations (BOPs)", "bops", count),
        row("effective bit operations (EBOPs), at most", "ebops", count),
    ]
    if weights is not None and weights.ebops is not None and not run.is_live:
        rows.append(("EBOPs with the trained weights", "–", count(weights.ebops), ""))
    return rows


_WHERE_LIMITED = ("activation_memory", "flash", "ram", "counted_bits")
"""Axes that have a row only where a budget names them."""
_KEYS = {"weight_bytes": "weight_memory", "peak_activation_bytes": "peak_activation", "activation_bits": ""}
"""What a budget calls them."""


def _limited(run: ShownRun, what: str, key: str) -> str:
    """A row's name, with what a budget allows of it."""
    budget, goal = run.record.config.run.budget, run.record.config.goal.type
    keys = {"cost", goal} if key == "cost" else {key, "cost"} if key == goal else {key}
    found = [most for name, most in budget.limits.items() if name in keys]
    unit = run.unit if key == "cost" else COST_KINDS[key].unit if key in COST_KINDS else ""
    return f"{what}, at most {cost(min(found), unit)}" if found else what


def _of_axis(run: ShownRun, axis: Axis) -> tuple[str, str, str, str]:
    best = None if run.best is None else axis.costs.get(run.best.number)
    told = axis.label if axis.budget is None else f"{axis.label}, at most {axis.text(axis.budget)}"
    if axis.reference is None:
        return told, "–", "–" if best is None else axis.text(best), ""
    return _spent(told, axis.reference, best, axis.text)


def _bytes(value: float) -> str:
    return size(round(value))


def _spent(what: str, first: float, second: float | None, text: Callable[[float], str]) -> tuple[str, str, str, str]:
    return what, text(first), "–" if second is None else text(second), _times(first, second)


def _lines(run: ShownRun, final: BestModel | None) -> list[str]:
    result, costs = run.record.result, run.record.costs
    lines = [] if costs is not None or run.best is None else [ENERGY_ALONE]
    if result is None or run.is_live:
        if costs is not None:
            lines.append(selected_on(costs.validation, is_over=False))
        if run.is_live:
            lines.append("This page is written anew while the run goes on; load it again to see more.")
        return lines
    if final is not None and final.energy_ratio is not None:
        told = f"The best model uses {saving(final.energy_ratio)}{priced(result.priced_share)}."
        told += own_saving(final.cost_ratio, result.goal)
        lines.append(f"{told} {final_training(final.final_training)}")
    lines.append(selected_on(result.validation))
    if result.demands is not None and result.demands.met is not False:
        lines.append(_demands(result, result.demands))
    if result.shared_weights is not None:
        lines.append(shared_weights(result.shared_weights, result.mode))
    combinations = f"{result.combinations:,}" if result.combinations < 10**9 else f"{result.combinations:.3g}"
    lines.append(f"The search ended: {result.ended}. It chose among {combinations} combinations.")
    return lines


def _demands(result: Result, demands: Demands) -> str:
    return f"{demanded(demands, result.target_metric, result.direction, result.unit)} {kept_to(demands)}"


def _warnings(run: ShownRun) -> list[str]:
    result, found = run.record.result, list[str]()
    if run.state is State.STOPPED:
        found.append("The run has not come to its end, and no process goes on with it: `qsearch resume` does.")
    if run.state is State.INTERRUPTED:
        found.append("The run was interrupted: `qsearch resume` goes on with it.")
    if result is None:
        return found
    if not run.is_live and result.demands is not None and result.demands.met is False:
        found.append(_demands(result, result.demands))
    if result.priced_share < 1:
        share = 1 - result.priced_share
        found.append(f"{share:.1%} of the multiply-accumulates have no price; savings are of the rest.")
    if result.unsearched_share >= 0.01:
        found.append(f"{result.unsearched_share:.1%} of the reference's cost is in layers that were not searched.")
    if result.dearer is not None:
        layers = ", ".join(
            f"{one.layer} ({cost(one.best, result.unit)} for {cost(one.reference, result.unit)})"
            for one in result.dearer
        )
        found.append(f"No trial is cheaper than the reference. What costs the best one more: {layers}.")
    return found
