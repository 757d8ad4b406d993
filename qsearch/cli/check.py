"""`qsearch check CONFIG`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qsearch.cli.json_output import JSON, say_document
from qsearch.cli.output import say
from qsearch.cli.overrides import config_argument
from qsearch.cli.run import read
from qsearch.cli.tables import format_option
from qsearch.errors import ConfigError
from qsearch.startup import quiet_start

if TYPE_CHECKING:
    from qsearch.config import LoadedConfig
    from qsearch.config.touched import Touched


@click.command()
@config_argument
@click.option("--file-only", is_flag=True, help="Read the file alone: import nothing, read no model and no data.")
@click.option("--time", "timed", is_flag=True, help="Estimate the run time, from epochs that are trained and measured.")
@format_option(("table", JSON))
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
    found = what_is_touched(loaded, aside=output == JSON)
    say(f"writes {found.writes}", err=output == JSON)
    name = loaded.source.name
    if file_only:
        from qsearch.config.remarks import remarks

        lines = remarks(loaded)
        if output == JSON:
            say_document("check", file=name, touches=found.to_dict(), remarks=lines, outlook=None)
            return
        for line in lines:
            say(f"note: {line}")
        say(f"{name}: no mistakes found in the file alone")
        return
    with quiet_start():
        from qsearch.runner.outlook import outlook

    seen = outlook(loaded, timed)
    if output == JSON:
        facts = {"touches": found.to_dict(), "remarks": list(seen.remarks), "outlook": seen.to_dict()}
        say_document("check", file=name, **facts)
        return
    from qsearch.cli.outlook import show

    show(seen)
    say(f"{name}: no mistakes found")


def what_is_touched(loaded: LoadedConfig, aside: bool = False) -> Touched:
    """Say what a run would import and read, before any of it is done.

    Args:
        aside: on the standard error, as the other one is for data.

    Raises:
        ConfigError: something of it is not there.
    """
    from qsearch.config.touched import touched

    found = touched(loaded)
    for one in found.imports:
        say(f"imports {one}", err=aside)
    for one in found.reads:
        say(f"reads {one}", err=aside)
    if found.problems:
        raise ConfigError("\n".join(found.problems))
    return found
