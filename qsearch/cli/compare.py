"""`qsearch compare RUN RUN...`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from qsearch.cli.arguments import RUN_TEXT
from qsearch.cli.json_output import JSON, say_document
from qsearch.cli.output import say, say_exactly
from qsearch.cli.tables import csv_of, format_option, print_table
from qsearch.errors import LONGEST_LINE, ConfigError, shown
from qsearch.paths import as_text

if TYPE_CHECKING:
    from qsearch.report.compared import Comparison


@click.command(name="compare")
@click.argument("folders", metavar="RUN RUN...", nargs=-1, required=True, type=RUN_TEXT)
@format_option()
def compare_runs(folders: tuple[str, ...], output: str) -> None:
    """Put runs side by side: figures, configurations as far as they differ, fronts, choices for the same layers."""
    from qsearch.report import comparison_tables as tables
    from qsearch.report.compared import compare
    from qsearch.runs.record import RunRecord

    records = [RunRecord.read(as_text(folder)) for folder in folders]
    if len(records) < 2:
        raise ConfigError(
            f"compare: found one run, {shown(folders[0])}; name at least two, as in runs/digits runs/digits_1"
        )
    places = [record.folder.resolve() for record in records]
    twice = next((folder for folder, place in zip(folders, places, strict=True) if places.count(place) > 1), None)
    if twice is not None:
        raise ConfigError(f"compare: {shown(twice)} is named twice")
    found = compare(records)
    if output == JSON:
        say_document("compare", **found.to_dict())
    elif output == "csv":
        say_exactly(csv_of(("part", "key", *(run.name for run in found.runs)), tables.csv_rows(found)))
    else:
        _show(found, output)


def _show(found: Comparison, output: str) -> None:
    from qsearch.report import comparison_tables as tables

    headings = tables.headings(found)
    _part("runs", headings, tables.headline_rows(found), output)
    for remark in tables.remarks(found):
        _line(remark, output)
    differences = tables.difference_rows(found)
    if differences:
        _part("configurations, where they differ", headings, differences, output)
    else:
        _line("the configurations are the same", output)
    if found.front is not None:
        _part("the common front of metric and cost", headings, tables.front_rows(found, found.front), output)
        _part("its points", tables.point_headings(found), tables.point_rows(found, found.front), output)
        _line(tables.corner(found, found.front), output)
    if found.layers:
        _part("the best models, layer by layer", headings, tables.layer_rows(found), output)
    if found.unshared:
        _line(f"{found.unshared} layers are in one of the best plans alone", output)


def _part(title: str, headings: tuple[str, ...], rows: list[tuple[str, ...]], output: str) -> None:
    """With its title in a line of its own, which a narrow table would wrap."""
    if output == "md":
        print_table(headings, rows, output, title=title, left=headings)
    else:
        say(title)
        print_table(headings, rows, output, left=headings)


def _line(text: str, output: str) -> None:
    if output != "md":
        say(text, length=LONGEST_LINE)
        return
    from qsearch.report.markdown import plain

    say_exactly(f"{plain(text, LONGEST_LINE)}\n\n")
