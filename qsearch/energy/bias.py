"""`qsearch.bias_from_accumulators`: quantizers for the biases of folded layers that were given none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import keras

from qsearch.energy.estimate import price_plan
from qsearch.energy.public import energy_settings
from qsearch.graph.from_keras import read_model, read_plan
from qsearch.graph.walk import core_of, layers_by_path
from qsearch.layers import QConv2DBatchnorm, QDenseBatchnorm, QDepthwiseConv2DBatchnorm
from qsearch.plan import QuantizationPlan, Role
from qsearch.quantize.apply import apply_plan
from qsearch.quantizers.base import Quantizer
from qsearch.quantizers.number_types import Kind, NumberFormat
from qsearch.quantizers.spec import QuantizerSpec

_FOLDED = (QConv2DBatchnorm, QDepthwiseConv2DBatchnorm, QDenseBatchnorm)


def bias_from_accumulators(
    model: keras.Model, source_quantizers: str | Quantizer | Sequence[str | Quantizer] | None = None
) -> keras.Model:
    """A copy in which the folded biases without a quantizer have the format of their layer's accumulator.

    A folded bias γ/√(v + ε) · (b − μ) + β is a float that no argument of the convolution's describes. It is added to
    sums of n products, so it gets their bits: those of the product of a weight and an input and ceil(log2 n) more,
    all of them before the point, and a sign. Biases with a quantizer keep it, and so do those whose accumulator is a
    float; a layer that is called several times holds the widest of its accumulators.

    Args:
        model: with QConv2DBatchnorm, QDepthwiseConv2DBatchnorm or QDenseBatchnorm; any other model is just copied.
        source_quantizers: of the model's inputs, one for all or one for each; None means 8 bits.

    Raises:
        ConfigError: an unknown source quantizer, or a number of them that is not that of the inputs.
        ModelError: a layer, a shape or the model's own class is not known.
    """
    graph, plan = read_model(model), read_plan(model)
    report = price_plan(graph, plan, energy_settings(None, source_quantizers=_texts(source_quantizers)))
    layers = {path: core_of(layer) for path, layer in layers_by_path(model).items()}
    waiting = {path for path, layer in layers.items() if isinstance(layer, _FOLDED) and layer.bias_quantizer is None}
    formats: dict[str, NumberFormat] = {}
    for node in graph.nodes:
        if node.layer in waiting:
            form = report.layers[node.name].bias_format
            assert form is not None
            formats[node.layer] = _widest(form, formats.get(node.layer, form))
    changed = {
        path: replace(plan.layers[path], quantizers={**plan.layers[path].quantizers, Role.BIAS: _quantizer(form)})
        for path, form in formats.items()
        if form.kind is not Kind.FLOAT
    }
    copy = apply_plan(model, QuantizationPlan(changed))
    copy.set_weights(model.get_weights())
    return copy


def _texts(sources: str | Quantizer | Sequence[str | Quantizer] | None) -> Sequence[str] | None:
    if sources is None:
        return None
    given = (sources,) if isinstance(sources, str | Quantizer) else sources
    return tuple(str(source) for source in given)


def _widest(a: NumberFormat, b: NumberFormat) -> NumberFormat:
    """A format that holds both."""
    if Kind.FLOAT in (a.kind, b.kind):
        return a if a.kind is Kind.FLOAT else b
    whole, signed = max(a.int_bits, b.int_bits), a.signed or b.signed
    bits = whole + max(a.fraction_bits, b.fraction_bits) + signed
    return replace(a, bits=bits, int_bits=whole, signed=signed)


def _quantizer(form: NumberFormat) -> QuantizerSpec:
    """Of as many bits; a bias has a sign, even where the products have none."""
    return QuantizerSpec("quantized_bits", (form.bits + (not form.signed), form.int_bits, 1))
