"""Keras, the integer model and an exported file on the same inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy
from numpy.typing import NDArray

from qsearch.hardware.integer.formats import Codes
from qsearch.hardware.integer.model import IntegerModel
from qsearch.hardware.integer.operations import Lookup

_BATCH = 256


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """On how many samples an output differs, in any of its values, to the last bit.

    Attributes:
        keras_mismatches: integer model against Keras, by output.
        artefact_mismatches: the exported files against the integer model, all outputs together; 0 where they were not
            run.
        first_layer: the first layer whose levels differ from Keras', "" where none does.
        largest_difference: of any output value, integer model against Keras.
        kept_difference: of any value of a softmax or sigmoid that the files have kept, against Keras' own function of
            the same codes; none is promised to be exact.
    """

    samples: int
    keras_mismatches: Mapping[str, int]
    artefact_mismatches: int
    first_layer: str
    largest_difference: float
    kept_difference: float = 0.0


def extremes(model: IntegerModel, count: int, seed: int = 0) -> dict[str, Codes]:
    """Codes of inputs: the least, the greatest, zero, alternating ones, then `count` random ones."""
    random = numpy.random.default_rng(seed)
    made = {}
    for source in model.sources:
        low, high = source.form.least, source.form.greatest
        checks = numpy.indices(source.shape).sum(axis=0) % 2 if source.shape else numpy.zeros(())
        fixed = [numpy.full(source.shape, code) for code in (low, high, min(max(0, low), high))]
        fixed += [numpy.where(checks == 0, low, high), numpy.where(checks == 0, high, low)]
        drawn = random.integers(low, high + 1, (count, *source.shape))
        made[source.name] = numpy.concatenate([numpy.stack(fixed), drawn]).astype(numpy.int64)
    return made


def compare(
    model: keras.Model,
    integers: IntegerModel,
    codes: Mapping[str, Codes],
    artefact: Mapping[str, NDArray[Any]] | None = None,
) -> Comparison:
    """Hold the outputs against each other.

    Args:
        codes: of the inputs, by name.
        artefact: what exported files gave for them, by the names of their outputs.
    """
    inputs = [source.form.values(codes[source.name]).astype(numpy.float32) for source in integers.sources]
    given = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0, batch_size=_BATCH)
    expected = list(given.values()) if isinstance(given, Mapping) else given if isinstance(given, list) else [given]
    every, forms = integers.run(codes), integers.forms
    mismatches, artefact_mismatches, largest, kept = {}, 0, 0.0, 0.0
    for output, wanted in zip(integers.outputs, expected, strict=True):
        values = forms[output.step].values(every[output.step])
        if artefact is not None:
            artefact_mismatches += _differing(artefact[output.exact_name].reshape(values.shape), values)
        shown = values.astype(numpy.float32)
        if output.function is not None:
            shown = numpy.asarray(output.function(shown))
        if artefact is not None and output.logits:
            kept = float(numpy.max([kept, numpy.abs(artefact[output.name].reshape(shown.shape) - shown).max()]))
        mismatches[output.name] = _differing(shown.reshape(wanted.shape), wanted)
        largest = max(largest, float(numpy.abs(shown.reshape(wanted.shape) - wanted).max()))
    return Comparison(
        samples=len(next(iter(codes.values()))),
        keras_mismatches=mismatches,
        artefact_mismatches=artefact_mismatches,
        first_layer=_first_layer(model, integers, codes, inputs) if any(mismatches.values()) else "",
        largest_difference=largest,
        kept_difference=kept,
    )


def _differing(one: NDArray[Any], other: NDArray[Any]) -> int:
    """Samples with a value that differs."""
    return int((one != other).reshape(len(one), -1).any(axis=1).sum())


def _first_layer(
    model: keras.Model, integers: IntegerModel, codes: Mapping[str, Codes], inputs: list[NDArray[Any]]
) -> str:
    """The first layer whose output in Keras is not what the integers say."""
    # the last of each; a table is exact, and may hold what the quantizer behind it gives
    steps = {step.layer: step for step in integers.steps if not isinstance(step.operation, Lookup)}
    layers = [layer for layer in model.layers if layer.name in steps and len(layer._inbound_nodes) == 1]
    if not layers or isinstance(model, keras.Sequential):
        return ""
    inner = keras.Model(model.inputs, [layer.output for layer in layers])
    found = inner.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0, batch_size=_BATCH)
    every = integers.run(codes, every=True)
    for layer, wanted in zip(layers, found if isinstance(found, list) else [found], strict=True):
        step = steps[layer.name]
        values = step.form.values(every[step.name]).astype(numpy.float32)
        if values.size == wanted.size and not numpy.array_equal(values.reshape(wanted.shape), wanted):
            return str(layer.name)
    return ""
