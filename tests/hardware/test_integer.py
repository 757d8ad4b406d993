"""The integer model gives what Keras gives, to the last bit where float32 is exact."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import keras
import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from integer_networks import NETWORKS, QUANTIZERS, layers, made, samples, small

from qsearch.errors import ExportError
from qsearch.hardware.integer.build import integer_model
from qsearch.hardware.integer.compare import compare, extremes
from qsearch.hardware.integer.formats import Format, dyadic, rounded_division
from qsearch.hardware.integer.operations import Thresholds, Uniform


def differing(model: keras.Model, count: int = 100) -> int:
    """Outputs that differ from Keras', on extreme, random and drawn inputs."""
    integers = integer_model(model)
    comparison = compare(model, integers, extremes(integers, count))
    return sum(comparison.keras_mismatches.values())


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("seed", [0, 1])
def test_networks(network: Any, seed: int) -> None:
    assert differing(made(network(), seed=seed)) == 0


@pytest.mark.parametrize(
    "kernel",
    [
        "binary",
        "binary(alpha=1.0)",
        "ternary",
        "stochastic_ternary",
        "quantized_bits(4,0,1)",
        "quantized_bits(4,0,1,alpha='auto_po2')",
        "quantized_linear(4,0,1)",
        "quantized_po2(4,1)",
        "quantized_bits(2,1,1,alpha=0.5)",
    ],
)
def test_kernels(kernel: str) -> None:
    entries = {"QConv2D": {"kernel_quantizer": kernel}, "QDense": {"kernel_quantizer": kernel}}
    assert differing(made(small(), entries)) == 0


@pytest.mark.parametrize(
    ("activation", "rule"),
    [
        ("quantized_relu(4,2)", Uniform),
        ("quantized_bits(5,1,1)", Uniform),
        ("quantized_bits(4,1,0)", Uniform),
        ("quantized_bits(5,1,1,rounding='half_away')", Uniform),
        ("quantized_relu(8,2,relu_upper_bound=3.0)", Uniform),
        ("quantized_relu(4,2,negative_slope=0.25)", Thresholds),
        ("quantized_relu_po2(4,4)", Thresholds),
        ("quantized_hswish(6,2)", Thresholds),
        ("quantized_tanh(6)", Uniform),
        ("quantized_tanh(6,use_real_tanh=True)", Thresholds),
        ("binary", Thresholds),
        ("ternary", Thresholds),
    ],
)
def test_activations(activation: str, rule: type) -> None:
    model = made(small(), {"QActivation": {"relu": activation}})
    assert differing(model) == 0
    step = next(step for step in integer_model(model).steps if step.layer == "act")
    assert isinstance(step.operation, rule)


def test_scales_that_are_no_powers_of_two_are_told_as_inexact() -> None:
    model = made(small(), {"QConv2D": {"kernel_quantizer": "quantized_bits(4,0,1,alpha='auto')"}})
    integers = integer_model(model)
    assert "conv" in integers.inexact
    source = integers.sources[0]
    inputs = {source.name: samples(model)}
    expected = model.predict(source.form.values(source.codes(inputs[source.name])).astype("float32"), verbose=0)
    found = next(iter(integers.predict(inputs).values()))
    assert numpy.mean(numpy.abs(found - expected) > 1e-4) < 0.02  # a level of an activation may tip


def test_a_dead_channel() -> None:
    model = made(small())
    kernel = numpy.asarray(model.get_layer("conv").kernel).copy()
    kernel[..., 1] = 0
    model.get_layer("conv").kernel.assign(kernel)
    assert differing(model) == 0


