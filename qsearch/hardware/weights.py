"""The weights of a quantized model as its layers compute with them: values, integer codes, scales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy
import tensorflow as tf
from numpy.typing import NDArray

from qsearch.graph.walk import core_of, layers_by_path
from qsearch.layers.quantized import WeightPart
from qsearch.quantizers.base import Quantizer
from qsearch.quantizers.number_types import Kind

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class QuantizedWeight:
    """One weight of one layer, all arrays of its shape but the scale.

    Attributes:
        quantizer: its string as the layer uses it; None for a weight that stays a float.
        bits: of its number format; 32 for a float.
        values: what the layer computes with, float32.
        codes: whole numbers (int64). Evenly spaced levels: values = codes · scale. Powers of two: values =
            signs · 2^codes. Other levels (µ-law): codes count `levels` from the least. None for a float.
        scale: float32, broadcasts against codes; None unless levels are evenly spaced.
        signs: +1 and −1 of powers of two, else None.
        levels: the levels in use where they are not evenly spaced, ascending, else None.
        stored: what the model holds; None where the weight is computed from several (folded batch norm).
    """

    quantizer: str | None
    bits: int
    values: Array
    codes: Array | None
    scale: Array | None
    signs: Array | None
    levels: Array | None
    stored: Array | None

    @property
    def rebuilt(self) -> Array | None:
        """The values computed back from codes and scale; None for a float."""
        if self.codes is None:
            return None
        if self.scale is not None:
            return (self.codes.astype("float32") * self.scale).astype("float32")
        if self.signs is not None:
            return numpy.ldexp(self.signs, self.codes).astype("float32")
        assert self.levels is not None
        return self.levels[self.codes]

    @property
    def is_stored_on_grid(self) -> bool:
        """Whether the model holds the very values that the layer computes with."""
        return self.stored is not None and numpy.array_equal(self.stored, self.values)


def quantized_weights(model: keras.Model) -> dict[str, dict[str, QuantizedWeight]]:
    """Every weight of every Q layer: `{"conv2d_0": {"kernel": QuantizedWeight(...), "bias": ...}}`.

    Layers of nested models are named "outer/inner". Names of weights are those of the quantizers (`kernel`,
    `depthwise`, `pointwise`, `recurrent`, `bias`; `gamma`, `beta`, `mean`, `variance`). Folded layers give the
    folded kernel and bias.
    """
    weights: dict[str, dict[str, QuantizedWeight]] = {}
    for path, layer in layers_by_path(model).items():
        parts = getattr(core_of(layer), "weight_parts", None)
        if parts is not None:
            weights[path] = {name: exported(part) for name, part in parts().items()}
    return weights


def arrays(weights: Mapping[str, Mapping[str, QuantizedWeight]]) -> dict[str, Array]:
    """Flat names for a file: "conv2d_0/kernel/codes", ".../scale", ".../values" and so on."""
    flat: dict[str, Array] = {}
    for layer, parts in weights.items():
        for name, weight in parts.items():
            for part in ("values", "codes", "scale", "signs", "levels"):
                array = getattr(weight, part)
                if array is not None:
                    flat[f"{layer}/{name}/{part}"] = array
    return flat


def exported(part: WeightPart) -> QuantizedWeight:
    """One weight with its codes."""
    stored = None if part.variable is None else numpy.asarray(part.variable)
    value = tf.cast(part.value, tf.float32)
    if part.quantizer is None:
        return QuantizedWeight(
            quantizer=None,
            bits=32,
            values=value.numpy(),
            codes=None,
            scale=None,
            signs=None,
            levels=None,
            stored=stored,
        )
    values = part.quantizer(value, training=False).numpy()
    codes, scale, signs, levels = _coded(part.quantizer, value, values)
    bits = part.quantizer.number_format.bits
    return QuantizedWeight(
        quantizer=str(part.quantizer),
        bits=bits,
        values=values,
        codes=codes,
        scale=scale,
        signs=signs,
        levels=levels,
        stored=stored,
    )


def _coded(
    quantizer: Quantizer, x: Any, values: Array
) -> tuple[Array | None, Array | None, Array | None, Array | None]:
    """(codes, scale, signs, levels)."""
    finite = numpy.where(numpy.isfinite(values), values, 0.0)
    step = quantizer.step(x)
    if step is not None:
        scale = numpy.asarray(step, "float32")
        with numpy.errstate(divide="ignore", invalid="ignore"):
            shares = numpy.where(numpy.isfinite(scale) & (scale != 0.0), finite / scale, 0.0)
        return numpy.round(shares).astype("int64"), scale, None, None
    kind = quantizer.number_format.kind
    if kind is Kind.POWER_OF_TWO:
        _, exponents = numpy.frexp(numpy.abs(finite))
        # A power of two is 0.5 · 2^e; anything else is told by `rebuilt`.
        return (exponents - 1).astype("int64"), None, numpy.where(finite < 0, -1.0, 1.0).astype("float32"), None
    if kind is Kind.FLOAT:
        return None, None, None, None
    levels, codes = numpy.unique(finite, return_inverse=True)
    return codes.reshape(values.shape).astype("int64"), None, None, levels.astype("float32")
