"""Several runs side by side: figures, configurations, fronts over each other, and what was chosen for the same layers.

Figures are compared only where they mean the same: metrics of the same data, energies of the same process, costs of the
same goal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from qsearch.config import Config
from qsearch.config.goals import EnergyParams
from qsearch.report.config_diff import Difference, differences
from qsearch.runs.figures import BestModel
from qsearch.runs.overview import Overview, overview
from qsearch.runs.record import RunRecord
from qsearch.search.front import Point, front, hypervolume

_FORGIVENESS = {"delta_p", "delta_n", "rate", "stress"}


@dataclass(frozen=True, kw_only=True)
class Headline:
    """A run in figures; None is what is not known, or not yet. Energies in pJ, costs in `unit`, times in seconds.

    Attributes:
        name: the shortest end of its folder's path that no other run has.
        best_metric, best_test: on the selection set and on the test set, of the model as it is saved; while the run
            goes on, of its trial.
    """

    name: str
    folder: str
    state: str
    model: str
    dataset: str
    mode: str
    metric: str
    unit: str
    trials: int
    completed: int
    combinations: int | None
    seconds: float | None
    reference_metric: float | None
    reference_test: float | None
    reference_energy: float | None
    reference_cost: float | None
    reference_parameters: int | None
    best: int | None
    best_metric: float | None
    best_test: float | None
    best_score: float | None
    best_energy: float | None
    best_cost: float | None
    best_ratio: float | None
    best_parameters: int | None


@dataclass(frozen=True, kw_only=True)
class CommonPoint:
    """A trial that no trial of any run beats in both metric and cost; run: its place among the runs.

    Equal ones are all there.
    """

    run: int
    trial: int
    metric: float
    energy: float
    cost: float


@dataclass(frozen=True, kw_only=True)
class CommonFront:
    """The fronts of all runs over each other.

    Attributes:
        points: by rising cost.
        hypervolumes: of each run's own front, beyond the common corner.
        corner_metric, corner_cost: the worst metric of any trial, and the dearest reference.
    """

    points: tuple[CommonPoint, ...]
    hypervolumes: tuple[float, ...]
    corner_metric: float
    corner_cost: float


@dataclass(frozen=True)
class LayerChoice:
    """What the best models have at one place: "conv2d_0", "kernel"; None where nothing is chosen."""

    layer: str
    part: str
    values: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Runs side by side.

    Attributes:
        incomparable: by what is not the same, "metric", "energy", "cost" and "score": why.
        front: None where metrics or costs cannot be compared, or no trial is completed.
        layers: of layers that at least two of the best plans have; `unshared`: how many others there are.
    """

    runs: tuple[Headline, ...]
    incomparable: dict[str, str]
    differences: tuple[Difference, ...]
    front: CommonFront | None
    layers: tuple[LayerChoice, ...]
    unshared: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data, in order."""
        return asdict(self)


def compare(records: Sequence[RunRecord]) -> Comparison:
    """Runs side by side, in the order given."""
    runs = [overview(record) for record in records]
    names = names_of([record.folder for record in records])
    incomparable = _incomparable(runs, names)
    layers, unshared = _layers(runs)
    return Comparison(
        runs=tuple(_headline(run, name) for run, name in zip(runs, names, strict=True)),
        incomparable=incomparable,
        differences=differences([run.config for run in runs]),
        front=None if {"metric", "cost"} & incomparable.keys() else _front(runs),
        layers=layers,
        unshared=unshared,
    )


def names_of(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of paths that tell them apart."""
    parts = [folder.absolute().parts for folder in folders]

    def name(own: tuple[str, ...]) -> str:
        for length in range(1, len(own) + 1):
            if sum(other[-length:] == own[-length:] for other in parts) == 1:
                return str(Path(*own[-length:]))
        return str(Path(*own))

    return [name(own) for own in parts]


def _headline(run: Overview, name: str) -> Headline:
    result, best = run.record.result, run.best
    saved: BestModel | None = None if run.result is None else run.result.best
    reference = None if result is None else result.reference
    return Headline(
        name=name,
        folder=run.name,
        state=run.state.value,
        model=run.config.model.origin,
        dataset=run.config.dataset.origin,
        mode=run.config.run.mode,
        metric=run.metric,
        unit=run.unit,
        trials=len(run.trials),
        completed=run.counts.completed,
        combinations=None if result is None else result.combinations,
        seconds=None if run.result is None else run.result.seconds,
        reference_metric=None if reference is None else reference.selection.get(run.metric),
        reference_test=None if reference is None else reference.test.get(run.metric),
        reference_energy=run.reference_energy,
        reference_cost=run.reference_cost,
        reference_parameters=None if reference is None else reference.parameters,
        best=None if best is None else best.number,
        best_metric=saved.selection.get(run.metric) if saved is not None else None if best is None else best.metric,
        best_test=None if saved is None else saved.test.get(run.metric),
        best_score=None if best is None else best.score,
        best_energy=None if best is None else best.price.energy,
        best_cost=None if best is None else best.price.cost,
        best_ratio=None if best is None else run.ratio(best),
        best_parameters=None if saved is None else saved.parameters,
    )


