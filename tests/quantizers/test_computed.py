"""Which quantizers stand for which activation function."""

from __future__ import annotations

import numpy
import pytest
import tensorflow as tf

from qsearch.functions import Function
from qsearch.quantizers import get, parse
from qsearch.quantizers.computed import automatic, candidates, computed, fitted, why_none

RELU = Function("relu")


@pytest.mark.parametrize(
    ("text", "function", "expected"),
    [
        ("quantized_relu(4,2)", RELU, "quantized_relu(4,2)"),
        ("quantized_relu(4,2)", Function("relu", upper=6.0), "quantized_relu(4,2)"),
        (
            "quantized_relu(8,4)",
            Function("relu", upper=6.0),
            "quantized_relu(8,4,relu_upper_bound=6.0,is_quantized_clip=False)",
        ),
        ("quantized_relu(4,2)", Function("relu", slope=0.125), "quantized_relu(4,2,negative_slope=0.125)"),
        ("quantized_relu(4,2,0,0.125)", Function("relu", slope=0.125), "quantized_relu(4,2,0,0.125)"),
        ("quantized_relu(4,2)", Function("relu", slope=0.3), None),
        ("quantized_relu(6,3,negative_slope=0.25)", RELU, None),
        ("quantized_relu_po2(4,4)", Function("relu", upper=6.0), "quantized_relu_po2(4,4)"),
        ("quantized_relu_po2(4,16)", Function("relu", upper=6.0), "quantized_relu_po2(4,4.0)"),
        ("binary", RELU, "binary"),
        ("binary", Function("relu", slope=0.5), None),
        ("quantized_bits(8,2)", RELU, "quantized_bits(8,2)"),
        ("quantized_hswish(8,2)", RELU, None),
        ("quantized_hswish(8,2)", Function("hard_silu"), "quantized_hswish(8,2)"),
        ("quantized_hswish(8,2)", Function("silu"), None),
        ("quantized_tanh(4)", Function("tanh"), "quantized_tanh(4)"),
        ("quantized_tanh(4)", RELU, None),
        ("quantized_sigmoid(4)", Function("sigmoid"), "quantized_sigmoid(4)"),
        ("quantized_relu(4,2)", Function("gelu"), None),
        ("quantized_bits(8,2)", Function("softmax"), None),
    ],
)
def test_a_quantizer_takes_over_what_a_function_is(text: str, function: Function, expected: str | None) -> None:
    found = fitted(parse(text), function)
    assert (None if found is None else str(found)) == expected


@pytest.mark.parametrize(
    "function",
    [RELU, Function("relu", 6.0), Function("relu", slope=0.125), Function("relu", 2.5, 0.25), Function("hard_silu")],
    ids=str,
)
@pytest.mark.parametrize("text", ["quantized_relu(8,4)", "quantized_relu(10,2)", "quantized_hswish(12,4)"])
def test_what_fits_computes_the_function(text: str, function: Function) -> None:
    """Up to its own rounding and the ends of its range."""
    spec = fitted(parse(text), function)
    if spec is None:
        return
    x = numpy.linspace(-3, 12, 301).astype("float32")
    bound = numpy.inf if function.upper is None else function.upper
    if function.name == "relu":
        expected = numpy.where(x < 0, function.slope * x, numpy.minimum(x, bound))
    else:
        expected = x * numpy.clip(x + 3, 0, 6) / 6
    quantizer = get(spec)
    assert quantizer is not None
    found = numpy.asarray(quantizer(tf.constant(x)))
    step, top = float(quantizer.step(tf.constant(x))), float(quantizer.max())
    assert numpy.abs(found - numpy.minimum(expected, top)).max() <= 1.01 * step


def test_of_some_candidates_those_that_compute_it_are_left() -> None:
    specs = [parse(text) for text in ("quantized_relu(4,2)", "quantized_hswish(8,2)", "quantized_tanh(4)")]
    assert [str(spec) for spec in candidates(specs, Function("hard_silu"))] == ["quantized_hswish(8,2)"]
    assert [str(spec) for spec in candidates(specs, RELU)] == ["quantized_relu(4,2)"]


def test_automatic_quantizers() -> None:
    assert str(automatic(RELU, 5)) == "quantized_relu(5)"
    assert str(automatic(Function("relu", slope=0.25), 5)) == "quantized_relu(5,negative_slope=0.25)"
    assert str(automatic(Function("tanh"), 5)) == "quantized_tanh(5)"
    assert automatic(Function("gelu"), 5) is None
    assert automatic(Function("relu", slope=0.3), 5) is None


def test_reasons() -> None:
    assert why_none(Function("relu", slope=0.3)) == "the slope 0.3 of its leaky relu is no power of two"
    assert "quantized_hswish does" in why_none(Function("hard_silu"))
    assert why_none(Function("mish")) == "no quantizer computes mish"


def test_what_a_quantizer_computes() -> None:
    assert computed(parse("quantized_relu(4,2,negative_slope=0.25)")) == Function("relu", slope=0.25)
    assert computed(parse("quantized_hswish(8,2)")) == Function("hard_silu")
    assert computed(parse("quantized_bits(8,2)")).is_linear
