"""Who is told how a run goes on, and what they are told of its beginning and its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qsearch.config import LoadedConfig
from qsearch.errors import QsearchError
from qsearch.observers.configured import configured
from qsearch.observers.notebook import notebook_observer
from qsearch.observers.observer import RunStart
from qsearch.observers.several import Observers
from qsearch.runner.prepared import Prepared
from qsearch.runs.record import RunRecord
from qsearch.search.modes import workload
from qsearch.search.trials import AnyTrial, Observer


def given(observer: Observer | Sequence[Observer] | None) -> Sequence[Observer]:
    """The observers that `qsearch.run` is given; where it is given none, a bar in a notebook."""
    if observer is None:
        bar = notebook_observer()
        return () if bar is None else (bar,)
    return observer if isinstance(observer, list | tuple) else (observer,)


def observing(loaded: LoadedConfig, observers: Sequence[Observer]) -> Observers:
    """These, and the ones that the configuration asks for.

    Raises:
        ConfigError: one cannot be made, or is no observer.
    """
    return Observers([*observers, *configured(loaded)])


def start_of(ready: Prepared, folder: Path, recorded: Sequence[AnyTrial]) -> RunStart:
    """What observers are told of a run before anything is trained."""
    config, costs = ready.experiment.loaded.config, ready.experiment.costs
    works = [workload(config.run, stage.extent) for stage in ready.schedule.stages]
    return RunStart(
        folder=folder,
        config=config,
        target=ready.recipe.target,
        dimensions=ready.schedule.space.dimensions,
        trials=sum(trials for trials, _ in works),
        epochs=sum(epochs for _, epochs in works),
        reference_energy=costs.reference_energy.total,
        reference_cost=costs.reference.total,
        unit=costs.unit,
        known=tuple(recorded),
    )


def tell_end(observers: Observers, folder: Path) -> None:
    """Tell them what the run came to, as it is written there."""
    try:
        record = RunRecord.read(folder)
    except QsearchError as error:  # a folder that is taken away at this moment
        observers.stage(f"observers are not told what the run came to: {error}")
        return
    observers.run_ended(record)
