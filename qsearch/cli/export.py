"""`qsearch export RUN_OR_MODEL --to TARGET`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qsearch.cli.arguments import RUN_OR_MODEL
from qsearch.cli.json_output import JSON, say_document
from qsearch.cli.model_file import ModelFileOptions, model_file_options
from qsearch.cli.output import say
from qsearch.cli.tables import format_option
from qsearch.config.names import TARGET_ALIASES
from qsearch.errors import ConfigError, QsearchError, shown
from qsearch.paths import expanded
from qsearch.startup import quiet_start

if TYPE_CHECKING:
    from qsearch.config import Config
    from qsearch.hardware.public import Exported


@click.command()
@click.argument("source", metavar="RUN_OR_MODEL", type=RUN_OR_MODEL)
@click.option("--to", "target", required=True, metavar="TARGET", help="What to write; docs/export.md lists all.")
@click.option("--for", "builder", type=click.Choice(("finn",)), help="With --to qonnx: only what FINN builds.")
@click.option(
    "--norms",
    type=click.Choice(("scale", "thresholds")),
    help="Normalizations before quantizers: as multiply and add, or as thresholds; default: what suits the target.",
)
@click.option(
    "--softmax",
    type=click.Choice(("drop", "keep")),
    default="drop",
    show_default=True,
    help="At an output: left to the reader, or computed in float32 (onnx, qonnx, litert).",
)
@click.option(
    "-o", "--output", "folder", metavar="FOLDER", help="Where; default: exports/TARGET in the run, or beside the model."
)
@click.option(
    "--input-quantizer",
    metavar="QUANTIZER",
    help="What inputs are rounded to; default: source_quantizers of the run, else int8.",
)
@click.option(
    "--option", "options", multiple=True, metavar="KEY=VALUE", help="Of the target; docs/export.md lists them."
)
@model_file_options
@format_option(("text", "json"))
def export(
    source: str,
    target: str,
    builder: str | None,
    norms: str | None,
    softmax: str,
    folder: str | None,
    input_quantizer: str | None,
    options: tuple[str, ...],
    output: str,
    **loading: Any,
) -> None:
    """Write the best model of a run, or a model file, for hardware, bit for bit.

    The written files, integers computed in Python and Keras are compared on random and extreme inputs, and on a run's
    test data. Exit code 9, and nothing is written, where the target cannot be exact.
    """
    if builder is not None and target != "qonnx":
        raise ConfigError(f"--for {builder}: is for --to qonnx, found --to {shown(target)}")
    target = TARGET_ALIASES.get(target, builder or target)
    path = expanded(source)
    config, model_path = None, path
    if path.is_dir():
        from qsearch.runs.record import RunRecord

        record = RunRecord.read(path)
        config, model_path = record.config, record.model_path
    chosen = _options(options)
    with quiet_start():
        from qsearch.hardware.public import export as write
        from qsearch.hardware.targets import target_named
        from qsearch.runner.exports import SOURCES, source_quantizer
    target_named(target)  # a mistake is told before anything is loaded
    model = ModelFileOptions(**loading).load(str(model_path))
    to = _folder(path, target) if folder is None else expanded(folder)
    given = None if config is None or input_quantizer is not None else source_quantizer(config)
    quantizer = given if input_quantizer is None else SOURCES.get(input_quantizer, input_quantizer)
    exported = write(
        model,
        target,
        to,
        sources=quantizer,
        samples=_samples(config),
        options=chosen,
        norms=norms,
        softmax=softmax,
    )
    if output == JSON:
        say_document("export", **compared(exported))
        return
    tell(exported)
    say(f"{target} in {exported.folder} (start with README.md)")


def _folder(path: Path, target: str) -> Path:
    return path / "exports" / target if path.is_dir() else path.with_name(f"{path.stem}_{target}")


def _options(texts: tuple[str, ...]) -> dict[str, Any]:
    import yaml

    chosen: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--option {shown(text)}: expected KEY=VALUE, e.g. reuse_factor=4")
        try:
            chosen[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            chosen[key.strip()] = value.strip()
    return chosen


def _samples(config: Config | None) -> Any:
    """Test data of a run, where it has a name."""
    if config is None or config.dataset.name is None:
        return None
    from qsearch.datasets import load_dataset
    from qsearch.runner.exports import samples_of

    try:
        return samples_of(load_dataset(config.dataset.name, None, config.dataset.test_samples).test)
    except QsearchError as error:
        say(f"note: {error}; compared on random and extreme inputs alone", err=True)
        return None


def compared(exported: Exported) -> dict[str, Any]:
    """The same as `tell` tells, as fields of a document."""
    comparison = exported.comparison
    return {
        "target": exported.target,
        "folder": str(exported.folder),
        "executed": exported.executed,
        "samples": comparison.samples,
        "artefact_mismatches": comparison.artefact_mismatches if exported.executed else None,
        "keras_mismatches": dict(comparison.keras_mismatches),
        "first_layer": comparison.first_layer or None,
        "largest_difference": comparison.largest_difference,
        "kept_difference": comparison.kept_difference,
        "inexact": list(exported.model.inexact),
        "figures": dict(exported.figures),
        "notes": list(exported.model.notes),
    }


def tell(exported: Exported) -> None:
    """How the files, the integers and Keras compare."""
    comparison = exported.comparison
    by = "the written files" if exported.executed else "the integer model (the files cannot be run on this machine)"
    for output, count in comparison.keras_mismatches.items():
        say(f"{output}: {count} of {comparison.samples} samples of {by} differ from Keras")
    if comparison.first_layer:
        inexact = ", ".join(exported.model.inexact) or "none"
        say(
            f"the first layer that differs is {comparison.first_layer}; Keras' float32 rounds in: {inexact}; there the "
            "integers are exact, and Keras is not"
        )
    if any(output.logits for output in exported.model.outputs) and exported.executed:
        say(f"what is kept at outputs differs from Keras by at most {comparison.kept_difference:.2g}")
    for name, figure in exported.figures.items():
        say(f"{name}: {figure}")
    for note in exported.model.notes:
        say(f"note: {note}")
