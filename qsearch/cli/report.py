"""`qsearch report RUN`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qsearch.cli.arguments import RUN_TEXT
from qsearch.cli.json_output import JSON, say_document
from qsearch.cli.output import say
from qsearch.cli.tables import format_option
from qsearch.files import writable, written_whole
from qsearch.paths import as_text, expanded

if TYPE_CHECKING:
    from qsearch.report.shown_run import ShownRun


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=RUN_TEXT)
@click.option("-o", "--output", "file", metavar="FILE", help="Write the page here, and nothing into RUN.")
@click.option("--figures", "folder", metavar="FOLDER", help="Also write each figure here, for papers.")
@click.option("--figure-format", "form", type=click.Choice(("svg", "png")), default="svg", show_default=True)
@click.option("--open", "opens", is_flag=True, help="Show the page in the browser.")
@format_option(("text", JSON))
def report(runs: tuple[str, ...], file: str | None, folder: str | None, form: str, opens: bool, output: str) -> None:
    """Write report.html, report.md, trials.csv and front.csv of the run in the folder RUN anew, from its files alone.

    Of a run that goes on, was interrupted or is by an earlier version too. Several runs: a page that compares them.
    """
    from qsearch.report.html import page
    from qsearch.report.pictures import check_format
    from qsearch.report.shown_run import ShownRun
    from qsearch.runs.directory import PAGE

    if folder is not None:
        check_format(form)
    if len(runs) > 1:
        if folder is not None:
            raise click.UsageError("--figures: takes one RUN, found several")
        _tell([_compare(runs, file)], opens, output)
        return
    run = ShownRun.read(as_text(runs[0]))
    target = run.record.folder / PAGE if file is None else expanded(as_text(file))
    writable(target)
    importance = run.importance()
    written = [target]
    if file is None and not run.is_live:
        written += _write_texts(run)
    _write(target, page(run, importance).encode())
    if folder is not None:
        from qsearch.report.pictures import drawn, pictures_of

        into = expanded(as_text(folder))
        pictures = pictures_of(run, importance)
        for name, figure in pictures.items():
            written.append(into / f"{name}.{form}")
            _write(written[-1], drawn(figure, form))
        say(f"{len(pictures)} figures in {into}", err=True)
    _tell(written, opens, output)


def _compare(runs: tuple[str, ...], file: str | None) -> Path:
    from qsearch.report.compare_page import compared
    from qsearch.report.shown_run import ShownRun

    target = expanded("compare.html" if file is None else as_text(file))
    writable(target)
    _write(target, compared([ShownRun.read(as_text(run)) for run in runs]).encode())
    return target


def _write_texts(run: ShownRun) -> list[Path]:
    """Write the tables and the report as text; returns their files."""
    from qsearch.report.markdown import markdown
    from qsearch.report.written import tables_of
    from qsearch.runs.directory import REPORT

    record = run.record
    texts = dict(tables_of(run))
    if record.result is not None and record.energies is not None:
        texts[REPORT] = markdown(record.result, record.energies, record.trials)
    for name, text in texts.items():
        _write(record.folder / name, text.encode())
    return [record.folder / name for name in texts]


def _write(path: Path, content: bytes) -> None:
    with written_whole(path) as aside:
        aside.write_bytes(content)


def _tell(written: Sequence[Path], opens: bool, output: str) -> None:
    """Say where the page is, which is the first of the files."""
    if output == JSON:
        say_document("report", page=str(written[0]), files=[str(path) for path in written])
    else:
        say(str(written[0]))
    if opens:
        import webbrowser

        webbrowser.open(written[0].resolve().as_uri())
