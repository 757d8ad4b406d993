"""What transposed convolutions in groups, separable ones, and one scale and shift for all values cost, by hand."""

from __future__ import annotations

from typing import Any

import keras
import pytest

import qsearch
from qsearch import layers
from qsearch.energy.counts import counts
from qsearch.energy.operators import addition_energy, multiply, operation_energy
from qsearch.energy.process import PROCESSES
from qsearch.energy.report import LayerEnergy
from qsearch.errors import ModelError
from qsearch.graph.from_keras import read_model
from qsearch.graph.resize import with_filters
from qsearch.hardware.ebops import effective_bit_operations
from qsearch.plan import LayerPlan, QuantizationPlan
from qsearch.quantizers.number_types import fixed

MUL8 = 0.002994791667 * 64 + 0.001041666667 * 8  # an 8 x 8 bit multiplier
ADD32 = 0.003125 * 32  # an addition into a 32-bit accumulator
BITS1 = "quantized_bits(4,0,1,alpha=1.0)"


def of(layer: Any, reference: str | None = "int8") -> tuple[keras.Model, LayerEnergy]:
    inputs = keras.Input((4, 5, 6))
    model = keras.Model(inputs, layer(inputs))
    return model, qsearch.estimate_energy(model, reference=reference).layers[layer.name]


@pytest.mark.parametrize("group", [1, 3])
def test_depthwise_transposed(group: int) -> None:
    model, found = of(layers.QDepthwiseConv2DTranspose(6, 3, group, 2))
    products = 4 * 5 * 6 * 9 * group  # zeros that strides put in are not multiplied
    assert counts(read_model(model).nodes[1]).macs == found.operations == products
    assert found.op_cost == pytest.approx(products * (MUL8 + ADD32), abs=0.01)


def test_one_group_is_the_transposed_convolution() -> None:
    _, grouped = of(layers.QDepthwiseConv2DTranspose(6, 3, 6, depthwise_kernel_quantizer=BITS1), None)
    _, whole = of(layers.QConv2DTranspose(6, 3, kernel_quantizer=BITS1, use_bias=False), None)
    assert (grouped.op_cost, grouped.parameters, grouped.outputs) == (whole.op_cost, whole.parameters, whole.outputs)
    assert grouped.accumulator_format == whole.accumulator_format == fixed(8 + 4 - 1 + 6, 6)


def test_separable_transposed() -> None:
    model, found = of(
        layers.QSeparableConv2DTranspose(
            *(2, 3, 2, "same"),
            depthwise_activation="quantized_bits(6,2)",
            depthwise_kernel_quantizer=BITS1,
            pointwise_kernel_quantizer="quantized_bits(4,1)",
            bias_quantizer=BITS1,
        ),
        None,
    )
    first, second = 4 * 5 * 6 * 9, 8 * 10 * 2 * 6
    assert counts(read_model(model).nodes[1]).macs == found.operations == first + second
    process = PROCESSES["horowitz"]
    before = multiply(fixed(4, 0), fixed(8, 0))
    after = multiply(fixed(4, 1), fixed(6, 2))  # the activation in between is what the second one reads
    sums, total = fixed(before.output.bits + 4, 4), fixed(12 + 1, 3 + 3 + 1)
    assert found.accumulator_format == total
    assert found.op_cost == pytest.approx(
        first * (operation_energy(before, before.output, process) + addition_energy(sums, process))
        + second * (operation_energy(after, after.output, process) + addition_energy(total, process)),
        abs=0.01,
    )


def test_one_product_and_one_sum_for_each_value() -> None:
    _, found = of(layers.QScaleShift(BITS1, "quantized_bits(8,2)"), None)
    process, product = PROCESSES["horowitz"], multiply(fixed(4, 0), fixed(8, 0))
    assert found.accumulator_format == found.output_format == fixed(14, 3)
    each = operation_energy(product, product.output, process) + addition_energy(fixed(14, 3), process)
    assert found.op_cost == pytest.approx(4 * 5 * 6 * each, abs=0.01)
    _, without = of(layers.QScaleShift(BITS1, use_bias=False), None)
    assert without.output_format == product.output
    _, reference = of(layers.QScaleShift())
    assert reference.op_cost == pytest.approx(120 * (MUL8 + ADD32), abs=0.01)


def test_effective_bit_operations() -> None:
    """All weights are 0.5, so each has one bit; the input has seven bits without its sign."""
    cases = (
        (layers.QDepthwiseConv2DTranspose(6, 3, 2, 2, depthwise_kernel_quantizer=BITS1), 20 * 9 * 6 * 2 * 7),
        (layers.QScaleShift(BITS1), 120 * 7),
    )
    for layer, expected in cases:
        model, _ = of(layer)
        layer.set_weights([0 * weight + 0.5 for weight in layer.get_weights()])
        report = qsearch.estimate_energy(model, reference=None)
        assert effective_bit_operations(model, read_model(model), report) == expected


def test_other_widths_before_them() -> None:
    def wider(layer: Any) -> Any:
        x = inputs = keras.Input((4, 5, 6))
        model = keras.Model(inputs, layer(keras.layers.Conv2D(4, 1, name="c")(x)))
        return with_filters(read_model(model), QuantizationPlan({"c": LayerPlan(filters=8)})).nodes[-1]

    assert wider(layers.QScaleShift()).output_shape == (4, 5, 8)
    for kind in (layers.QDepthwiseConv2DTranspose, layers.QSeparableConv2DTranspose):
        with pytest.raises(ModelError, match="is not known; name the layers before it in tune_filters_exceptions"):
            wider(kind(2, 2))
