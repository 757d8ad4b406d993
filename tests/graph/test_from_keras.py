"""Keras models -> graphs."""

from __future__ import annotations

import re
from typing import Any

import keras
import pytest
from golden_models import graph_of
from keras import layers
from keras_models import FLOAT_ARCHITECTURES, build

from qsearch.errors import ModelError
from qsearch.graph import operations as ops
from qsearch.graph.from_keras import read_model, read_plan
from qsearch.graph.model_graph import Node
from qsearch.layers import QActivation, QBatchNormalization, QConv2D, QDense, QDepthwiseConv2D
from qsearch.plan import Role
from qsearch.quantizers import parse


def facts(node: Node) -> tuple[Any, ...]:
    kind = node.class_name.removesuffix("Layer")
    return (node.name, kind, node.operation, node.inputs, node.input_shapes, node.output_shape, dict(node.weights))


@pytest.mark.parametrize("name", FLOAT_ARCHITECTURES)
def test_a_keras_model_gives_the_graph_of_its_description(name: str) -> None:
    found, expected = read_model(build(name)), graph_of(name)
    assert {node.name: facts(node) for node in found.nodes} == {node.name: facts(node) for node in expected.nodes}
    assert found.outputs == expected.outputs
    seen: set[str] = set()
    for node in found.nodes:
        assert set(node.inputs) <= seen, "producers come first"
        seen.add(node.name)


def quantized() -> keras.Model:
    x = inputs = keras.Input((8, 8, 3), name="in")
    x = QConv2D(4, 3, kernel_quantizer="ternary", bias_quantizer="quantized_bits(4,0,1)", name="c")(x)
    x = QBatchNormalization(gamma_quantizer="quantized_relu_po2(4)", name="bn")(x)
    x = QActivation("quantized_relu(3,1)", name="a")(x)
    x = QDepthwiseConv2D(3, depthwise_quantizer="binary", use_bias=False, name="dw")(x)
    x = layers.Flatten(name="fl")(x)
    x = QDense(2, kernel_quantizer="quantized_po2(4)", activation="quantized_relu(2)", name="d")(x)
    return keras.Model(inputs, x, name="q")


def test_quantized_layers_are_the_same_operations() -> None:
    kinds = {node.name: type(node.operation) for node in read_model(quantized()).nodes}
    assert kinds["c"] is ops.Convolution
    assert kinds["bn"] is ops.BatchNormalization
    assert kinds["a"] is ops.Activation
    assert kinds["dw"] is ops.DepthwiseConvolution
    weights = {node.name: dict(node.weights) for node in read_model(quantized()).nodes}
    assert weights["c"] == {"kernel": (3, 3, 3, 4), "bias": (4,)}
    assert weights["dw"] == {"kernel": (3, 3, 4, 1)}
    assert set(weights["bn"]) == {"gamma", "beta", "moving_mean", "moving_variance"}


def test_plans_of_quantized_layers() -> None:
    plan = read_plan(quantized())
    assert set(plan) == {"c", "bn", "a", "dw", "d"}
    assert plan.layers["c"].quantizers[Role.BIAS] == parse("quantized_bits(4,0,1)")
    assert plan.layers["a"].quantizers == {Role.ACTIVATION: parse("quantized_relu(3,1)")}
    assert plan.layers["dw"].quantizers[Role.KERNEL] == parse("binary")
    assert plan.layers["d"].quantizers[Role.ACTIVATION] == parse("quantized_relu(2)")
    assert plan.layers["bn"].quantizers[Role.GAMMA] == parse("quantized_relu_po2(4)")


def test_a_float_model_has_no_plan() -> None:
    assert not read_plan(build("mlp")).layers


def test_each_call_of_a_shared_layer_is_a_node() -> None:
    inputs, dense = keras.Input((4,), name="in"), layers.Dense(4, name="d")
    graph = read_model(keras.Model(inputs, dense(dense(inputs)), name="shared"))
    calls = [node for node in graph.nodes if node.layer == "d"]
    assert [node.name for node in calls] == ["d", "d:1"]
    assert [node.inputs for node in calls] == [("in",), ("d",)]
    assert graph.outputs == ("d:1",)


