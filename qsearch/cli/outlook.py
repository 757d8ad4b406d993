"""What a run would do, printed: for `qsearch check` and `qsearch run --dry-run`."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from qsearch.cli.output import say
from qsearch.report.units import cost, duration, energy

if TYPE_CHECKING:
    from qsearch.runner.outlook import Outlook, PlanOutlook
    from qsearch.runner.timing import Timing

_LISTED = 12


def show(found: Outlook) -> None:
    """Print it, a line for each thing."""
    data, reference = found.data, found.reference
    held = "selected on the test set" if data.validation is None else f"{data.validation:,} to select on"
    say(f"data         {data.name}: {data.train:,} samples to train, {held}, {data.test:,} to test")
    say(
        f"reference    {reference.name}: {_costs(found, reference.cost, reference.energy)}, "
        f"{reference.parameters:,} parameters, {reference.macs:,} multiply-accumulates"
    )
    names = [f"{name} ({count:,})" for name, count in found.candidates.items()]
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    say(f"searched     {len(names)} layers (candidates): {', '.join(names[:_LISTED])}{more}")
    say(f"space        {count_of(Decimal(found.combinations))} combinations")
    for word, plan in (("cheapest", found.cheapest), ("dearest", found.dearest)):
        if plan is not None:
            say(f"{word:<12} {_plan(found, plan)}")
    for limit in found.budget:
        least = "" if limit.least is None else f", candidates take {cost(limit.least, limit.unit)} at least"
        say(f"budget       {limit.cost} at most {cost(limit.most, limit.unit)}{least} "
            f"(reference {cost(limit.reference, limit.unit)})")  # fmt: skip
    if found.unsearched:
        say(f"not searched {found.unsearched_share:.1%} of the reference's cost")
        for line in found.unsearched:
            say(f"             {line}")
    for stage in found.stages:
        if stage.block is not None:
            combinations = count_of(Decimal(stage.combinations))
            say(f"block        {stage.block}: {len(stage.layers)} layers, {combinations} combinations, "
                f"{stage.trials} trials")  # fmt: skip
    epochs = sum(stage.epochs for stage in found.stages)
    unless = "at most" if found.max_epochs_total is None else "unless some end early, which makes room for more"
    say(f"trials       {found.trials} {unless}, {epochs:,} epochs in all, mode {found.mode}")
    if found.timing is not None:
        for line in timing_lines(found.timing):
            say(f"time         {line}")
    for remark in found.remarks:
        say(f"note: {remark}")


def timing_lines(timing: Timing) -> tuple[str, str]:
    """What was measured, and what that makes of the run."""
    return (
        f"measured: {timing.reference_epoch:.2g} s an epoch of the reference; {timing.trial_start:.2g} s to build a "
        f"candidate, {timing.trial_epoch:.2g} s an epoch of it",
        f"estimated: reference {duration(timing.reference)}, search {duration(sum(timing.stages))}, "
        f"final training {duration(timing.final)}; {duration(timing.total)} in all at most, as trials may be skipped",
    )


def count_of(number: Decimal) -> str:
    """6.2, 123,456 or 1.23e+45; deep networks have more combinations than a float can count."""
    if number < 100:
        return f"{float(number):.3g}"
    return f"{round(number):,}" if number < 1_000_000_000 else f"{number:.2e}"


def _plan(found: Outlook, plan: PlanOutlook) -> str:
    times = f"{plan.saving:.4g} times less" if plan.saving >= 1 else f"{1 / plan.saving:.4g} times more"
    searched = "" if found.exact else "; the best of several starts, as there are too many to look at all"
    return f"{_costs(found, plan.cost, plan.energy)}, {times} than the reference{searched}"


def _costs(found: Outlook, value: float, picojoules: float) -> str:
    return energy(picojoules) if found.unit == "pJ" else f"{cost(value, found.unit)}, {energy(picojoules)}"
