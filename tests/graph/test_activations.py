"""An activation is known by what it computes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import pytest
import tensorflow as tf
from keras import layers, ops

from qsearch.functions import Function
from qsearch.graph.activations import affine, function_of, recognised
from qsearch.quantizers import get

RELU, RELU6 = Function("relu"), Function("relu", 6.0)


def clipped(x: Any) -> Any:
    return ops.clip(x, 0.0, 6.0)


def test_keras_names() -> None:
    found = {name: function_of(keras.activations.get(name)) for name in ("relu", "relu6", "tanh", "sigmoid", "linear")}
    assert found == {
        "relu": RELU,
        "relu6": RELU6,
        "tanh": Function("tanh"),
        "sigmoid": Function("sigmoid"),
        "linear": Function("linear"),
    }
    for name in ("hard_silu", "hard_swish"):
        assert function_of(keras.activations.get(name)) == Function("hard_silu")
    for name in ("silu", "gelu", "elu", "selu", "softplus", "softsign", "mish", "softmax", "hard_sigmoid"):
        assert function_of(keras.activations.get(name)) == Function(name)


@pytest.mark.parametrize(
    ("spelt", "expected"),
    [
        (layers.ReLU(), RELU),
        (layers.ReLU(6.0), RELU6),
        (layers.ReLU(negative_slope=0.125), Function("relu", slope=0.125)),
        (layers.ReLU(6.0, negative_slope=0.25), Function("relu", 6.0, 0.25)),
        (layers.LeakyReLU(negative_slope=0.5), Function("relu", slope=0.5)),
        (layers.Activation("relu"), RELU),
        (layers.ReLU(6.0, dtype="float16"), RELU6),
        (layers.Softmax(), Function("softmax")),
        (clipped, RELU6),
        (lambda x: ops.maximum(x, 0.0), RELU),
        (lambda x: ops.maximum(x, 0.125 * x), Function("relu", slope=0.125)),
        (tf.nn.relu, RELU),
        (tf.nn.relu6, RELU6),
        (lambda x: x * tf.sigmoid(x), Function("silu")),
        (lambda x: x * ops.relu6(x + 3) / 6, Function("hard_silu")),
        (functools.partial(ops.gelu, approximate=False), Function("gelu")),
        (functools.partial(ops.leaky_relu, negative_slope=0.25), Function("relu", slope=0.25)),
        (get("quantized_relu(4,2,negative_slope=0.25)"), Function("relu", slope=0.25)),
        (None, Function("linear")),
    ],
)
def test_other_spellings(spelt: Any, expected: Function) -> None:
    assert function_of(spelt) == expected


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x[:, :1],
        lambda x: ops.mean(x, axis=-1, keepdims=True) * x,
        lambda x: tf.image.resize(x, (3, 3)),
        lambda x: 1 / 0,
    ],
)
def test_what_is_no_function_of_single_values(function: Callable[[Any], Any]) -> None:
    assert recognised(function) is None


def test_a_function_of_ones_own_has_its_own_name() -> None:
    def squared(x: Any) -> Any:
        return x * x

    assert function_of(squared) == Function("squared")
    assert function_of(layers.ReLU(threshold=1.0)) == Function("a relu with threshold 1")


def test_a_guard_of_a_root_is_no_relu() -> None:
    def guarded(x: Any) -> Any:
        return ops.maximum(x, 1e-7)

    assert function_of(guarded) == Function("guarded")


def test_lines() -> None:
    assert affine(lambda x: x / 4 - 1, 2) == (0.25, -1)
    assert affine(lambda x: x, 3) == (1, 0)
    assert affine(ops.relu, 2) is None
