"""`qsearch resume FOLDER`."""

from __future__ import annotations

from pathlib import Path

import click

from qsearch.cli.arguments import RUN_FOLDER
from qsearch.cli.overrides import overrides_option
from qsearch.cli.run import FORMATS, read, search, workers_options
from qsearch.cli.tables import format_option
from qsearch.interrupts import Interrupts
from qsearch.paths import as_text


@click.command()
@click.argument("folder", type=RUN_FOLDER)
@overrides_option
@click.option("--plain", is_flag=True, help="One plain line per trial, as when the output is no terminal.")
@workers_options
@format_option(FORMATS, help="json: lines go to the standard error, and the result to the standard output.")
@click.pass_obj
def resume(
    interrupts: Interrupts | None,
    folder: Path,
    overrides: tuple[str, ...],
    plain: bool,
    workers: int | None,
    scheduler: str | None,
    output: str,
) -> int:
    """Go on with the run in FOLDER, which was stopped, killed, or is to have more trials.

    Finished trials are not trained again, and the search makes those that it would have made without a break.
    Words KEY=VALUE behind FOLDER change what may change: run.max_trials=50.
    """
    from qsearch.runs.directory import CONFIG, run_folder

    path = run_folder(as_text(str(folder)))
    loaded = read(path / CONFIG, (*overrides, "run.overwrite=false"), str(path))
    return search(loaded, plain, interrupts, True, workers, scheduler, output)
