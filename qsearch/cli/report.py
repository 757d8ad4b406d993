"""`qsearch report RUN`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qsearch.cli.output import say
from qsearch.files import writable, written_whole
from qsearch.paths import as_text, expanded
from qsearch.runs.directory import PAGE, REPORT

if TYPE_CHECKING:
    from qsearch.report.shown_run import ShownRun


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option("-o", "--output", metavar="FILE", help="Write the page here, and nothing into RUN.")
@click.option("--figures", "folder", metavar="FOLDER", help="Also write each figure here, for papers.")
@click.option(
    "--format", "form", type=click.Choice(("svg", "png")), default="svg", show_default=True, help="Of figures."
)
@click.option("--open", "opens", is_flag=True, help="Show the page in the browser.")
def report(runs: tuple[str, ...], output: str | None, folder: str | None, form: str, opens: bool) -> None:
    """Write report.html, report.md, trials.csv and front.csv of the run in the folder RUN anew, from its files alone.

    Of a run that goes on, was interrupted or is by an earlier version too. Several runs: a page that compares them.
    """
    from qsearch.report.html import page
    from qsearch.report.pictures import check_format
    from qsearch.report.shown_run import ShownRun

    if folder is not None:
        check_format(form)
    if len(runs) > 1:
        if folder is not None:
            raise click.UsageError("--figures: takes one RUN, found several")
        _compare(runs, output, opens)
        return
    run = ShownRun.read(as_text(runs[0]))
    target = run.record.folder / PAGE if output is None else expanded(as_text(output))
    writable(target)
    importance = run.importance()
    if output is None and not run.is_live:
        _write_texts(run)
    _write(target, page(run, importance).encode())
    if folder is not None:
        from qsearch.report.pictures import drawn, pictures_of

        into = expanded(as_text(folder))
        pictures = pictures_of(run, importance)
        for name, figure in pictures.items():
            _write(into / f"{name}.{form}", drawn(figure, form))
        say(f"{len(pictures)} figures in {into}", err=True)
    _tell(target, opens)


def _compare(runs: tuple[str, ...], output: str | None, opens: bool) -> None:
    from qsearch.report.compare_page import compared
    from qsearch.report.shown_run import ShownRun

    target = expanded("compare.html" if output is None else as_text(output))
    writable(target)
    _write(target, compared([ShownRun.read(as_text(run)) for run in runs]).encode())
    _tell(target, opens)


def _write_texts(run: ShownRun) -> None:
    from qsearch.report.markdown import markdown
    from qsearch.report.written import tables_of

    record = run.record
    for name, text in tables_of(run).items():
        _write(record.folder / name, text.encode())
    if record.result is not None and record.energies is not None:
        _write(record.folder / REPORT, markdown(record.result, record.energies, record.trials).encode())


def _write(path: Path, content: bytes) -> None:
    with written_whole(path) as aside:
        aside.write_bytes(content)


def _tell(target: Path, opens: bool) -> None:
    say(str(target))
    if opens:
        import webbrowser

        webbrowser.open(target.resolve().as_uri())
