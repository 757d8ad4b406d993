"""Residual blocks found in graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import layers

from qsearch.graph.from_keras import read_model
from qsearch.graph.residual import residual_blocks
from qsearch.models import build_model


def conv(x: Any, name: str, filters: int = 4) -> Any:
    return layers.Conv2D(filters, 3, padding="same", name=name)(x)


def of(build: Callable[[Any], Any]) -> list[tuple[str, tuple[str, ...]]]:
    inputs = keras.Input((8, 8, 4), name="input")
    found = residual_blocks(read_model(keras.Model(inputs, build(inputs))))
    return [(block.merge, block.layers) for block in found]


def test_identity_and_convolution_blocks() -> None:
    blocks = residual_blocks(read_model(build_model("digits_resnet")))
    assert {block.merge: set(block.layers) for block in blocks} == {
        "res0_add": {"res0_conv0", "res0_bn0", "res0_act0", "res0_conv1", "res0_bn1"},
        "res1_add": {"res1_conv0", "res1_bn0", "res1_act0", "res1_conv1", "res1_bn1", "res1_shortcut"},
    }


def nested(x: Any) -> Any:
    a = conv(x, "a")
    b = layers.Add(name="inner")([conv(a, "b"), a])
    return layers.Add(name="outer")([conv(b, "c"), x])


def in_a_row(x: Any) -> Any:
    a = layers.Add(name="first")([conv(x, "a"), x])
    return layers.Add(name="second")([conv(a, "b"), a])


def three_branches(x: Any) -> Any:
    return layers.Add(name="sum")([conv(x, "a"), conv(x, "b"), x])


def crossed(x: Any) -> Any:
    a, b = conv(x, "a"), conv(x, "b")
    return layers.Multiply(name="product")([layers.Add(name="sum")([a, b]), layers.Subtract(name="difference")([a, b])])


def gated(x: Any) -> Any:
    a = conv(x, "a")
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="mean")(a)
    return layers.Multiply(name="gate")([conv(gate, "b"), a])


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (nested, [("inner", ("b",))]),
        (in_a_row, [("first", ("a",)), ("second", ("b",))]),
        (three_branches, [("sum", ("a", "b"))]),
        (crossed, [("sum", ("a", "b")), ("difference", ("a", "b"))]),
        (gated, [("gate", ("mean", "b"))]),
        (lambda x: layers.Concatenate()([conv(x, "a"), conv(x, "b")]), []),
        (lambda x: layers.Add(name="twice")([x, x]), []),
        (lambda x: conv(x, "a"), []),
    ],
)
def test_what_is_a_residual_block(build: Callable[[Any], Any], expected: list[tuple[str, tuple[str, ...]]]) -> None:
    assert of(build) == expected


def test_branches_of_two_inputs_have_no_fork() -> None:
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    out = layers.Add(name="sum")([layers.Dense(3, name="a")(left), layers.Dense(3, name="b")(right)])
    assert residual_blocks(read_model(keras.Model([left, right], out))) == ()