def test_a_merge_may_read_one_tensor_twice() -> None:
    inputs = keras.Input((4,), name="in")
    graph = read_model(keras.Model(inputs, layers.Add(name="twice")([inputs, inputs])))
    assert graph.nodes[-1].inputs == ("in", "in")
    assert graph.nodes[-1].input_shapes == ((4,), (4,))


def test_several_inputs_and_outputs_keep_their_order() -> None:
    first, second = keras.Input((3,), name="first"), keras.Input((5,), name="second")
    joined = layers.Concatenate(name="cat")([second, first])
    graph = read_model(keras.Model([first, second], [layers.Dense(2, name="out")(joined), joined]))
    assert [node.name for node in graph.nodes][:2] == ["first", "second"]
    assert graph.outputs == ("out", "cat")


def test_a_sequential_model_with_its_input_told_late() -> None:
    model = keras.Sequential([layers.Dense(3, name="d"), layers.Dropout(0.5, name="r")])
    model.build((None, 4))
    graph = read_model(model)
    assert [type(node.operation) for node in graph.nodes][-1] is ops.Idle
    assert graph.nodes[1].weights == {"kernel": (4, 3), "bias": (3,)}


def test_custom_subclasses_are_read_by_type_and_strangers_are_unknown() -> None:
    class KernelBias(layers.Conv2D):
        """A name that holds other names."""

    class Stranger(layers.Layer):
        def call(self, x: Any) -> Any:
            return x * 2

    inputs = keras.Input((6, 6, 1))
    graph = read_model(keras.Model(inputs, Stranger(name="debias_0")(KernelBias(2, 3, name="k")(inputs))))
    assert isinstance(graph.nodes[1].operation, ops.Convolution)
    assert graph.nodes[2].operation == ops.Unknown("Stranger")


class Subclassed(keras.Model):
    def call(self, x: Any) -> Any:
        return x


def nested() -> keras.Model:
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="d"), layers.ReLU(name="r")], name="inner")
    middle_in = keras.Input((4,))
    middle = keras.Model(middle_in, [inner(middle_in), layers.Dense(2, name="d")(middle_in)], name="middle")
    inputs = keras.Input((4,), name="in")
    first, second = middle(inputs)
    return keras.Model(inputs, [layers.Add(name="add")([inner(first), inputs]), second], name="outer")


def test_nested_models_are_entered() -> None:
    graph = read_model(nested())
    assert {node.name: node.inputs for node in graph.nodes} == {
        "in": (),
        "middle/inner/d": ("in",),
        "middle/inner/r": ("middle/inner/d",),
        "middle/d": ("in",),
        "middle/inner/d:1": ("middle/inner/r",),
        "middle/inner/r:1": ("middle/inner/d:1",),
        "add": ("middle/inner/r:1", "in"),
    }
    assert graph.outputs == ("add", "middle/d")
    assert {node.layer for node in graph.nodes} >= {"middle/inner/d", "middle/d"}


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda: keras.Sequential([layers.Dense(3)], name="s"), "s: has no input shape; add keras.Input"),
        (lambda: Subclassed(name="sub"), "sub: is a subclassed model"),
        (lambda: keras.Sequential([keras.Input((None, 3)), layers.Dense(3, name="d")]), r"every size except the batch"),
        (
            lambda: keras.Sequential([keras.Input((0, 4), name="i"), layers.Dense(3, name="d")]),
            r"layer 'i': has shape \(None, 0, 4\), with a size of zero",
        ),
    ],
    ids=["unbuilt", "subclassed", "open shape", "zero"],
)
def test_models_that_cannot_be_read(model: Any, words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        read_model(model())
    assert not re.search(r"Traceback|0x[0-9a-f]+", str(caught.value))