def test_folded_layers() -> None:
    x = inputs = keras.Input((8, 8, 2))
    x = layers.BatchNormalization(name="bn")(layers.Conv2D(4, 3, name="conv", use_bias=False)(x))
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(layers.Activation("relu")(x))))
    entries: dict[str, Any] = {"QConv2DBatchnorm": QUANTIZERS["QConv2D"], "QConv2D": QUANTIZERS["QConv2D"]}
    quantized = made(model, entries)
    assert differing(quantized) == 0


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: keras.Sequential([keras.Input((4,)), layers.Dense(2, name="d")]), "d: is no quantized layer"),
        (
            lambda: made(
                keras.Sequential([keras.Input((4,)), layers.Dense(2, name="d"), layers.Dense(2, name="e")]),
                {"d": {"bias_quantizer": "quantized_bits(4)", "kernel_quantizer": "quantized_bits(4)"}, "e": {}},
            ),
            "e: is no quantized layer|e: its kernel has no quantizer",
        ),
        (
            lambda: made(keras.Sequential([keras.Input((6, 2)), layers.Lambda(lambda x: x * 2, name="own")])),
            "own: ",
        ),
        (
            lambda: made(
                keras.Sequential(
                    [keras.Input((4,)), layers.Dense(2, name="d"), layers.Activation("elu", name="f"), layers.Dense(2)]
                )
            ),
            "f: elu gives real numbers, which .* computes with; put a quantizer behind it",
        ),
        (lambda: made(keras.Sequential([keras.Input((6, 2)), layers.LayerNormalization(name="n")])), "n: a LayerNorm"),
    ],
)
def test_what_is_no_integer_is_refused_with_its_layer(model: Any, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        integer_model(model())


@settings(max_examples=200, deadline=None)
@given(
    st.integers(-(2**40), 2**40),
    st.one_of(st.integers(1, 5000), st.integers(0, 70).map(lambda bits: 1 << bits)),
    st.booleans(),
)
def test_division_rounds_as_fractions_do(numerator: int, denominator: int, away: bool) -> None:
    found = int(rounded_division(numpy.array([numerator]), denominator, away)[0])
    exact = Fraction(numerator, denominator)
    rounded = int(abs(exact) + Fraction(1, 2))
    expected = (rounded if numerator >= 0 else -rounded) if away else round(exact)
    assert found == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-1e4, 1e4, width=32).filter(lambda v: v == 0 or abs(v) > 1e-3), min_size=1, max_size=8))
def test_floats_as_whole_numbers(values: list[float]) -> None:
    array = numpy.array(values, numpy.float32)
    try:
        codes, fraction = dyadic(array)
    except ExportError:
        return
    assert numpy.array_equal(numpy.ldexp(codes.astype(numpy.float64), -fraction), array.astype(numpy.float64))


def test_bits_of_formats() -> None:
    bits = [Format(fraction=0, least=low, greatest=high).bits for low, high in ((0, 1), (-1, 0), (-8, 7), (0, 15))]
    assert bits == [1, 1, 4, 4]
    assert Format(fraction=0, least=-1, greatest=1).bits == 2


def test_an_average_over_nine_is_told_as_inexact_where_nothing_rounds_it() -> None:
    x = inputs = keras.Input((3, 3, 2))
    x = layers.GlobalAveragePooling2D(name="mean")(layers.Activation("relu")(layers.Conv2D(4, 1)(x)))
    model = made(keras.Model(inputs, layers.Dense(2, name="last")(x)))
    integers = integer_model(model)
    assert integers.inexact == ("mean", "last")
    assert compare(model, integers, extremes(integers, 50)).largest_difference < 1e-5


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_shapes_are_those_that_the_operations_give(network: Any) -> None:
    integers = integer_model(made(network()))
    every = integers.run(extremes(integers, 0), every=True)
    assert {step.name: step.shape for step in integers.steps} == {
        step.name: every[step.name].shape[1:] for step in integers.steps
    }


def test_the_shape_of_the_sums_inside_a_separable_convolution() -> None:
    inputs = keras.Input((5, 5, 2))
    net = keras.Model(inputs, keras.layers.SeparableConv2D(5, 3, depth_multiplier=2, name="separable")(inputs))
    shapes = {step.name: step.shape for step in integer_model(made(net)).steps}
    assert shapes["separable:depthwise"] == (3, 3, 4)


def test_tensors_of_different_ranks_are_not_merged() -> None:
    """Keras puts axes behind the batch; numpy would put them before it."""
    inputs = [keras.Input((4,)), keras.Input((3, 4))]
    net = keras.Model(inputs, keras.layers.Add(name="sum")(inputs))
    with pytest.raises(ExportError, match="sum: merges tensors of different ranks"):
        integer_model(net)
