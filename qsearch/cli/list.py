"""`qsearch list TOPIC`."""

from __future__ import annotations

from typing import Any

import click

from qsearch.cli.json_output import JSON, say_document
from qsearch.cli.output import say_exactly
from qsearch.cli.tables import csv_of, format_option, print_table
from qsearch.errors import LONGEST_LINE
from qsearch.report.registries import TOPICS, items


@click.command(name="list", epilog=f"Topics: {', '.join(TOPICS)}.")
@click.argument("topic", metavar="TOPIC", default="")
@format_option()
def list_names(topic: str, output: str) -> None:
    """Show the names that a configuration can use."""
    found = items(topic)
    if output == JSON:
        say_document("list", topic=topic, items=found)
        return
    headings = list(found[0])
    if output == "csv":
        say_exactly(csv_of(headings, ([_cell(item[heading]) for heading in headings] for item in found)))
        return
    titles = [heading.replace("_", " ") for heading in headings]
    cells = ([_cell(item[heading]) or "-" for heading in headings] for item in found)
    print_table(titles, cells, output, left=titles, length=LONGEST_LINE)


def _cell(value: Any) -> str:
    """A value in few words; empty where there is none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(f"[{_cell(each)}]" if isinstance(each, list) else _cell(each) for each in value)
    return str(value)
