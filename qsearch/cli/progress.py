"""How a run shows its progress: a view that goes on in a terminal, one plain line per trial elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live

from qsearch.cli.live import Clock, LiveObserver, Ticking
from qsearch.cli.plain_progress import PlainObserver
from qsearch.search.trials import Observer

_A_SECOND = 4
"""Drawings, at most: each holds up the run for as long as it takes."""


@contextmanager
def observe(plain: bool) -> Iterator[Observer]:
    """An observer that fits the terminal, for the length of a run."""
    console = Console()
    if plain or not _steers(console):
        yield PlainObserver(console)
        return
    observer = LiveObserver(console)
    # a thread of its own draws it, so that it goes on during calls of minutes into TensorFlow
    with Live(observer, console=console, transient=True, refresh_per_second=_A_SECOND, vertical_overflow="crop"):
        yield observer


@contextmanager
def ticking(plain: bool, text: str) -> Iterator[None]:
    """A clock in a terminal while something is imported, which takes seconds; nothing elsewhere."""
    console = Console()
    if plain or not _steers(console):
        yield
        return
    clocks = (Clock(text, time.monotonic()),)
    # what is imported keeps the streams that it finds
    with Live(
        Ticking(lambda: clocks),
        console=console,
        transient=True,
        refresh_per_second=_A_SECOND,
        redirect_stdout=False,
        redirect_stderr=False,
    ):
        yield


def _steers(console: Console) -> bool:
    """Whether lines can be drawn again."""
    return console.is_terminal and not console.is_dumb_terminal
