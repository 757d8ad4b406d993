"""`qsearch suggest MODEL_OR_CONFIG`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import click

from qsearch.cli.budget_option import check_sums, read_budget
from qsearch.cli.json_output import JSON, messages_aside, say_document
from qsearch.cli.model_choice import chosen_model, model_options
from qsearch.cli.output import say
from qsearch.cli.overrides import overrides_option
from qsearch.cli.tables import csv_of, format_option, print_table
from qsearch.config.names import DATASETS
from qsearch.config.shipped import shipped_or
from qsearch.errors import ConfigError, OutputError
from qsearch.paths import as_text, expanded
from qsearch.report.limits import amount
from qsearch.report.units import duration, energy
from qsearch.startup import quiet_start

if TYPE_CHECKING:
    from qsearch.config import LoadedConfig
    from qsearch.runner.prepared import Prepared
    from qsearch.runner.suggestion import Suggested
    from qsearch.runs.directory import RunDirectory
    from qsearch.sensitivity.table import SensitivityTable

_CSV = ("dimension", "layers", "part", "option", "increase", "fisher")


@click.command()
@click.argument("target", metavar="MODEL_OR_CONFIG")
@overrides_option
@click.option("--budget", "budgets", multiple=True, metavar="energy=20nJ",
              help="The most of a cost that a plan has, also weight_memory=64kB and the like; again for another plan.  "
              "[default: a ladder of budgets]")  # fmt: skip
@click.option(
    "--rungs", type=click.IntRange(1, 100), default=8, show_default=True, help="Plans of the ladder, at most."
)
@click.option("--samples", type=click.IntRange(1, 10_000_000), default=1024, show_default=True,
              help="Of the training set, to measure on.")  # fmt: skip
@click.option("--data", metavar="NAME|FILE.npz|MODULE:FUNCTION", help=f"Of a MODEL: {', '.join(DATASETS)}; or yours.")
@click.option("-o", "--output", "folder", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Where plans, models and tables go.  [default: suggested/NAME, or NAME_1, ...]")  # fmt: skip
@model_options
@format_option(("table", JSON))
def suggest(
    target: str,
    overrides: tuple[str, ...],
    budgets: tuple[str, ...],
    rungs: int,
    samples: int,
    data: str | None,
    folder: Path | None,
    load_weights: str | None,
    custom_objects: tuple[str, ...],
    arguments: tuple[str, ...],
    output: str,
) -> None:
    """Suggest plans for a trained model without any training: the best ones inside of budgets, each evaluated.

    MODEL_OR_CONFIG is a configuration, whose reference is trained first where it says so (reference.epochs), or a model
    file, a network's name or module:function with --data. Words KEY=VALUE behind it change values of the configuration.
    """
    wanted = [read_budget(text) for text in budgets]
    path = expanded(target)
    is_config = path.suffix in (".yaml", ".yml") or shipped_or(Path(target)) != Path(target)
    with messages_aside(output):
        if is_config:
            _refuse_for_config(data, load_weights, custom_objects, arguments)
            loaded = _configured(Path(target), overrides)
        else:
            loaded = _drafted(target, data, load_weights, custom_objects, arguments, overrides)
        found = _found(loaded, wanted, rungs, samples, folder, path.stem)
    if output == JSON:
        say_document("suggest", **found.to_dict())
    else:
        found.show()
    say(f"wrote {found.directory.path}", err=True)


def _refuse_for_config(
    data: str | None, weights: str | None, custom_objects: Sequence[str], arguments: Sequence[str]
) -> None:
    given = {"--data": data, "--load-weights": weights, "--custom-object": custom_objects, "--argument": arguments}
    for option in (name for name, value in given.items() if value):
        raise ConfigError(f"{option}: is for a MODEL; a configuration has it in its sections dataset and model")


def _configured(config: Path, overrides: tuple[str, ...]) -> LoadedConfig:
    from qsearch.cli.run import read

    return read(config, overrides, None)


def _drafted(
    model: str,
    data: str | None,
    weights: str | None,
    custom_objects: tuple[str, ...],
    arguments: tuple[str, ...],
    overrides: tuple[str, ...],
) -> LoadedConfig:
    """The configuration that `qsearch init` would write, with the weights of a file as they are."""
    choice = chosen_model(as_text(model), weights, custom_objects, arguments)
    from qsearch.cli.data_choice import named_data
    from qsearch.config.load import check
    from qsearch.config.override import overridden
    from qsearch.config.yaml_reader import parse_source

    with quiet_start():
        from qsearch.imports import look_in
        from qsearch.runner.drafted import Wishes, drafted, suggested_data
        from qsearch.runner.survey import survey

    look_in(Path())
    seen = survey(choice.build())
    name = data or (suggested_data(choice, seen) if choice.name is not None else None)
    if name is None:
        raise ConfigError(
            f"{choice.origin}: --data is missing, which plans are measured on: one of {', '.join(DATASETS)}, "
            "FILE.npz or module:function; or give a configuration"
        )
    text = drafted(choice, named_data(name, seen), seen, Wishes(), choice.origin, schema=False)
    as_it_is = () if choice.name is not None else ("reference.epochs=0",)
    return check(overridden(parse_source(text, choice.origin), (*as_it_is, *overrides)))


@dataclass(frozen=True, kw_only=True)
class _Found:
    """All that is told.

    Attributes:
        trained: epochs that the reference was trained here.
        reference: its metrics on the set to select on.
        seconds: by what was done.
    """

    origin: str
    directory: RunDirectory
    ready: Prepared
    trained: int
    reference: Mapping[str, float]
    table: SensitivityTable
    why_not_shared: str | None
    answers: Sequence[Suggested]
    files: Sequence[str]
    correlation: float | None
    seconds: Mapping[str, float]

    @property
    def metric(self) -> str:
        return self.ready.recipe.target.name.removeprefix("val_")

    @property
    def reference_energy(self) -> float:
        return self.ready.experiment.costs.reference_energy.total

    def to_dict(self) -> dict[str, Any]:
        return {
            "origin": self.origin,
            "folder": str(self.directory.path),
            "unit": "pJ",
            "target_metric": self.metric,
            "reference": {
                "energy": self.reference_energy,
                "loss": self.table.loss,
                "metrics": dict(self.reference),
                "epochs_trained": self.trained,
            },
            "calibration_samples": self.table.samples,
            "one_model": self.table.shared,
            "why_not_one_model": self.why_not_shared,
            "plans": [{**one.to_dict(), "folder": name} for one, name in zip(self.answers, self.files, strict=True)],
            "rank_correlation": self.correlation,
            "sensitivity": [row.to_dict() for row in self.table.rows],
            "seconds": dict(self.seconds),
        }

    @property
    def cost(self) -> str:
        """What all budgets are of; "spent" where they are of several costs."""
        found = {one.proposed.budget.cost for one in self.answers}
        return found.pop() if len(found) == 1 else "spent"

    @property
    def headings(self) -> tuple[str, ...]:
        own = () if self.cost == "energy" else (self.cost,)
        return (
            "plan",
            "budget",
            *own,
            "energy",
            "times less",
            "loss, predicted",
            "loss, measured",
            self.metric,
            "exact",
        )

    def rows(self) -> list[list[str]]:
        return [
            [
                name,
                amount(one.proposed.budget.most, one.proposed.budget.cost, ""),
                *([] if self.cost == "energy" else [amount(one.proposed.spent, one.proposed.budget.cost, "")]),
                energy(one.proposed.energy),
                f"{self.reference_energy / one.proposed.energy:.4g}" if one.proposed.energy else "",
                f"{one.proposed.predicted:+.3g}",
                f"{one.increase:+.3g}",
                f"{one.metrics[self.metric]:.4f}",
                "yes" if one.proposed.exact else "no",
            ]
            for one, name in zip(self.answers, self.files, strict=True)
        ]

    def lines(self) -> list[str]:
        """What to know of it."""
        trained = f"trained here, {self.trained} epochs" if self.trained else "its weights as they are"
        metric = self.reference[self.metric]
        methods = dict.fromkeys(one.proposed.method for one in self.answers)
        found = [
            f"reference: {self.metric} {metric:.4f} on the selection set, {energy(self.reference_energy)}; {trained}",
            f"found by {', '.join(methods)}; no plan was trained, batch statistics were taken anew on "
            f"{self.table.samples:,} samples of the training set",
        ]
        if self.why_not_shared is not None:
            found.append(f"each plan had a model of its own, without a Fisher estimate: {self.why_not_shared}")
        if self.correlation is not None:
            found.append(f"Kendall's tau of predicted and measured loss over these plans: {self.correlation:.2f}")
        return found

    def show(self) -> None:
        left = ("plan", "exact")
        print_table(self.headings, self.rows(), "table", title="plans without training", left=left)
        for line in self.lines():
            say(line)
        told = ", ".join(f"{what} {duration(seconds)}" for what, seconds in self.seconds.items())
        say(f"time: {told}")
        say(f"apply one: qsearch quantize MODEL --plan {self.directory.path}/{self.files[-1]}/plan.yaml -o OUT.keras")


def _found(
    loaded: LoadedConfig, wanted: Sequence[tuple[str, float]], rungs: int, samples: int, folder: Path | None, stem: str
) -> _Found:
    with quiet_start():
        from qsearch.goal.pricer import also_counting
        from qsearch.runner.placed import placed
        from qsearch.runner.prepared import read_prepared
        from qsearch.runner.reference import reference_for_plans
        from qsearch.runner.suggestion import (
            SUMS,
            Budget,
            check_budgets,
            measuring_of,
            rank_correlation,
            suggested,
        )

    check_sums(wanted, SUMS)
    budgets = [Budget(name, most) for name, most in wanted]
    with placed(loaded):
        ready = read_prepared(loaded)
        costs = also_counting(ready.experiment.costs, loaded.config.goal, [one.cost for one in budgets])
        ready = replace(ready, experiment=replace(ready.experiment, costs=costs))
        check_budgets(ready.experiment, budgets)
        directory = _directory(folder, stem)
        seconds: dict[str, float] = {}
        clock = monotonic()

        def lap(what: str) -> None:
            nonlocal clock
            seconds[what] = round(monotonic() - clock, 3)
            clock = monotonic()

        metrics = reference_for_plans(ready, say)
        lap("reference")
        measuring = measuring_of(ready, samples)
        table = measuring.table(say)
        lap("sensitivities")
        answers = suggested(ready, measuring, table, budgets, rungs, say)
        lap("plans")
        found = _Found(
            origin=loaded.config.model.origin,
            directory=directory,
            ready=ready,
            trained=loaded.config.reference.epochs,
            reference=metrics,
            table=table,
            why_not_shared=measuring.why_not_shared,
            answers=answers,
            files=[f"plan_{number}" for number in range(1, len(answers) + 1)],
            correlation=rank_correlation(answers),
            seconds=seconds,
        )
        _write(found)
    return found


def _directory(folder: Path | None, stem: str) -> RunDirectory:
    from qsearch.runs.directory import create_directory

    try:
        return create_directory(str(folder or Path("suggested") / (stem or "model")), fresh_name=folder is None)
    except OutputError as error:
        told = str(error).replace("run.output_dir: ", "-o: ").replace("or set run.overwrite: true", "or leave out -o")
        raise OutputError(told) from None


def _write(found: _Found) -> None:
    """Plans and their models, the sensitivities as a table and as a figure, and all of it on a page."""
    from qsearch.report.figures.draw import alone
    from qsearch.report.figures.sensitivity import sensitivity_map
    from qsearch.report.html import rendered

    directory, table = found.directory, found.table
    for one, name in zip(found.answers, found.files, strict=True):
        directory.save_model(name, one.model, one.proposed.plan)
    directory.write_json("suggest.json", found.to_dict())
    directory.write_text(
        "sensitivity.csv",
        csv_of(
            _CSV,
            ([row.dimension, " ".join(row.layers), *(getattr(row, key) for key in _CSV[2:])] for row in table.rows),
        ),
    )
    figure = sensitivity_map(table)
    if figure is not None:
        directory.write_text("sensitivity.svg", alone(figure))
    page = rendered(
        "suggest.html",
        {} if figure is None else {figure.name: figure},
        name=found.origin,
        lines=found.lines(),
        headings=found.headings,
        rows=found.rows(),
        data={"labels": [], "figures": {}, "columns": [], "choices": [], "plans": {}},
    )
    directory.write_text("suggest.html", page)
