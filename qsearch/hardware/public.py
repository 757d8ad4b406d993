"""`qsearch.export`: a quantized model written for a target, and held against Keras bit for bit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy

from qsearch import __version__
from qsearch.errors import ConfigError, ExportError, OutputError, reason_of
from qsearch.files import failing_writes
from qsearch.hardware.integer.build import NORMS, SOFTMAXES, integer_model
from qsearch.hardware.integer.compare import Comparison, compare, extremes
from qsearch.hardware.integer.model import IntegerModel, fits_float32
from qsearch.hardware.targets import target_named
from qsearch.hardware.targets.target import Target
from qsearch.paths import expanded

VERIFICATION, README = "verification.json", "README.md"
_KEPT = 1e-5
"""The most that a kept softmax may differ from Keras': float32 rounds in both."""
_RANDOM = 200
"""Random inputs that every export is tried on, beside the extreme ones and the user's."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What an export came to.

    Attributes:
        folder: where the files are.
        comparison: of Keras, the integer model and the files, on the samples that were tried.
        executed: whether the written files themselves were run; False where what runs them is not on this machine.
        figures: what the files take, as the target tells it.
    """

    folder: Path
    target: str
    model: IntegerModel
    comparison: Comparison
    executed: bool
    figures: Mapping[str, str] = field(default_factory=dict)


def export(
    model: keras.Model,
    target: str,
    path: str | Path,
    *,
    sources: Mapping[str, str] | str | None = None,
    samples: Mapping[str, Any] | Any = None,
    options: Mapping[str, Any] | None = None,
    norms: str | None = None,
    softmax: str = SOFTMAXES[0],
) -> Exported:
    """Write a quantized model for a target, and compare the files with Keras.

    Args:
        model: of Q layers, such as the best model of a run.
        target: "codes", "c", "qonnx", ...; see docs/export.md.
        path: a folder that does not exist yet, or is empty.
        sources: the quantizer of the model's inputs, or of each by its name; int8 where it is left out.
        samples: inputs to compare on, beside random and extreme ones; a batch, or one for each input by name.
        options: of the target.
        norms: "scale", or "thresholds" of each channel, which round as Keras does; see `integer_model`; None for
            what suits the target.
        softmax: what becomes of a softmax or sigmoid at an output: "drop" leaves it to the reader; "keep" has the
            files compute it in float32 (onnx, qonnx, litert), beside the exact values before it, OUTPUT_logits.

    Raises:
        ExportError: the target cannot compute the model exactly (nothing is written), or the files differ from it.
        ConfigError: an unknown target or option, or a package that is not installed.
        OutputError: the folder holds something, or cannot be written.
    """
    chosen = target_named(target)
    norms = chosen.norms if norms is None else norms
    if softmax == "keep" and not chosen.keeps_softmax:
        raise ConfigError(f"softmax: keep: target {target} computes in integers alone; allowed: drop")
    integers = integer_model(model, sources, norms, softmax)
    write = chosen.prepare(integers, options or {})
    folder = _empty(expanded(str(path)))
    aside = folder.with_name(f".{folder.name}.partial")
    with failing_writes(folder):
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
    try:
        with failing_writes(aside):
            figures = write(aside)
        comparison, executed = _compared(model, integers, chosen, aside, samples)
        with failing_writes(aside):
            (aside / VERIFICATION).write_text(
                _verification(integers, chosen, comparison, executed, norms, figures), encoding="utf-8"
            )
            (aside / README).write_text(_readme(integers, chosen, comparison, executed, figures), encoding="utf-8")
        _check_kept(target, comparison)
        if comparison.artefact_mismatches:
            raise ExportError(
                f"{target}: {comparison.artefact_mismatches} of {comparison.samples} samples differ from the integer "
                f"model; nothing is written. {_reason(integers, chosen)}"
            )
        with failing_writes(folder):
            if folder.is_dir():
                folder.rmdir()
            aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Exported(
        folder=folder, target=target, model=integers, comparison=comparison, executed=executed, figures=figures
    )


def verify_export(model: keras.Model, folder: str | Path, samples: Mapping[str, Any] | Any = None) -> Exported:
    """Compare an exported folder with the model that it should be of, on extreme, random and given inputs.

    Args:
        samples: as of `export`.

    Raises:
        OutputError: it is no folder of an export, or a file of it cannot be read.
        ExportError: the model has changed so that it cannot be exported, or the files give other numbers.
    """
    path = expanded(str(folder))
    try:
        told = json.loads((path / VERIFICATION).read_text(encoding="utf-8"))
        target, sources = target_named(told["target"]), dict(told["sources"])
        norms, softmax = str(told.get("norms", NORMS[0])), str(told.get("softmax", SOFTMAXES[0]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path}: is no folder that qsearch export wrote: {reason_of(error)}") from None
    integers = integer_model(model, sources, norms, softmax)
    try:
        comparison, executed = _compared(model, integers, target, path, samples)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path}: its files cannot be read: {reason_of(error)}") from None
    _check_kept(str(path), comparison)
    if comparison.artefact_mismatches:
        raise ExportError(
            f"{path}: {comparison.artefact_mismatches} of {comparison.samples} samples differ from the model; it is of "
            "another model, or has been changed: export again"
        )
    return Exported(folder=path, target=target.name, model=integers, comparison=comparison, executed=executed)


