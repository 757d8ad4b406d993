"""`qsearch energy MODEL`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from qsearch.cli.arguments import MODEL_OR_NAME
from qsearch.cli.json_output import say_document
from qsearch.cli.model_file import ModelFileOptions, model_file_options
from qsearch.cli.output import say, say_exactly
from qsearch.cli.tables import format_option, print_table
from qsearch.config import bounds
from qsearch.config.names import MEMORIES, MODELS, NUMBER_TYPES, PROCESSES
from qsearch.errors import ConfigError, shown
from qsearch.paths import expanded
from qsearch.report import energy_tables as tables
from qsearch.startup import quiet_start

if TYPE_CHECKING:
    from qsearch.energy.estimate import EnergySettings
    from qsearch.energy.metrics import ModelMetrics
    from qsearch.energy.report import EnergyReport
    from qsearch.graph.model_graph import ModelGraph
    from qsearch.plan import QuantizationPlan

_REFERENCE_HELP = (
    "Price the model unquantized, in this number type. "
    "Default: int8 for a float model, its own quantizers for a quantized one."
)
_LEFT = ("layer", "class")
"""Columns of text."""


@click.command()
@click.argument("model", type=MODEL_OR_NAME)
@click.option("--reference", type=click.Choice(NUMBER_TYPES), help=_REFERENCE_HELP)
@click.option("--accumulator", type=click.Choice(NUMBER_TYPES), help="Default: int32, or the float type itself.")
@click.option("--process", type=click.Choice(PROCESSES), default="horowitz", show_default=True)
@click.option("--weights-on-memory", type=click.Choice(MEMORIES), default="sram", show_default=True)
@click.option("--activations-on-memory", type=click.Choice(MEMORIES), default="sram", show_default=True)
@click.option("--min-sram-size", type=click.IntRange(0, bounds.WHOLE), default=0, show_default=True, help="Bits.")
@click.option("--rd-wr-on-io", is_flag=True, help="Inputs come from, and outputs go to, DRAM.")
@click.option(
    "--source", "sources", multiple=True, metavar="TYPE", help="Type of a model input; repeat for more inputs."
)
@click.option(
    "--reference-activations",
    type=click.Choice(("internal", "accumulator")),
    default="internal",
    show_default=True,
    help="What activations without a quantizer carry.",
)
@click.option(
    "--unquantized-norm",
    type=click.Choice(("accumulator", "fp32")),
    default="accumulator",
    show_default=True,
    help="What batch norms without quantizers hand on in a quantized model; fp32 is QTools' rule.",
)
@click.option(
    "--fused-activation",
    type=click.Choice(("separate", "inline")),
    default="separate",
    show_default=True,
    help="Whether an activation inside a layer costs what a layer of its own does; inline is QTools' rule.",
)
@click.option("--compare", "other", metavar="MODEL", help="Another model, side by side.")
@click.option(
    "--what-if",
    "changes",
    multiple=True,
    metavar="LAYER.ROLE=QUANTIZER",
    help="Price a change, e.g. conv2d_1.kernel=ternary or conv2d_1.filters=24; repeat for more.",
)
@click.option("--sort", type=click.Choice(tables.SORTS), default="model", show_default=True)
@model_file_options
@format_option()
def energy(
    model: str,
    reference: str | None,
    other: str | None,
    changes: tuple[str, ...],
    sort: str,
    output: str,
    sources: tuple[str, ...],
    load_weights: str | None,
    allow_code: bool,
    custom_objects: tuple[str, ...],
    **design: Any,
) -> None:
    """Print the energy of one inference of MODEL, a .keras, .h5 or .json file or a registry name, layer by layer."""
    if other is not None and changes:
        raise ConfigError("--compare and --what-if: give one of the two")
    design["source_quantizers"] = list(sources) or None
    loading = ModelFileOptions(load_weights, allow_code, custom_objects)
    first = _priced(model, reference, loading, design)
    if changes:
        _print_comparison(*_what_if(first, changes), output)
    elif other is not None:
        _print_comparison(first, _priced(other, reference, replace(loading, load_weights=None), design), output)
    else:
        _print_report(first, sort, output)


@dataclass(frozen=True, kw_only=True)
class _Priced:
    name: str
    reference: str | None
    graph: ModelGraph
    plan: QuantizationPlan
    settings: EnergySettings
    report: EnergyReport
    metrics: ModelMetrics
    ebops: int | None


def _priced(name: str, reference: str | None, loading: ModelFileOptions, design: Mapping[str, Any]) -> _Priced:
    with quiet_start():
        from qsearch.energy.estimate import price_plan, price_reference
        from qsearch.energy.metrics import model_metrics
        from qsearch.energy.public import default_reference, energy_settings
        from qsearch.graph.from_keras import read_model, read_plan
        from qsearch.hardware.ebops import effective_bit_operations
        from qsearch.models import build_model
        from qsearch.plan import QuantizationPlan
        from qsearch.quantizers.formats import source_format

    named = name in MODELS and not expanded(name).exists()
    if named:
        loading.refuse_for(name)
    model = build_model(name) if named else loading.load(name)
    graph, plan = read_model(model), read_plan(model)
    reference = reference or default_reference(plan)
    for text in design["source_quantizers"] or ():
        try:
            source_format(text)
        except ConfigError as error:
            raise ConfigError(f"--source {shown(text)}: {error}") from None
    settings = energy_settings(reference, **design)
    if reference is None:
        report = price_plan(graph, plan, settings)
        ebops = effective_bit_operations(model, graph, report)
    else:
        plan, ebops = QuantizationPlan(), None
        report = price_reference(graph, settings)
    metrics = model_metrics(graph, plan, report, settings.internal.bits)
    return _Priced(
        name=name,
        reference=reference,
        graph=graph,
        plan=plan,
        settings=settings,
        report=report,
        metrics=metrics,
        ebops=ebops,
    )


def _what_if(before: _Priced, changes: Sequence[str]) -> tuple[_Priced, _Priced]:
    """The same rules for both: a reference prices merges and unknown layers in its own way."""
    from qsearch.energy.estimate import price_plan
    from qsearch.energy.metrics import model_metrics
    from qsearch.energy.what_if import with_changes
    from qsearch.graph.built import built

    def priced(name: str, graph: ModelGraph, plan: QuantizationPlan) -> _Priced:
        report = price_plan(graph, plan, before.settings)
        metrics = model_metrics(*built(graph, plan), report, before.settings.internal.bits)
        return replace(before, name=name, graph=graph, plan=plan, report=report, metrics=metrics, ebops=None)

    return priced("before", before.graph, before.plan), priced(
        "after", *with_changes(before.graph, before.plan, changes)
    )


def _print_report(model: _Priced, sort: str, output: str) -> None:
    report = model.report
    if output == "json":
        head: dict[str, Any] = {"model": model.name, "reference": model.reference, "unit": "pJ"}
        metrics = {**model.metrics.to_dict(), "ebops": model.ebops}
        say_document("energy", **head, **report.to_dict(), metrics=metrics)
    elif output == "csv":
        say_exactly(tables.as_csv(report, sort))
    else:
        what = "its own quantizers" if model.reference is None else f"{model.reference} reference"
        title = f"{model.name}: {what}"
        caption = "pJ; 'counted' is what enters the total"
        print_table(tables.HEADINGS, tables.rows(report, sort), output, title=title, caption=caption, left=_LEFT)
        _print_lines(tables.figures(report, model.metrics, model.ebops), report.notes, output)


def _print_comparison(first: _Priced, second: _Priced, output: str) -> None:
    names = (first.name, second.name)
    cells = tables.comparison_rows(first.report, second.report)
    if output == "json":
        models = [
            {"name": side.name, **side.report.to_dict(), "metrics": side.metrics.to_dict()} for side in (first, second)
        ]
        ratio = second.report.total / first.report.total if first.report.total else None
        say_document("energy_comparison", unit="pJ", models=models, ratio=ratio)
    elif output == "csv":
        say_exactly(tables.csv_text([("layer", *(f"{name} (pJ)" for name in names), "ratio"), *cells]))
    else:
        title = f"{names[0]} and {names[1]}"
        caption = "pJ, of what enters the total"
        print_table(("layer", *names, "ratio"), cells, output, title=title, caption=caption, left=_LEFT)
        sides = [tables.figures(side.report, side.metrics, side.ebops) for side in (first, second)]
        both = {name: f"{figure}; {sides[1][name]}" for name, figure in sides[0].items() if name in sides[1]}
        notes = [f"{side.name}: {note}" for side in (first, second) for note in side.report.notes]
        _print_lines(both, notes, output)


def _print_lines(figures: Mapping[str, str], notes: Sequence[str], output: str) -> None:
    bullet = "- " if output == "md" else ""
    for name, figure in figures.items():
        say(f"{bullet}{'total' if name == 'energy' else name} {figure}")
    if output == "md":
        from qsearch.report.markdown import plain

        notes = [plain(note) for note in notes]
    for note in notes:
        say(f"{bullet}note: {note}")
