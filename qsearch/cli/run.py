"""`qsearch run CONFIG`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qsearch.cli.output import say
from qsearch.cli.quiet import quiet_start
from qsearch.config import LoadedConfig, load_config
from qsearch.exit_codes import ExitCode
from qsearch.interrupts import Interrupts
from qsearch.paths import as_text
from qsearch.report.units import cost, duration, energy, priced, saving


@click.command()
@click.argument("config", type=click.Path(path_type=Path), default="qsearch.yaml")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a value, e.g. --set run.max_trials=3."
)
@click.option("--output-dir", metavar="FOLDER", help="In place of run.output_dir.")
@click.option("--plain", is_flag=True, help="One plain line per trial, as when the output is no terminal.")
@click.pass_obj
def run(
    interrupts: Interrupts | None, config: Path, overrides: tuple[str, ...], output_dir: str | None, plain: bool
) -> int:
    """Search the best quantized version of a model, as CONFIG (default: qsearch.yaml) says.

    CONFIG is a YAML file, or the name of a configuration that qsearch brings along, such as digits.
    """
    return search(read(config, overrides, output_dir), plain, interrupts)


def read(config: Path, overrides: tuple[str, ...], output_dir: str | None) -> LoadedConfig:
    """The configuration; every mistake in the file is told before TensorFlow is imported."""
    return load_config(config, [*map(as_text, overrides)], None if output_dir is None else as_text(output_dir))


def search(loaded: LoadedConfig, plain: bool, interrupts: Interrupts | None) -> int:
    """Run it and show what came of it; returns the exit code."""
    from qsearch.cli.progress import observe

    with quiet_start():
        from qsearch.runner.pipeline import run_loaded

    with observe(plain) as observer:
        result = run_loaded(loaded, observer, interrupts or Interrupts())
    _show(result.summary, result.run_directory)
    if result.summary["interrupted"]:
        return ExitCode.INTERRUPTED
    constraints = result.summary["demands"]
    return ExitCode.DONE if constraints is None or constraints["met"] else ExitCode.UNMET


def _show(summary: dict[str, Any], folder: Path) -> None:
    target, unit = summary["target_metric"], summary["unit"]
    counts = summary["trials"]
    say()
    say(
        f"{counts['completed']} trials completed, {counts['failed']} failed, {counts['skipped']} skipped "
        f"in {duration(summary['seconds'])}; {summary['ended']}"
    )
    for name in ("reference", "best"):
        model = summary[name]
        if model is None:
            continue
        metric = model["test"].get(target, float("nan"))
        shown = f"{name:<9}  {target} {metric:.4f} on the test set, energy {energy(model['energy'])}"
        if unit != "pJ":
            shown += f", {cost(model['cost'], unit)}"
        say(shown)
    if summary["best"] is not None and summary["best"]["energy_ratio"] is not None:
        say(f"{'saving':<9}  {saving(summary['best']['energy_ratio'])}{priced(summary['priced_share'])}")
    if summary["dearer"] is not None:
        costly = ", ".join(
            f"{one['layer']} ({cost(one['best'], unit)} for {cost(one['reference'], unit)})"
            for one in summary["dearer"]
        )
        say(f"no trial is cheaper than the reference; what costs the best one more: {costly}")
    for model in summary["models"]:
        metric = model["test"].get(target, float("nan"))
        shown = f"{target} {metric:.4f} on the test set, energy {energy(model['energy'])}"
        say(f"{', '.join(model['as'])}: trial {model['trial']}, {shown}, in {model['folder']}")
    if summary["demands"] is not None and not summary["demands"]["met"]:
        say("no trial keeps to what max_drop demands; the best model is the one that comes nearest")
    for note in summary["notes"]:
        say(f"note: {note}")
    say(f"results in {folder} (start with report.md)")