def _incomparable(runs: Sequence[Overview], names: Sequence[str]) -> dict[str, str]:
    asked: dict[str, Callable[[Overview], Any]] = {
        "metric": lambda run: (run.metric, run.target.maximize, *_selected_on(run.config)),
        "energy": _pricing_of_energy,
        "cost": lambda run: (run.config.goal.type, _pricing(run.config)),
        "score": lambda run: (run.metric, *_selected_on(run.config), run.config.goal.model_dump_json()),
    }
    different = [what for what, ask in asked.items() if any(ask(run) != ask(runs[0]) for run in runs)]
    return {what: _told(what, runs, names, different) for what in different}


def _selected_on(config: Config) -> tuple[Any, ...]:
    """What decides which samples a metric is of."""
    data = config.dataset
    held_out = None if data.validation == "test" else data.train_samples
    return (data.origin, data.validation, held_out, data.test_samples)


def _pricing(config: Config) -> dict[str, Any]:
    """The rules that a cost follows, without what it is worth."""
    return config.goal.params.model_dump(mode="json", exclude=_FORGIVENESS)


def _pricing_of_energy(run: Overview) -> Any:
    """Of a goal that counts bits, energy has default rules; of all others those of its params."""
    return _pricing(run.config) if isinstance(run.config.goal.params, EnergyParams) else None


def _told(what: str, runs: Sequence[Overview], names: Sequence[str], different: Sequence[str]) -> str:
    """Why; what is reckoned from something else that is told already says only that."""
    if what == "score" and different[0] != what:
        return f"its {different[0]} is not"
    tell: dict[str, Callable[[Overview], str]] = {
        "metric": lambda run: f"{run.metric} of {run.config.dataset.origin}, selected on {_set(run.config)}",
        "energy": lambda run: _words(run.config),
        "cost": lambda run: _words(run.config),
        "score": lambda run: _words(run.config),
    }
    said = [tell[what](run) for run in runs]
    if len({*said}) == 1:
        return "goal.params differ"
    return "; ".join(f"{name}: {each}" for name, each in zip(names, said, strict=True))


def _words(config: Config) -> str:
    return f"a goal of {config.goal.type}"


def _set(config: Config) -> str:
    data = config.dataset
    if data.validation in ("test", "given"):
        return "the test set" if data.validation == "test" else "a set of its own"
    samples = "" if data.train_samples is None else f" of {data.train_samples:,} samples"
    return f"{data.validation} of the training set{samples}"


def _front(runs: Sequence[Overview]) -> CommonFront | None:
    trials = [(place, trial) for place, run in enumerate(runs) for trial in run.comparable]
    costs = [run.reference_cost for run in runs if run.reference_cost is not None]
    if not trials or not costs:
        return None
    target = runs[0].target
    points = [Point(target.worth(trial.metric), trial.price.cost) for _, trial in trials]
    both = [*zip(points, trials, strict=True)]
    corner = Point(min(point.worth for point in points), max(costs))
    best = {points[index] for index in front(points)}
    members = sorted((point.cost, place, trial.number) for point, (place, trial) in both if point in best)
    by_place = {(place, trial.number): trial for place, trial in trials}
    common = tuple(
        CommonPoint(
            run=place,
            trial=number,
            metric=by_place[place, number].metric,
            energy=by_place[place, number].price.energy,
            cost=cost,
        )
        for cost, place, number in members
    )
    own = [[point for point, (place, _) in both if place == run] for run in range(len(runs))]
    return CommonFront(
        points=common,
        hypervolumes=tuple(hypervolume(each, corner) for each in own),
        corner_metric=target.worth(corner.worth),
        corner_cost=corner.cost,
    )


def _layers(runs: Sequence[Overview]) -> tuple[tuple[LayerChoice, ...], int]:
    plans = [{} if run.best is None else run.best.plan.to_dict() for run in runs]
    names = list(dict.fromkeys(name for plan in plans for name in plan))
    shared = [name for name in names if sum(name in plan for plan in plans) > 1]
    found = tuple(
        LayerChoice(name, part, tuple(plan.get(name, {}).get(part) for plan in plans))
        for name in shared
        for part in dict.fromkeys(part for plan in plans for part in plan.get(name, {}))
    )
    return found, len(names) - len(shared)