def _check_kept(what: str, comparison: Comparison) -> None:
    """
    Raises:
        ExportError: a function at an output is another one than Keras'.
    """
    if not comparison.kept_difference <= _KEPT:
        raise ExportError(
            f"{what}: the softmax or sigmoid that is kept differs from Keras' by {comparison.kept_difference:.3g}; a "
            "softmax is over the last axis alone; drop it (--softmax drop)"
        )


def _reason(integers: IntegerModel, target: Target) -> str:
    """Why files may differ from the integer model, and what helps."""
    wide = list(dict.fromkeys(step.layer for step in integers.steps if not fits_float32(step.form)))
    if not wide or not target.wide_option:
        return "This is a fault of qsearch, or of the versions that are installed"
    return (
        f"Sums of {', '.join(wide)} need more than the 24 bits of float32; give their kernels, biases or scales fewer "
        f"bits (such as alpha='auto_po2'), or export with {target.wide_option}"
    )


def _empty(folder: Path) -> Path:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder}: is there already; name a new folder")
    return folder


def _compared(
    model: keras.Model, integers: IntegerModel, target: Target, folder: Path, samples: Any
) -> tuple[Comparison, bool]:
    codes = extremes(integers, _RANDOM)
    if samples is not None:
        given = samples if isinstance(samples, Mapping) else {integers.sources[0].name: samples}
        own = integers.quantized(given)
        codes = {name: numpy.concatenate([own[name], part]) for name, part in codes.items()}
    found = target.run(integers, folder, codes)
    return compare(model, integers, codes, found), found is not None


def _verification(
    integers: IntegerModel,
    target: Target,
    comparison: Comparison,
    executed: bool,
    norms: str,
    figures: Mapping[str, str],
) -> str:
    told = {
        "qsearch": __version__,
        "target": target.name,
        "sources": {source.name: source.quantizer for source in integers.sources},
        "norms": norms,
        "softmax": SOFTMAXES[any(bool(output.logits) for output in integers.outputs)],
        "executed": executed,
        "mismatches": sum(comparison.keras_mismatches.values()) + comparison.artefact_mismatches,
        **asdict(comparison),
        "inexact_in_float32": list(integers.inexact),
        "accumulator_bits": max((step.form.bits for step in integers.steps), default=0),
        "figures": dict(figures),
    }
    return json.dumps(told, indent=2) + "\n"


def _readme(
    integers: IntegerModel, target: Target, comparison: Comparison, executed: bool, figures: Mapping[str, str]
) -> str:
    inputs = "\n".join(
        f"- `{source.name}`: {list(source.shape)}, {source.quantizer}: code · 2^-{source.form.fraction}, "
        f"{source.form.least} to {source.form.greatest}"
        for source in integers.sources
    )
    forms = integers.forms
    outputs = "\n".join(
        f"- `{output.exact_name}`: code · 2^-{forms[output.step].fraction}"
        + (f", divided by {forms[output.step].divisor}" if forms[output.step].divisor > 1 else "")
        + (f"; {output.function_name} is left out" if output.function_name and not output.logits else "")
        + (f"; behind it `{output.name}` is its {output.function_name}, float32" if output.logits else "")
        for output in integers.outputs
    )
    how = "these files" if executed else "the integer model that these files were written from"
    differing = sum(comparison.keras_mismatches.values())
    lines = [
        f"# {integers.name} as {target.name}",
        f"Written by qsearch {__version__}.",
        target.readme,
        f"## Inputs\n\n{inputs}",
        f"## Outputs\n\n{outputs}",
        f"## Checked\n\n{comparison.samples} samples: {differing} outputs of {how} differ from Keras "
        f"(`{VERIFICATION}`).",
    ]
    if figures:
        lines.append("## Size\n\n" + "\n".join(f"- {name}: {figure}" for name, figure in figures.items()))
    if integers.inexact:
        lines.append(
            f"Keras computes in float32, which rounds in {', '.join(integers.inexact)}; the integers are exact there."
        )
    lines += [f"- {note}" for note in integers.notes]
    return "\n\n".join(lines) + "\n"
