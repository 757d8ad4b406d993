"""`qsearch quantize MODEL`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qsearch.cli.arguments import MODEL_OR_NAME
from qsearch.cli.json_output import JSON, say_document
from qsearch.cli.model_choice import chosen_model, model_options
from qsearch.cli.model_file import ALLOW_CODE
from qsearch.cli.output import add_row, say, show, table_of
from qsearch.errors import ConfigError, shown
from qsearch.files import writable, written_whole
from qsearch.paths import as_text, expanded
from qsearch.report.units import energy, saving
from qsearch.startup import quiet_start

if TYPE_CHECKING:
    import keras

    from qsearch.energy.report import EnergyReport
    from qsearch.runner.model_choice import ModelChoice

_WIDTH = 120
_LISTED = 20


@click.command()
@click.argument("model", type=MODEL_OR_NAME)
@click.option("--plan", "plan_file", type=click.Path(path_type=Path), required=True, metavar="PLAN.yaml",
              help="By layer: its quantizers by role, and filters; best/plan.yaml of a run is one.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, metavar="OUT.keras")
@click.option("--weights", type=click.Choice(("keep", "fresh")), default="keep", show_default=True,
              help="Keep the model's weights, channels following widths; or initialise them anew.")  # fmt: skip
@click.option("--evaluate", "config", type=click.Path(path_type=Path), metavar="CONFIG",
              help="Evaluate both models on the test set of this configuration.")  # fmt: skip
@model_options
@ALLOW_CODE
@click.option("--format", "output_format", type=click.Choice(("table", "json")), default="table", show_default=True)
def quantize(
    model: str,
    plan_file: Path,
    output: Path,
    weights: str,
    config: Path | None,
    load_weights: str | None,
    custom_objects: tuple[str, ...],
    arguments: tuple[str, ...],
    allow_code: bool,
    output_format: str,
) -> None:
    """Quantize MODEL as a plan says, without a search: a model file, a network's name (mnist), or module:function.

    Prints the energy of one inference before and after, layer by layer, and what was left alone.
    """
    path = expanded(output)
    if path.suffix != ".keras":
        raise ConfigError(f"-o {shown(str(output))}: expected a name that ends in .keras")
    if path.exists() and expanded(model).exists() and path.samefile(expanded(model)):
        raise ConfigError(f"-o {shown(str(output))}: is MODEL itself, which stays as it is; name another file")
    writable(path)
    choice = chosen_model(as_text(model), load_weights, custom_objects, arguments, allow_code)
    done = _done(choice, plan_file, config, weights == "keep")
    with written_whole(path) as aside:
        done.model.save(aside)
    if output_format == JSON:
        named = {"model": choice.origin, "plan_file": str(plan_file), "output": str(path)}
        say_document("quantize", **named, **done.to_dict())
    else:
        _show(done)
    say(f"wrote {path}", err=True)


@dataclass(frozen=True, kw_only=True)
class _Done:
    """A quantized model, and what it costs beside the one that it was made of.

    Attributes:
        left_alone: layers that stay as they are, with the reason.
        initialised: layers whose weights, or some of them, come from no weights of the model.
        metrics: of both on the test set; None where nobody asked.
    """

    model: keras.Model
    plan: Mapping[str, Any]
    before: EnergyReport
    after: EnergyReport
    left_alone: Mapping[str, str]
    initialised: tuple[str, ...]
    metrics: tuple[Mapping[str, float], Mapping[str, float]] | None

    @property
    def ratio(self) -> float | None:
        return self.before.total / self.after.total if self.after.total else None

    def to_dict(self) -> dict[str, Any]:
        return {
            "unit": "pJ",
            "energy": {"before": self.before.to_dict(), "after": self.after.to_dict(), "ratio": self.ratio},
            "plan": dict(self.plan),
            "left_alone": dict(self.left_alone),
            "initialised": list(self.initialised),
            "metrics": None if self.metrics is None else {"before": self.metrics[0], "after": self.metrics[1]},
        }


def _done(choice: ModelChoice, plan_file: Path, config: Path | None, keep: bool) -> _Done:
    with quiet_start():
        from qsearch.energy.public import estimate_energy
        from qsearch.quantize.apply import apply_plan
        from qsearch.quantize.transfer import transfer_weights
        from qsearch.runner.evaluated import evaluated, ready_for
        from qsearch.runner.plan_file import left_alone, read_plan_file

    ready = None if config is None else ready_for(choice, config)
    model = choice.build() if ready is None else ready.experiment.model
    plan = read_plan_file(plan_file, model)
    quantized = apply_plan(model, plan)
    initialised: tuple[str, ...] = tuple(layer.name for layer in quantized.layers if layer.weights)
    if keep:
        initialised = transfer_weights(model, quantized)
    return _Done(
        model=quantized,
        plan=plan.to_dict(),
        before=estimate_energy(model),
        after=estimate_energy(quantized),
        left_alone=left_alone(model, plan),
        initialised=initialised,
        metrics=None if ready is None else (evaluated(ready, model), evaluated(ready, quantized)),
    )


def _show(done: _Done) -> None:
    from qsearch.report import energy_tables as tables

    headings = ("layer", "before", "after", "ratio")
    shown_table = table_of(headings, "energy of one inference", "pJ, of what enters the total")
    for column in shown_table.columns[1:]:
        column.justify = "right"
    for cells in tables.comparison_rows(done.before, done.after):
        add_row(shown_table, cells)
    show(shown_table, _WIDTH)
    before, after = done.before.total, done.after.total
    told = "" if done.ratio is None else f": {saving(done.ratio)}"
    say(f"energy {energy(before)} before, {energy(after)} after{told}")
    if done.metrics is not None:
        first, second = done.metrics
        told = ", ".join(f"{name} {first[name]:.4f} -> {second[name]:.4f}" for name in first if name in second)
        say(f"on the test set: {told}")
    for name, reason in list(done.left_alone.items())[:_LISTED]:
        say(f"left alone: {name}: {reason}")
    if len(done.left_alone) > _LISTED:
        say(f"left alone: {len(done.left_alone) - _LISTED} layers more")
    if done.initialised:
        say(f"weights that are new, not the model's: {', '.join(done.initialised)}")
    for note in dict.fromkeys((*done.before.notes, *done.after.notes)):
        say(f"note: {note}")
