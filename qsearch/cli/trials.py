"""`qsearch trials RUN`."""

from __future__ import annotations

import click

from qsearch.cli.arguments import RUN_TEXT
from qsearch.cli.json_output import JSON, say_document
from qsearch.cli.output import say, say_exactly
from qsearch.cli.tables import csv_of, format_option, print_table
from qsearch.errors import ConfigError
from qsearch.paths import as_text
from qsearch.report.trial_key_names import NAMES

_KEYS = "Keys: " + "; ".join(f"{name} ({meaning})" for name, meaning in NAMES.items()) + "."


@click.command(
    epilog=f"{_KEYS} Also any metric that training reports (val_loss), and LAYER.ROLE of the plan (conv2d_0.kernel)."
)
@click.argument("folder", metavar="RUN", type=RUN_TEXT)
@click.option("--sort", metavar="KEY", help="The best first; -KEY turns the order.  [default: number]")
@click.option("--reverse", is_flag=True, help="Turn the order.")
@click.option(
    "--where",
    multiple=True,
    metavar="CONDITION",
    help="Only these: 'energy<5nJ', 'metric>=0.95', status=failed, block=2; repeat for more, and all must hold.",
)
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="The first N; without --sort the best N.")
@click.option("--columns", "wanted", metavar="KEY,KEY", help="In place of those that tell these trials apart.")
@format_option()
def trials(
    folder: str,
    sort: str | None,
    reverse: bool,
    where: tuple[str, ...],
    top: int | None,
    wanted: str | None,
    output: str,
) -> None:
    """Show the trials of RUN, a folder that `qsearch run` writes or wrote."""
    from qsearch.report.trial_choice import chosen
    from qsearch.report.trial_tables import columns, facts, reference_line, summary, trial_facts
    from qsearch.runs.overview import overview
    from qsearch.runs.record import RunRecord
    from qsearch.runs.state import State

    run = overview(RunRecord.read(as_text(folder)))
    found = chosen(run, where, sort, reverse, top)
    names = _names(wanted)
    keys = columns(run, found, names)
    if output == JSON:
        shown = [
            {key.name: key.value(trial, run) for key in keys} if names else trial_facts(trial, run) for trial in found
        ]
        say_document("trials", **facts(run), trials=shown)
    elif output == "csv":
        rows = ([key.value(trial, run) for key in keys] for trial in found)
        say_exactly(csv_of([key.column for key in keys], rows))
    else:
        left = [key.heading for key in keys if key.kind.is_text]
        cells = ([key.shown(trial, run) for key in keys] for trial in found)
        headings = [key.heading for key in keys]
        say(summary(run, len(found)))
        print_table(headings, cells, output, left=left)
        line = reference_line(run)
        if line is not None:
            say(line)
        if run.state is State.RUNNING:
            planned = "" if run.planned is None else f"; {run.planned} trials are to be trained"
            if run.planned_epochs is not None:
                planned = f"; epochs {run.epochs:,} of {run.planned_epochs:,}"
            say(f"{run.writer} is at it{planned}")


def _names(wanted: str | None) -> list[str]:
    if wanted is None:
        return []
    names = [name.strip() for name in wanted.split(",")]
    if not all(names):
        raise ConfigError("--columns: expected keys with commas between them, e.g. number,score,energy")
    return names
