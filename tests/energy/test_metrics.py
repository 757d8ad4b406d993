"""MACs, bits, memory and intensity of small models, counted by hand."""

from __future__ import annotations

import keras
import numpy
import pytest
from keras import layers

import qsearch
from qsearch.energy.ebops import most_effective_bit_operations
from qsearch.energy.estimate import EnergySettings, price_plan, price_reference
from qsearch.energy.metrics import model_metrics
from qsearch.graph.from_keras import read_model, read_plan
from qsearch.hardware.ebops import effective_bit_operations
from qsearch.layers import QActivation, QConv2D, QDense
from qsearch.plan import QuantizationPlan


def residual() -> keras.Model:
    inputs = keras.Input((4, 4, 2), name="in")
    x = layers.Conv2D(2, 3, padding="same", use_bias=False, name="c")(inputs)
    x = layers.Dropout(0.5, name="drop")(x)
    x = layers.Add(name="add")([x, inputs])
    x = layers.Flatten(name="flat")(x)
    return keras.Model(inputs, layers.Dense(3, name="d")(x))


def test_of_a_float_model() -> None:
    graph = read_model(residual())
    report = price_reference(graph, EnergySettings())
    found = model_metrics(graph, QuantizationPlan(), report)
    conv, dense = 16 * 2 * 18, 32 * 3
    assert found.macs == conv + dense
    # the convolution reads 8-bit inputs, the dense layer 32-bit sums
    assert found.bops == conv * 64 + dense * 8 * 32
    assert found.parameter_bits == (36 + 96 + 3) * 8
    assert found.weight_bytes == 135
    assert found.activation_bits == (32 + 32 + 32 + 3) * 32
    # Add: its 8-bit input, the convolution's 32-bit output (dropout is the same memory) and its own
    assert found.peak_activation_bytes == (32 * 8 + 32 * 32 + 32 * 32) // 8
    assert (found.footprint.weights_packed, found.footprint.weights) == (135, 135)
    # the sum takes the convolution's place; dropout reads it, so that it is not in place of it
    assert found.footprint.activations == 32 + 128 + 128
    moved = found.weight_bytes + (32 + 128) + (128 + 32 + 128) + (128 + 128) + (128 + 12)
    assert found.intensity == pytest.approx(2 * found.macs / moved)


def test_of_a_quantized_model_and_its_effective_bit_operations() -> None:
    inputs = keras.Input((3,))
    x = QActivation("quantized_relu(4,2)", name="a")(inputs)
    x = QDense(2, kernel_quantizer="quantized_bits(4,0,1,alpha=1.0)", bias_quantizer="quantized_bits(6,2)", name="d")(x)
    model = keras.Model(inputs, x)
    # codes 5 = 101, 4 = 1 (00), 0, -3 = 11, 7 = 111, 2 = 1 (0): 3 + 1 + 0 + 2 + 3 + 1 bits
    model.get_layer("d").set_weights([numpy.array([[5, 4], [0, -3], [7, 2]]) / 8.0, numpy.zeros(2)])
    graph, plan = read_model(model), read_plan(model)
    report = price_plan(graph, plan, EnergySettings())
    found = model_metrics(graph, plan, report)
    assert (found.macs, found.bops) == (6, 6 * 4 * 4)
    assert found.parameter_bits == 6 * 4 + 2 * 6
    assert effective_bit_operations(model, graph, report) == (3 + 1 + 0 + 2 + 3 + 1) * 4
    assert most_effective_bit_operations(graph, plan, report) == 6 * 3 * 4  # whatever the weights: 4 bits, one the sign


