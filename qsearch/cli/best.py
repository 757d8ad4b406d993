"""`qsearch best RUN`."""

from __future__ import annotations

import click

from qsearch.cli.arguments import RUN_TEXT
from qsearch.cli.json_output import JSON, say_document
from qsearch.cli.output import say, say_exactly
from qsearch.cli.tables import format_option, print_table
from qsearch.errors import LONGEST_LINE
from qsearch.paths import as_text


@click.command()
@click.argument("folder", metavar="RUN", type=RUN_TEXT)
@click.option("--trial", "number", type=click.IntRange(min=1), metavar="N", help="Another trial than the best one.")
@format_option(("table", "yaml", "json", "md"), help="yaml: the plan alone, as best/plan.yaml.")
def best(folder: str, number: int | None, output: str) -> None:
    """Show the best model of RUN so far, or that of a trial: its figures, its plan, and where it is.

    Exit code 6 as long as no trial is completed.
    """
    from qsearch.report.best import figures, layer_rows, lines, shown
    from qsearch.report.markdown import plain
    from qsearch.report.trial_tables import facts, trial_facts
    from qsearch.runs.directory import plan_text
    from qsearch.runs.overview import overview
    from qsearch.runs.record import RunRecord

    run = overview(RunRecord.read(as_text(folder)))
    chosen = shown(run, number)
    if output == "yaml":
        say_exactly(plan_text(chosen.trial.plan))
    elif output == JSON:
        say_document("best", **facts(run), trial={**trial_facts(chosen.trial, run), **figures(run, chosen)})
    else:
        bullet = "- " if output == "md" else ""
        for line in lines(run, chosen):
            say(f"{bullet}{plain(line, LONGEST_LINE) if bullet else line}", length=LONGEST_LINE)
        if bullet:
            say()
        headings, rows = layer_rows(run, chosen)
        print_table(headings, rows, output, left=("layer", "chosen"))
