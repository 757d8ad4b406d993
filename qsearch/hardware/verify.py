"""Is every weight of a quantized model on its quantizer's grid?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import keras
import numpy

from qsearch.errors import ModelError
from qsearch.graph.walk import core_of, layers_by_path
from qsearch.hardware.weights import QuantizedWeight, exported, quantized_weights
from qsearch.plan import QuantizationPlan
from qsearch.quantize.apply import apply_plan


class State(Enum):
    """What was found about a weight."""

    STORED = "on its grid"
    """The model holds the very values that the layer computes with."""
    TRAINED = "on its grid (stored as float)"
    """The model holds a float, which the layer quantizes in every call."""
    FOLDED = "on its grid (folded)"
    """Computed from a kernel and a batch normalization."""
    FLOAT = "no quantizer"
    OFF = "off its grid"


@dataclass(frozen=True, kw_only=True)
class Checked:
    """One weight that was looked at.

    Attributes:
        levels: how many different values it has.
        problem: what is wrong with a weight that is off its grid, else "".
    """

    layer: str
    weight: str
    quantizer: str | None
    bits: int
    shape: tuple[int, ...]
    levels: int
    state: State
    problem: str


def verify(model: keras.Model) -> tuple[Checked, ...]:
    """Check every weight of a quantized model.

    A weight is on its grid when the values that its layer computes with are finite, equal codes · scale (or
    signed powers of two) to the last bit, and are no more levels than its bits allow.

    Raises:
        ModelError: the model has no Q layer.
    """
    weights = quantized_weights(model)
    if not weights:
        raise ModelError(f"{model.name}: has no quantized layer, so there is nothing to verify")
    return tuple(_checked(layer, name, weight) for layer, parts in weights.items() for name, weight in parts.items())


def _checked(layer: str, name: str, weight: QuantizedWeight) -> Checked:
    problem = _problem(weight)
    if problem:
        state = State.OFF
    elif weight.quantizer is None:
        state = State.FLOAT
    elif weight.stored is None:
        state = State.FOLDED
    else:
        state = State.STORED if weight.is_stored_on_grid else State.TRAINED
    levels = len(numpy.unique(weight.values))
    return Checked(
        layer=layer,
        weight=name,
        quantizer=weight.quantizer,
        bits=weight.bits,
        shape=weight.values.shape,
        levels=levels,
        state=state,
        problem=problem,
    )


def _problem(weight: QuantizedWeight) -> str:
    stored = weight.values if weight.stored is None else weight.stored
    broken = int((~(numpy.isfinite(weight.values) & numpy.isfinite(stored))).sum())
    if broken:
        return f"{broken} of {weight.values.size} values are no finite numbers"
    if weight.quantizer is None:
        return ""
    rebuilt = weight.rebuilt
    if rebuilt is None:
        return "its quantizer has no grid"
    off = int((rebuilt != weight.values).sum())
    if off:
        return f"{off} of {weight.values.size} values are no whole number of steps"
    assert weight.codes is not None
    # A limit of at most 1 frees the sign bit of a power of two's exponent.
    most = 2 ** (weight.bits + (weight.signs is not None))
    levels = len(numpy.unique(weight.codes))
    greatest = int(numpy.abs(weight.codes).max(initial=0))
    if levels > most or greatest > most:
        return f"{levels} codes up to {greatest}, more than {weight.bits} bits hold"
    return ""


def on_grid(model: keras.Model) -> tuple[keras.Model, Mapping[str, str]]:
    """A copy whose stored weights are the values that its layers compute with.

    Returns:
        The copy, and {"layer/weight": reason} of those that keep their trained floats: folded ones, and those
        whose automatic scale would become another one.
    """
    copy = apply_plan(model, QuantizationPlan())
    copy.set_weights(model.get_weights())
    kept: dict[str, str] = {}
    layers = {path: core_of(layer) for path, layer in layers_by_path(copy).items()}
    for path, parts in quantized_weights(copy).items():
        for name, weight in parts.items():
            if weight.quantizer is None:
                continue
            part = layers[path].weight_parts()[name]
            if part.variable is None:
                kept[f"{path}/{name}"] = "is computed from a kernel and a batch normalization"
                continue
            part.variable.assign(weight.values)
            again = exported(layers[path].weight_parts()[name])
            if not numpy.array_equal(again.values, weight.values):
                part.variable.assign(weight.stored)
                kept[f"{path}/{name}"] = "its automatic scale would change"
    return copy, kept
