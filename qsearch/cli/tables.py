"""Tables of commands in each format that has columns, and the option that chooses one."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import click

from qsearch.cli.output import add_row, say_exactly, show, table_of
from qsearch.errors import LONGEST_LINE, LONGEST_VALUE, one_line

FORMATS = ("table", "json", "csv", "md")
_WIDTH = 120
"""Of tables in files."""


def format_option(
    formats: Sequence[str] = FORMATS, help: str | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--format`, the argument `output` of a command; the first of the formats is the default."""
    return click.option(
        "--format", "output", type=click.Choice(formats), default=formats[0], show_default=True, help=help
    )


def print_table(
    headings: Sequence[str],
    cells: Iterable[Sequence[str]],
    output: str,
    *,
    title: str | None = None,
    caption: str | None = None,
    left: Collection[str] = (),
    length: int = LONGEST_VALUE,
) -> None:
    """Print a table for people.

    Args:
        output: "table" or "md".
        left: headings of columns of text; others are numbers, and stand to the right.
        length: of a cell, at most; what is longer is cut.
    """
    if output == "md":
        from qsearch.report.markdown import plain, table

        head = "" if title is None else f"## {plain(title)}\n\n"
        body = table(
            [plain(heading) for heading in headings], ([plain(cell, length) for cell in line] for line in cells)
        )
        say_exactly(f"{head}{body}\n\n" + ("" if caption is None else f"{caption}\n\n"))
        return
    shown = table_of(headings, title, caption)
    for column, heading in zip(shown.columns, headings, strict=True):
        column.justify = "left" if heading in left else "right"
    for line in cells:
        add_row(shown, line, length=length)
    show(shown, _WIDTH)


def csv_of(headings: Sequence[str], values: Iterable[Sequence[Any]]) -> str:
    """Values as they are, at full precision; what is not there is empty, and text of anybody's is escaped."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([one_line(heading) for heading in headings])
    writer.writerows([[_csv_value(value) for value in line] for line in values])
    return text.getvalue()


def _csv_value(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return one_line(value, LONGEST_LINE) if isinstance(value, str) else value
