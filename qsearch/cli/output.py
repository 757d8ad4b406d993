"""Where the commands print: one line, or one table, with text of anybody's escaped and cut.

Names of layers come from model files, names of files from anywhere: they may hold control characters, line ends, or
what rich takes for markup.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from qsearch.cli.log_file import log
from qsearch.errors import LONGEST_LINE, LONGEST_VALUE, one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

NARROWEST = 20
"""Columns that a table is given at least."""


def say(text: str = "", err: bool = False, length: int = LONGEST_LINE) -> None:
    """Print one line."""
    line = one_line(text, length)
    say_exactly(line + "\n", err)
    if line:
        log(line)


def say_exactly(text: str, err: bool = False) -> None:
    """Print what is whole already: JSON, or lines that were escaped one by one."""
    stream = sys.stderr if err else sys.stdout
    stream.write(text)
    stream.flush()


def console(width: int | None = None) -> Console:
    """Of the standard output; width: where that is no terminal. Under NO_COLOR it has no escape codes at all."""
    from rich.console import Console

    colours: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    made = Console(highlight=False, markup=False, emoji=False, color_system=colours)
    if not made.is_terminal and width is not None:
        made.width = width
    made.width = max(made.width, NARROWEST)
    return made


def add_row(table: Table, cells: Iterable[str], end_section: bool = False, length: int = LONGEST_VALUE) -> None:
    """A row of plain text."""
    from rich.text import Text

    table.add_row(*(Text(one_line(cell, length)) for cell in cells), end_section=end_section)


def table_of(headings: Sequence[str], title: str | None = None, caption: str | None = None) -> Table:
    """An empty table with plain headings."""
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=None if title is None else Text(one_line(title)),
        title_justify="left",
        caption=caption,
        caption_justify="left",
    )
    for heading in headings:
        table.add_column(Text(one_line(heading)), overflow="fold")
    return table


def show(table: Table, width: int | None = None) -> None:
    """Print a table of plain text; in a terminal too narrow for its words, the cells of each row below each other.

    Args:
        width: columns where the output is no terminal.
    """
    to = console(width)
    if not to.is_terminal or _least_width(table) <= to.width:
        to.print(table)
        return
    headings = [str(column.header) for column in table.columns]
    parts = [] if table.title is None else [str(table.title)]
    for cells in zip(*(column.cells for column in table.columns), strict=True):
        lines = [
            f"{heading}: {cell}".removeprefix(": ")
            for heading, cell in zip(headings, map(str, cells), strict=True)
            if cell
        ]
        parts.append("\n  ".join(lines))
    parts += [] if table.caption is None else [str(table.caption)]
    say_exactly("\n".join(parts) + "\n")


def _least_width(table: Table) -> int:
    """Columns that a table takes without a break inside of a word."""
    words = (
        [word for cell in (column.header, *column.cells) for word in str(cell).split()] for column in table.columns
    )
    return sum(max(map(len, column), default=0) + 3 for column in words) + 1
