"""Trials of a run as columns, and as fields for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qsearch.report.trial_keys import Key, key_named
from qsearch.report.units import cost, energy
from qsearch.runs.overview import Overview
from qsearch.search.trials import AnyTrial, Trial


def columns(run: Overview, trials: Sequence[AnyTrial], wanted: Sequence[str] = ()) -> list[Key]:
    """The columns that are asked for, or those that tell these trials apart.

    Raises:
        ConfigError: an unknown key.
    """
    if wanted:
        return [key_named(name, run, "--columns") for name in wanted]
    names = ["number"]
    names += ["block"] if any(trial.block is not None for trial in trials) else []
    names += ["status"] if any(not isinstance(trial, Trial) for trial in trials) else []
    names += ["score", "metric", "energy"]
    names += ["cost"] if run.unit != "pJ" else []
    names += [name for name in run.config.run.budget.further if name != run.config.goal.type]
    names += ["ratio"] if run.reference_energy else []
    names += ["time", "role"]
    names += ["reason"] if any(not isinstance(trial, Trial) or trial.trained.stopped for trial in trials) else []
    return [key_named(name, run, "") for name in names]


def summary(run: Overview, shown: int) -> str:
    """A line over a table of trials."""
    counts = run.counts
    every = f"{counts.completed} completed, {counts.failed} failed, {counts.skipped} skipped"
    some = "" if shown == len(run.trials) else f"{shown} of "
    count = len(run.trials)
    return f"{run.name} ({run.state.value}): {some}{count} trial{'' if count == 1 else 's'}: {every}"


def reference_line(run: Overview) -> str | None:
    """What trials are held against; None where that is not known yet."""
    if run.reference_energy is None:
        return None
    text = f"reference: {energy(run.reference_energy)}"
    if run.unit != "pJ" and run.reference_cost is not None:
        text += f", {cost(run.reference_cost, run.unit)}"
    if run.result is None and run.record.result is None:
        return f"{text}, reckoned back from the scores"
    metric = None if run.record.result is None else run.record.result.reference.selection.get(run.metric)
    return text if metric is None else f"{text}, {run.target.name} {metric:.4f}"


def facts(run: Overview) -> dict[str, Any]:
    """A run's own fields in documents."""
    return {
        "run": run.name,
        "state": run.state.value,
        "target_metric": run.target.name,
        "direction": "max" if run.target.maximize else "min",
        "unit": run.unit,
        "reference_energy": run.reference_energy,
        "reference_cost": run.reference_cost,
        "budget": run.config.run.budget.limits,
        "counts": run.counts.model_dump(),
        "planned": run.planned,
        "planned_epochs": run.planned_epochs,
        "epochs": run.epochs,
        "best": None if run.best is None else run.best.number,
        "front": [trial.number for trial in run.front],
        "knee": None if run.knee is None else run.knee.number,
    }


def trial_facts(trial: AnyTrial, run: Overview) -> dict[str, Any]:
    """A trial's line of the journal, with what only the whole run tells."""
    metric = trial.metric if isinstance(trial, Trial) else None
    return {
        **trial.to_dict(),
        "metric": metric,
        "energy_ratio": run.ratio(trial),
        "roles": list(run.roles.get(trial.number, ())),
    }
