"""`export:` of a configuration: the best model written for hardware at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy

from qsearch.config import Config
from qsearch.config.goals import EnergyParams
from qsearch.config.hardware import ExportConfig
from qsearch.datasets import Source
from qsearch.errors import ConfigError, ExportError, QsearchError
from qsearch.hardware.public import export

SOURCES = {"int8": "quantized_bits(8,0,1)", "int16": "quantized_bits(16,7,1)", "int32": "quantized_bits(32,10,1)"}
"""The quantizers of the number types that a configuration may name for inputs."""
SAMPLES = 1000
"""Of the test data, which exports are compared on."""
FOLDER = "exports"


@dataclass(frozen=True)
class ExportOutcome:
    """What came of one target: a line about it, and whether it was written."""

    target: str
    text: str
    written: bool


def export_all(
    config: Config, model: keras.Model, test: Source, run: Path, trial: int | None = None
) -> list[ExportOutcome]:
    """Write a model for every target that a configuration asks for; what cannot be is told, and the run goes on.

    Args:
        run: the run directory.
        trial: the number of the trial, for a model of the front; None for the best model.
    """
    wanted = [one for one in config.export if trial is None or one.models == "front"]
    samples = samples_of(test) if wanted else None
    folder = Path(FOLDER) if trial is None else Path(FOLDER, f"trial_{trial}")
    return [_exported(config, model, samples, run, folder / one.name, one) for one in wanted]


def _exported(
    config: Config, model: keras.Model, samples: Any, run: Path, folder: Path, wanted: ExportConfig
) -> ExportOutcome:
    what = f"export {folder.relative_to(FOLDER)}"
    try:
        exported = export(
            model,
            wanted.name,
            run / folder,
            sources=source_quantizer(config),
            samples=samples,
            options=wanted.options,
            norms=wanted.norms,
            softmax=wanted.softmax,
        )
    except QsearchError as error:
        return ExportOutcome(wanted.name, f"{what}: {error}", False)
    comparison = exported.comparison
    differing = sum(comparison.keras_mismatches.values())
    text = f"{what}: {differing} outputs of {comparison.samples} samples differ from Keras; in {folder}"
    if exported.figures:
        text += f" ({', '.join(f'{name} {figure}' for name, figure in exported.figures.items())})"
    return ExportOutcome(wanted.name, text, True)


def source_quantizer(config: Config) -> str | None:
    """The quantizer that a run prices its inputs as; None where it does not say.

    Raises:
        ConfigError: several inputs with different ones.
        ExportError: a number type that is no integer.
    """
    goal = config.goal
    given = goal.params.source_quantizers if isinstance(goal.params, EnergyParams) else None
    if not given:
        return None
    if len({*given}) > 1:
        raise ConfigError(
            "goal.params.source_quantizers: differ among the inputs; export from Python, qsearch.export(..., "
            "sources={'input': 'quantized_bits(8,0,1)'})"
        )
    if given[0] in ("fp16", "fp32"):
        raise ExportError(
            f"the run prices its inputs as {given[0]}, which is no integer; set goal.params.source_quantizers, or give "
            "--input-quantizer, e.g. int8"
        )
    return SOURCES.get(given[0], given[0])


def samples_of(source: Source) -> Any:
    """Inputs of a set of samples as arrays; None where it has none at hand."""
    given = source.first(SAMPLES).evaluation(SAMPLES)["x"]
    if isinstance(given, numpy.ndarray):
        return given
    held = isinstance(given, Mapping) and all(isinstance(part, numpy.ndarray) for part in given.values())
    return given if held else None
