"""What is said of a shape before anything is made is what the quantizer does with it."""

from __future__ import annotations

import numpy
import pytest
import tensorflow as tf

from qsearch.errors import ConfigError
from qsearch.quantizers import get, parse
from qsearch.quantizers.shapes import has_a_say, misfit

SHAPES = ((6,), (1,), (4, 6), (3, 3, 2, 4), (3, 3, 4, 1))
TEXTS = (
    "quantized_bits(4,0,1,alpha=[1.0,2.0])",
    "quantized_bits(4,0,1,alpha=[1.0,2.0,3.0,4.0])",
    "quantized_bits(4,0,1,alpha=[1.0])",
    "quantized_bits(4,0,1,alpha=[[1.0],[2.0],[3.0],[4.0]])",
    "quantized_linear(4,alpha=[[[[0.5,1.0,2.0,4.0]]]])",
    "binary(alpha=[1.0,2.0,1.0,1.0,1.0,1.0])",
    "ternary(alpha=[1.0,2.0,3.0])",
    "quantized_bits(4,0,1,alpha='auto_po2',scale_axis=1,elements_per_scale=2)",
    "quantized_bits(4,0,1,alpha='auto_po2',scale_axis=-1,elements_per_scale=3)",
    "binary(alpha='auto',scale_axis=[0,1],elements_per_scale=[2,3])",
    "binary(alpha='auto',scale_axis=[0,-1])",
    "quantized_bits(4,0,1,alpha='auto',scale_axis=3)",
    "quantized_linear(4,alpha='auto',scale_axis=2)",
    "quantized_bits(4,alpha='auto',post_training_scale=[[0.5,1.0,2.0,4.0,1.0,1.0]])",
    "quantized_bits(4,0,1,scale_axis=3)",
    "binary(alpha=0.5,scale_axis=4)",
    "binary(use_01=True,scale_axis=1)",
    "quantized_bits(4,0,1)",
)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("text", TEXTS)
def test_what_is_said_is_what_happens(text: str, shape: tuple[int, ...]) -> None:
    quantizer = get(text)
    assert quantizer is not None
    kernel = quantizer.for_weights()
    said = misfit(parse(text), shape, scales_itself=True)
    x = tf.constant(numpy.random.default_rng(0).normal(size=shape), tf.float32)
    try:
        works = kernel(x).shape == shape
    except (ConfigError, tf.errors.InvalidArgumentError, ValueError):
        works = False
    if len(shape) == 1 and said is not None and "scale_axis" in said:
        return  # it is ignored, and nobody who writes it means that
    assert (said is None) == works, said
    assert has_a_say(parse(text)) or said is None


_FOUND = "alpha has 3 values along axis 3, which has"
_GROUPS = "binary(alpha=auto,scale_axis=0,elements_per_scale=5)"
_BATCH = "binary(alpha=auto,scale_axis=-1,elements_per_scale=2)"


@pytest.mark.parametrize(
    ("text", "shape", "told"),
    [
        ("binary(alpha=[1,2,3])", (3, 3, 1, 4), f"{_FOUND} 4 entries; allowed: 1 or 4"),
        ("binary(alpha=[1,2,3])", (3, 3, 4, 1), f"{_FOUND} 1 entries; allowed: 1"),
        ("binary(alpha=[[1,2]])", (2,), "alpha has 2 axes, more than the 1 of the tensor"),
        ("binary(alpha=[1,2,3])", (None, 3, 3, None), f"{_FOUND[:-4]} has no fixed length; allowed: 1"),
        ("binary(alpha=auto,scale_axis=5)", (8, 4), "scale_axis: found 5, of 2 axes: -2 to 1 are allowed"),
        ("binary(alpha=auto,scale_axis=[1,-1])", (8, 4), "scale_axis: found [1, -1], which names an axis twice"),
        (_GROUPS, (8, 4), "elements_per_scale: axis 0 has 8 entries, no multiple of 5, allowed: 1, 2, 4, 8"),
        (_BATCH, (None, 8), "elements_per_scale is for weights: it needs axes whose lengths are known; leave it out"),
    ],
)
def test_words(text: str, shape: tuple[int | None, ...], told: str) -> None:
    assert misfit(parse(text), shape) == told


def test_an_axis_that_a_tensor_does_not_have_is_refused_by_layers_too() -> None:
    quantizer = get("quantized_bits(4,0,1,alpha='auto',scale_axis=7)")
    assert quantizer is not None
    with pytest.raises(ConfigError, match="scale_axis: found 7, of 2 axes: -2 to 1 are allowed"):
        quantizer(tf.ones((2, 3)))