@pytest.mark.parametrize(
    ("kernel", "bits"),
    [("ternary", 1), ("binary", 1), ("quantized_po2(4,1)", 1), ("quantized_bits(8,0,1,alpha=1.0)", 7), (None, 32)],
)
def test_effective_bit_operations_are_at_most_what_formats_tell(kernel: str | None, bits: int) -> None:
    inputs = keras.Input((6, 6, 2))
    model = keras.Model(inputs, QConv2D(3, 3, use_bias=False, kernel_quantizer=kernel, name="c")(inputs))
    graph, plan = read_model(model), read_plan(model)
    report = price_plan(graph, plan, EnergySettings())
    most = most_effective_bit_operations(graph, plan, report)
    assert most == 54 * bits * 7 * 16  # weights, inputs of 8 bits with a sign, places
    found = effective_bit_operations(model, graph, report)
    assert found is not None
    assert most / 4 < found <= most


@pytest.mark.parametrize(("activation", "bits"), [("binary", 1), ("ternary", 1), ("quantized_relu(3,1)", 3)])
def test_effective_bit_operations_of_what_reads_signs(activation: str, bits: int) -> None:
    """+1 and -1 are one bit, as a weight and as an input."""
    inputs = keras.Input((3,))
    model = keras.Model(
        inputs,
        QDense(2, use_bias=False, kernel_quantizer="binary", name="d")(QActivation(activation, name="a")(inputs)),
    )
    graph, plan = read_model(model), read_plan(model)
    report = price_plan(graph, plan, EnergySettings())
    assert most_effective_bit_operations(graph, plan, report) == 6 * bits
    assert effective_bit_operations(model, graph, report) == 6 * bits


def test_of_recurrent_and_shared_layers() -> None:
    inputs = keras.Input((3, 5))
    model = keras.Model(inputs, layers.Bidirectional(layers.LSTM(2))(inputs))
    graph = read_model(model)
    found = model_metrics(graph, QuantizationPlan(), price_reference(graph, EnergySettings()))
    assert found.macs == 2 * 3 * (8 * 5 + 8 * 2)
    assert found.parameter_bits == model.count_params() * 8
    dense = layers.Dense(4)
    twice_in = keras.Input((4,))
    twice = keras.Model(twice_in, dense(dense(twice_in)))
    graph = read_model(twice)
    found = model_metrics(graph, QuantizationPlan(), price_reference(graph, EnergySettings()))
    assert (found.macs, found.parameter_bits) == (32, 20 * 8)


def test_of_the_mnist_preset() -> None:
    model = qsearch.build_model("mnist")
    graph = read_model(model)
    found = model_metrics(graph, QuantizationPlan(), price_reference(graph, EnergySettings()))
    report = qsearch.estimate_energy(model)
    assert found.macs == sum(report.layers[n].operations for n in report.layers if n.startswith(("conv", "dense")))
    assert found.weight_bytes == model.count_params() - 2 * (16 + 32 + 48 + 64 + 128)  # means and variances fold away


def test_memory_of_what_is_rounded_where_it_is_made() -> None:
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, padding="same", use_bias=False, name="c0")(inputs)
    first = layers.Activation("relu", name="a0")(layers.BatchNormalization(name="n0")(x))
    x = layers.Conv2D(4, 3, padding="same", use_bias=False, name="c1")(first)
    x = layers.Activation("relu", name="a2")(layers.Add(name="add")([layers.Activation("relu", name="a1")(x), first]))
    model = keras.Model(inputs, layers.Dense(2, use_bias=False, name="d")(layers.Flatten(name="flat")(x)))
    entry = {"kernel_quantizer": "quantized_bits(3,0,1,alpha=1.0)"}
    quantized = qsearch.quantize_model(
        model, {"QConv2D": entry, "QDense": entry, "QActivation": {"relu": "quantized_relu(4,1)"}}
    )
    graph, plan = read_model(quantized), read_plan(quantized)
    found = model_metrics(graph, plan, price_plan(graph, plan, EnergySettings()))
    weights = 9 * 4 + 9 * 4 * 4 + 256 * 2
    norm = 2 * 4  # gamma and beta, priced as int8
    assert found.footprint.weights_packed == (weights * 3 + 7) // 8 + norm
    assert found.footprint.weights == weights + norm
    # what the first activation and the second one give, a byte a value; no sum is stored
    assert found.footprint.activations == 256 + 256
    assert found.peak_activation_bytes > found.footprint.activations
