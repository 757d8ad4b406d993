"""`qsearch energy MODEL`."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qsearch.cli.quiet import quiet_start
from qsearch.config.names import MEMORIES, MODELS, NUMBER_TYPES, PROCESSES
from qsearch.report.units import energy as shown_energy

if TYPE_CHECKING:
    from qsearch.energy.report import EnergyReport

_REFERENCE_HELP = (
    "Price the model unquantized, in this number type. "
    "Default: int8 for a float model, its own quantizers for a quantized one."
)
_COLUMNS = ("inputs", "parameters", "op_cost", "outputs", "total")


@click.command()
@click.argument("model")
@click.option("--reference", type=click.Choice(NUMBER_TYPES), help=_REFERENCE_HELP)
@click.option("--accumulator", type=click.Choice(NUMBER_TYPES), help="Default: int32, or the float type itself.")
@click.option("--process", type=click.Choice(PROCESSES), default="horowitz", show_default=True)
@click.option("--weights-on-memory", type=click.Choice(MEMORIES), default="sram", show_default=True)
@click.option("--activations-on-memory", type=click.Choice(MEMORIES), default="sram", show_default=True)
@click.option("--min-sram-size", type=click.IntRange(min=0), default=0, show_default=True, help="Bits.")
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
@click.option("--allow-code", is_flag=True, help="Load Lambda layers, which run code from the file.")
@click.option("--format", "output", type=click.Choice(("table", "json", "csv")), default="table", show_default=True)
def energy(
    model: str,
    reference: str | None,
    accumulator: str | None,
    process: str,
    weights_on_memory: str,
    activations_on_memory: str,
    min_sram_size: int,
    rd_wr_on_io: bool,
    sources: tuple[str, ...],
    reference_activations: str,
    allow_code: bool,
    output: str,
) -> None:
    """Print the energy of one inference of MODEL, a .keras or .h5 file or a registry name, layer by layer."""
    with quiet_start():
        from qsearch.energy.public import estimate_energy
        from qsearch.graph.from_keras import read_plan
        from qsearch.models import build_model, load_model

    named = model in MODELS and not Path(model).exists()
    loaded = build_model(model) if named else load_model(model, allow_code)
    quantized = len(read_plan(loaded).layers) > 0
    if reference is None and not quantized:
        reference = "int8"
    report = estimate_energy(
        loaded,
        reference=reference,
        accumulator=accumulator,
        process=process,
        weights_on_memory=weights_on_memory,
        activations_on_memory=activations_on_memory,
        min_sram_size=min_sram_size,
        rd_wr_on_io=rd_wr_on_io,
        source_quantizers=list(sources) or None,
        reference_activations=reference_activations,
    )
    if output == "json":
        settings: dict[str, Any] = {"model": model, "reference": reference, "unit": "pJ"}
        click.echo(json.dumps({**settings, **report.to_dict()}, indent=2))
    elif output == "csv":
        click.echo(_csv(report), nl=False)
    else:
        _table(report, f"{model}: {'its own quantizers' if reference is None else reference + ' reference'}")


def _csv(report: EnergyReport) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("layer", "class", *(f"{column}_pj" for column in _COLUMNS)))
    for name, layer in report.layers.items():
        writer.writerow((name, layer.class_name, *(f"{getattr(layer, column):.2f}" for column in _COLUMNS)))
    writer.writerow(("total", "", "", "", "", "", f"{report.total:.2f}"))
    return text.getvalue()


def _table(report: EnergyReport, title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console = console if console.is_terminal else Console(width=120)
    table = Table(
        title=title, title_justify="left", caption="pJ; 'counted' is what enters the total", caption_justify="left"
    )
    table.add_column("layer")
    table.add_column("class")
    for heading in ("inputs", "parameters", "operations", "outputs", "counted", "share"):
        table.add_column(heading, justify="right")
    for name, layer in report.layers.items():
        share = layer.total / report.total if report.total else 0.0
        values = [f"{getattr(layer, column):,.2f}" for column in _COLUMNS]
        table.add_row(name, layer.class_name, *values, f"{share:.1%}")
    console.print(table)
    console.print(f"total {shown_energy(report.total)} ({report.total:,.2f} pJ) per inference", highlight=False)
    for note in report.notes:
        console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
