"""`qsearch run CONFIG`."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qsearch.cli.json_output import JSON, messages_aside, say_document
from qsearch.cli.output import say, say_exactly
from qsearch.cli.overrides import config_argument
from qsearch.cli.tables import format_option
from qsearch.exit_codes import ExitCode
from qsearch.interrupts import Interrupts
from qsearch.paths import as_text
from qsearch.report.units import cost, duration, energy, priced, saving
from qsearch.startup import quiet_start

if TYPE_CHECKING:
    from qsearch.config import LoadedConfig
    from qsearch.runner.run_result import RunResult
    from qsearch.runs.figures import BestModel, KeptModel, Reference
    from qsearch.runs.result import Result


FORMATS = ("text", JSON)
"""Of commands that search: lines for people, or what came of it as one document at the end."""


def workers_options(command: Callable[..., int]) -> Callable[..., int]:
    """The options that let workers train trials."""
    many = click.option(
        "--workers",
        type=click.IntRange(min=1),
        metavar="N",
        help="Train N trials at a time, each in a process of its own.",
    )
    where = click.option(
        "--scheduler", metavar="ADDRESS", help="Train on the workers of a Dask cluster: tcp://host:8786, or its file."
    )
    return many(where(command))


@click.command()
@config_argument
@click.option("--output-dir", metavar="FOLDER", help="In place of run.output_dir.")
@click.option("--plain", is_flag=True, help="One plain line per trial, as when the output is no terminal.")
@click.option("--resume", is_flag=True, help="Go on with the run in run.output_dir, or begin it where there is none.")
@click.option("--print-config", is_flag=True, help="Print the configuration as it is resolved, as YAML, and end.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and train nothing.")
@workers_options
@format_option(FORMATS, help="json: lines go to the standard error, and the result to the standard output.")
@click.pass_obj
def run(
    interrupts: Interrupts | None,
    config: Path,
    overrides: tuple[str, ...],
    output_dir: str | None,
    plain: bool,
    resume: bool,
    print_config: bool,
    dry_run: bool,
    workers: int | None,
    scheduler: str | None,
    output: str,
) -> int:
    """Search the best quantized version of a model, as CONFIG (default: qsearch.yaml) says.

    CONFIG is a YAML file, or the name of a configuration that qsearch brings along, such as digits. Words KEY=VALUE
    behind it change its values: run.max_trials=3.
    """
    if print_config:
        from qsearch.config import to_yaml

        say_exactly(to_yaml(read(config, overrides, output_dir).config))
        return ExitCode.DONE
    if dry_run:
        from qsearch.cli.dry_run import rehearsed

        return rehearsed(read(config, overrides, output_dir), resume)
    return search(read(config, overrides, output_dir), plain, interrupts, resume, workers, scheduler, output)


def read(config: Path, overrides: tuple[str, ...], output_dir: str | None) -> LoadedConfig:
    """The configuration; every mistake in the file is told before TensorFlow is imported."""
    from qsearch.config import load_config

    return load_config(config, [*map(as_text, overrides)], None if output_dir is None else as_text(output_dir))


def search(
    loaded: LoadedConfig,
    plain: bool,
    interrupts: Interrupts | None,
    resume: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    output: str = FORMATS[0],
) -> int:
    """Run it and show what came of it; returns the exit code."""
    from qsearch.cli.progress import observe, ticking
    from qsearch.runs.directory import planned_directory
    from qsearch.workers.pool import pool

    if not resume:  # told before TensorFlow is loaded, which takes seconds
        planned_directory(str(loaded.config.run.output_dir), loaded.config.run.overwrite)
    with messages_aside(output):
        with ticking(plain, "TensorFlow is loaded"), quiet_start():
            from qsearch.runner.pipeline import run_loaded

        with pool(workers, scheduler) as found, observe(plain) as observer:
            ended = run_loaded(loaded, [observer], interrupts or Interrupts(), resume, found)
        _show(ended.result, ended.run_directory)
        if ended.result.interrupted:
            say(f"to go on: qsearch resume {shlex.quote(str(ended.run_directory))}")
    code = _exit_code(ended)
    if output == JSON:
        exports = [asdict(outcome) for outcome in ended.exports]
        folder = str(ended.run_directory)
        say_document("run", exit_code=int(code), folder=folder, exports=exports, result=ended.summary)
    return code


def _exit_code(ended: RunResult) -> ExitCode:
    if ended.result.interrupted:
        return ExitCode.INTERRUPTED
    demands = ended.result.demands
    if not all(outcome.written for outcome in ended.exports):
        return ExitCode.NOT_EXACT
    return ExitCode.DONE if demands is None or demands.met else ExitCode.UNMET


def _show(result: Result, folder: Path) -> None:
    unit, counts, best = result.unit, result.trials, result.best
    say()
    say(
        f"{counts.completed} trials completed, {counts.failed} failed, {counts.skipped} skipped "
        f"in {duration(result.seconds)}; {result.ended}"
    )
    say(f"{'reference':<9}  {_figures(result.reference, result)}{_in_unit(result.reference, unit)}")
    if best is not None:
        say(f"{'best':<9}  {_figures(best, result)}{_in_unit(best, unit)}")
        if best.energy_ratio is not None:
            say(f"{'saving':<9}  {saving(best.energy_ratio)}{priced(result.priced_share)}")
        for limit in () if result.demands is None else result.demands.limits:
            had = "" if limit.best is None else f"{cost(limit.best, limit.unit)} of "
            say(f"{'budget':<9}  {limit.cost}: {had}{cost(limit.most, limit.unit)} at most")
    if result.dearer is not None:
        costly = ", ".join(
            f"{one.layer} ({cost(one.best, unit)} for {cost(one.reference, unit)})" for one in result.dearer
        )
        say(f"no trial is cheaper than the reference; what costs the best one more: {costly}")
    for model in result.models:
        say(f"{', '.join(model.roles)}: trial {model.trial}, {_figures(model, result)}, in {model.folder}")
    if result.demands is not None and not result.demands.met:
        say("no trial keeps to what max_drop and tolerance demand; the best model is the one that comes nearest")
    for note in result.notes:
        say(f"note: {note}")
    say(f"results in {folder} (start with report.html)")


def _figures(model: Reference | BestModel | KeptModel, result: Result) -> str:
    metric = model.test.get(result.target_metric, float("nan"))
    return f"{result.target_metric} {metric:.4f} on the test set, energy {energy(model.energy)}"


def _in_unit(model: Reference | BestModel, unit: str) -> str:
    return "" if unit == "pJ" else f", {cost(model.cost, unit)}"
