"""One model of a run, as people and programs ask for it: its figures, its plan, and where it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qsearch.errors import OutputError, SearchError
from qsearch.report.units import cost, energy, saving
from qsearch.runs.directory import BEST, MODEL
from qsearch.runs.figures import BestModel, KeptModel
from qsearch.runs.overview import Overview
from qsearch.runs.state import State
from qsearch.search.trials import AnyTrial, Trial


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A trial that is asked for, with what is known of its model.

    Attributes:
        is_best: whether its model is the best one.
        figures: of the model as it was saved at the end; None before that, and where it was not kept.
        model: its file; None where it was not kept.
    """

    trial: AnyTrial
    is_best: bool
    figures: BestModel | KeptModel | None
    model: Path | None


def shown(run: Overview, number: int | None) -> Shown:
    """The best model so far, or that of a trial.

    Raises:
        SearchError: no trial is completed yet.
        OutputError: there is no trial of that number.
    """
    trial: AnyTrial | None = run.best
    if number is not None:
        trial = next((each for each in run.trials if each.number == number), None)
        if trial is None:
            raise OutputError(f"{run.name}: has no trial {number}; {_there(run)}")
    if trial is None:
        going_on = run.state is State.RUNNING
        way_on = "wait for the first one" if going_on else "qsearch trials shows why, qsearch resume goes on"
        raise SearchError(f"{run.name}: no trial is completed; {_there(run)}; {way_on}")
    is_best = run.best is not None and run.best.number == trial.number
    figures: BestModel | KeptModel | None = None
    if run.result is not None:
        kept = next((model for model in run.result.models if model.trial == trial.number), None)
        figures = run.result.best if is_best else kept
    path = run.record.folder / (BEST if is_best else f"models/trial_{trial.number}") / MODEL
    own = not is_best or run.record.best_plan == trial.plan  # a run is killed between a trial and its model
    return Shown(trial=trial, is_best=is_best, figures=figures, model=path if own and path.is_file() else None)


def _there(run: Overview) -> str:
    return f"there are trials 1 to {len(run.trials)}" if run.trials else "there are none yet"


def lines(run: Overview, chosen: Shown) -> list[str]:
    """Its figures for people, a line each."""
    trial, figures = chosen.trial, chosen.figures
    what = "the best model" + ("" if run.state is State.FINISHED else " so far") if chosen.is_best else "not the best"
    found = [f"{run.name} ({run.state.value}): trial {trial.number}, {what}"]
    if not isinstance(trial, Trial):
        return [*found, f"{trial.status}: {trial.reason}"]
    metric = f"{run.target.name} {trial.metric:.4f} on the selection set as its trial left it"
    if figures is not None:
        parts = [
            f"{values[run.metric]:.4f} on the {name} set"
            for name, values in (("selection", figures.selection), ("test", figures.test))
            if run.metric in values
        ]
        metric = f"{run.metric} " + ", ".join(parts)
    found.append(f"{metric}; score {trial.score:.4f}")
    used = f"energy {energy(trial.price.energy)}"
    if run.unit != "pJ":
        used += f", {cost(trial.price.cost, run.unit)}"
    ratio = run.ratio(trial)
    found.append(used if ratio is None else f"{used}, {saving(ratio)}")
    if figures is not None:
        found.append(f"parameters {figures.parameters:,}")
    kept = f"model in {chosen.model}" if chosen.model is not None else _not_kept(run, chosen)
    return [*found, kept]


def _not_kept(run: Overview, chosen: Shown) -> str:
    if chosen.is_best:
        return "its model is not there; qsearch resume makes it"
    return "its model was not kept; run.best_models keeps more than the best one"


def layer_rows(run: Overview, chosen: Shown) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Headings, and a row a layer: what is chosen, and what it costs where that is known."""
    plan = chosen.trial.plan.to_dict()
    energies = run.record.energies
    costs = chosen.is_best and run.result is not None and energies is not None and energies.best is not None
    if not costs or energies is None or energies.best is None:
        return ("layer", "chosen"), [(name, _words(layer)) for name, layer in plan.items()]
    reference, best = energies.reference.layers, energies.best.layers
    names = [*best, *(name for name in plan if name not in best)]
    rows: list[tuple[str, ...]] = [
        (
            name,
            _words(plan.get(name, {})),
            energy(reference[name].total) if name in reference else "-",
            energy(best[name].total) if name in best else "-",
        )
        for name in names
    ]
    return ("layer", "chosen", "reference", "best"), rows


def _words(layer: Mapping[str, Any]) -> str:
    return ", ".join(f"{role}: {value}" for role, value in layer.items()) or "-"


def figures(run: Overview, chosen: Shown) -> dict[str, Any]:
    """The same as fields for programs."""
    told = chosen.figures
    return {
        "is_best": chosen.is_best,
        "model": None if chosen.model is None else str(chosen.model),
        "selection": None if told is None else dict(told.selection),
        "test": None if told is None else dict(told.test),
        "parameters": None if told is None else told.parameters,
    }
