"""Where the commands print: one line, or one table, with text of anybody's escaped and cut.

Names of layers come from model files, names of files from anywhere: they may hold control characters, line ends, or
what rich takes for markup.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from qsearch.errors import LONGEST_LINE, LONGEST_VALUE, one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

NARROWEST = 20
"""Columns that a table is given at least."""


def say(text: str = "", err: bool = False, length: int = LONGEST_LINE) -> None:
    """Print one line."""
    say_exactly(one_line(text, length) + "\n", err)


def say_exactly(text: str, err: bool = False) -> None:
    """Print what is whole already: JSON, or lines that were escaped one by one."""
    stream = sys.stderr if err else sys.stdout
    stream.write(text)
    stream.flush()


def console(width: int | None = None) -> Console:
    """Of the standard output; width: where that is no terminal."""
    from rich.console import Console

    made = Console(highlight=False, markup=False, emoji=False)
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
