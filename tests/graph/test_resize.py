"""Widths of a plan applied to a graph: the same as building the Keras model with them."""

from __future__ import annotations

import random
from dataclasses import replace

import keras
import pytest
from golden_models import graph_of
from keras_models import build

from qsearch.errors import ModelError
from qsearch.graph import operations as ops
from qsearch.graph.from_keras import read_model
from qsearch.graph.model_graph import ModelGraph, Node
from qsearch.graph.resize import with_filters
from qsearch.plan import LayerPlan, QuantizationPlan

WIDTHS: dict[str, tuple[str, ...]] = {
    "mnist": ("conv2d_0", "conv2d_1", "conv2d_2", "conv2d_3", "conv2d_4", "dense"),
    "mlp": ("d0", "d1", "d2"),
    "seq_mlp": ("d0",),
    "concat": ("c0", "c1", "c2", "c3", "d"),
    "dsconv": ("pw0", "pw1", "d"),
    "avgpool": ("c0", "c1", "d"),
    "multi_in": ("c0", "dv", "d"),
}
"""Layers whose width may change without touching another's."""


def plan(widths: dict[str, int]) -> QuantizationPlan:
    return QuantizationPlan({name: LayerPlan(filters=filters) for name, filters in widths.items()})


def parts(graph: ModelGraph) -> dict[str, Node]:
    return {node.name: replace(node, weights={}) for node in graph.nodes}


def weights(graph: ModelGraph) -> dict[str, dict[str, tuple[int, ...]]]:
    return {node.name: dict(node.weights) for node in graph.nodes}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", WIDTHS)
def test_as_if_built_with_these_filters(name: str, seed: int) -> None:
    draw = random.Random(f"{name} {seed}")
    widths = {layer: draw.randint(1, 20) for layer in WIDTHS[name] if draw.random() < 0.8}
    resized, rebuilt = with_filters(read_model(build(name)), plan(widths)), read_model(build(name, widths))
    assert parts(resized) == parts(rebuilt)
    assert weights(resized) == weights(rebuilt)


def test_a_reshape_that_only_adds_axes_follows() -> None:
    found = parts(with_filters(read_model(build("valid_conv")), plan({"c1": 5})))
    assert found["rs"].output_shape == (1, 1, found["fl"].output_shape[0])
    assert found["d"].input_shapes == (found["rs"].output_shape,)


def test_a_reshape_that_mixes_channels_does_not() -> None:
    inputs = keras.Input((4, 4, 2))
    x = keras.layers.Reshape((2, 16), name="mix")(keras.layers.Conv2D(2, 1, name="c")(inputs))
    graph = read_model(keras.Model(inputs, keras.layers.Dense(3, name="d")(x)))
    with pytest.raises(ModelError, match="layer 'mix': cannot reshape"):
        with_filters(graph, plan({"c": 3}))


def test_layers_that_add_up_change_together() -> None:
    widths = {"c0": 5, "c1": 3, "c2": 5}
    resized, rebuilt = with_filters(read_model(build("resnet")), plan(widths)), read_model(build("resnet", widths))
    assert parts(resized) == parts(rebuilt)
    assert weights(resized) == weights(rebuilt)


def test_a_plan_without_filters_leaves_the_graph_alone() -> None:
    graph = graph_of("mnist")
    assert with_filters(graph, QuantizationPlan({"conv2d_0": LayerPlan()})) == graph


@pytest.mark.parametrize(
    ("name", "widths", "words"),
    [
        ("resnet", {"c0": 5}, r"layer 'add'.*equal widths.*bn2 \(16, 16, 8\) and a0 \(16, 16, 5\)"),
    ],
)
def test_widths_that_do_not_fit(name: str, widths: dict[str, int], words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        with_filters(graph_of(name), plan(widths))
    assert "tune_filters_exceptions" in str(caught.value)


def chain(last: Node) -> ModelGraph:
    source = Node(
        name="in",
        layer="in",
        class_name="InputLayer",
        operation=ops.Input(),
        inputs=(),
        input_shapes=(),
        output_shape=(8, 8, 4),
    )
    first = ops.Convolution(filters=4, kernel_size=(1, 1), use_bias=False)
    conv = Node(
        name="c",
        layer="c",
        class_name="Conv2D",
        operation=first,
        inputs=("in",),
        input_shapes=((8, 8, 4),),
        output_shape=(8, 8, 4),
        weights={"kernel": (1, 1, 4, 4)},
    )
    return ModelGraph("chain", (source, conv, last), (last.name,))


def test_an_unknown_layer_does_not_follow() -> None:
    stranger = Node(
        name="s",
        layer="s",
        class_name="Stranger",
        operation=ops.Unknown("Stranger"),
        inputs=("c",),
        input_shapes=((8, 8, 4),),
        output_shape=(8, 8, 4),
    )
    with pytest.raises(ModelError, match=r"layer 's': what a Stranger layer does.*tune_filters_exceptions"):
        with_filters(chain(stranger), plan({"c": 6}))


def test_groups_must_divide_channels() -> None:
    grouped = ops.Convolution(filters=4, kernel_size=(1, 1), use_bias=False, groups=4)
    node = Node(
        name="g",
        layer="g",
        class_name="Conv2D",
        operation=grouped,
        inputs=("c",),
        input_shapes=((8, 8, 4),),
        output_shape=(8, 8, 4),
        weights={"kernel": (1, 1, 1, 4)},
    )
    assert dict(with_filters(chain(node), plan({"c": 8, "g": 4})).nodes[2].weights) == {"kernel": (1, 1, 2, 4)}
    with pytest.raises(
        ModelError, match=r"layer 'g': 6 input channels and 4 filters are not multiples of its 4 groups"
    ):
        with_filters(chain(node), plan({"c": 6}))
