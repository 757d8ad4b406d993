"""`qsearch check CONFIG`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from qsearch.cli.output import say, say_exactly
from qsearch.cli.run import read
from qsearch.config.remarks import remarks
from qsearch.config.touched import Touched, touched
from qsearch.errors import ConfigError
from qsearch.startup import quiet_start

_VERSION = 1
"""Of the shape of `--format json`; raised when a key changes its meaning or goes."""


@click.command()
@click.argument("config", type=click.Path(path_type=Path), default="qsearch.yaml")
@click.option("--file-only", is_flag=True, help="Read the file alone: import nothing, read no model and no data.")
@click.option("--time", "timed", is_flag=True, help="Estimate the run time, from epochs that are trained and measured.")
@click.option("--format", "output", type=click.Choice(("table", "json")), default="table", show_default=True)
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a value, e.g. --set run.max_trials=3."
)
@click.option("--output-dir", metavar="FOLDER", help="In place of run.output_dir.")
def check(
    config: Path, file_only: bool, timed: bool, output: str, overrides: tuple[str, ...], output_dir: str | None
) -> None:
    """Check CONFIG (default: qsearch.yaml) without searching: its mistakes, and what a run of it would do.

    Prints what would be imported, read and written; then builds the model and reads the data, and prints the
    reference's cost, the size of the space, its cheapest and dearest plan, and what is not searched.

    Code that the file names is imported for that. Of a file from somebody else, look at --file-only first.
    """
    if file_only and timed:
        raise click.UsageError("--file-only trains nothing; leave out --time")
    loaded = read(config, overrides, output_dir)
    found = touched(loaded)
    _tell(found, aside=output == "json")
    if found.problems:
        raise ConfigError("\n".join(found.problems))
    told = {"version": _VERSION, "file": loaded.source.name, "touches": found.to_dict()}
    if file_only:
        lines = remarks(loaded)
        if output == "json":
            say_exactly(json.dumps({**told, "remarks": lines, "outlook": None}, indent=2) + "\n")
            return
        for line in lines:
            say(f"note: {line}")
        say(f"{loaded.source.name}: no mistakes found in the file alone")
        return
    with quiet_start():
        from qsearch.runner.outlook import outlook

    seen = outlook(loaded, timed)
    if output == "json":
        whole = {**told, "remarks": list(seen.remarks), "outlook": seen.to_dict()}
        say_exactly(json.dumps(whole, indent=2, allow_nan=False) + "\n")
        return
    from qsearch.cli.outlook import show

    show(seen)
    say(f"{loaded.source.name}: no mistakes found")


def _tell(found: Touched, aside: bool) -> None:
    """What would be touched, before any of it is; to the standard error where the other one is for data."""
    for one in found.imports:
        say(f"imports {one}", err=aside)
    for one in found.reads:
        say(f"reads {one}", err=aside)
    say(f"writes {found.writes}", err=aside)
