"""Blocks that are suggested: whole parts of the network, and patterns that take exactly them."""

from __future__ import annotations

import re
from typing import Any

import keras
import pytest
from keras import layers
from keras_models import FLOAT_ARCHITECTURES, build

from qsearch.blocks.suggest import SuggestedBlock, suggest
from qsearch.graph.from_keras import read_model
from qsearch.graph.residual import residual_blocks
from qsearch.graph.walk import layers_by_path
from qsearch.models import MODELS, build_model


def suggested(model: keras.Model, *searched: type[keras.layers.Layer]) -> tuple[SuggestedBlock, ...]:
    kinds = searched or (layers.Conv2D, layers.Dense, layers.DepthwiseConv2D, layers.Activation)
    names = layers_by_path(model)
    chosen = [name for name, one in names.items() if isinstance(one, kinds) and name != "softmax"]
    return suggest(read_model(model), chosen, list(names))


def patterns(model: keras.Model, *searched: type[keras.layers.Layer]) -> list[str]:
    return [block.pattern for block in suggested(model, *searched)]


def test_the_seeds_blocks_are_found_again() -> None:
    assert patterns(build_model("mnist")) == ["^.*_0$", "^.*_1$", "^.*_2$", "^.*_3$", "^.*_4$", "^dense$"]


def test_residual_blocks_are_whole() -> None:
    model = build_model("resnet8", filters=[[16, 16], 32])
    assert patterns(model) == ["^stem_", "^res0_0_", "^res0_1_", "^res1_", "^dense$"]
    blocks = suggested(model)
    assert blocks[3].layers[-3:] == ("res1_act1", "pool", "flatten")


@pytest.mark.parametrize("name", [*MODELS, *FLOAT_ARCHITECTURES])
def test_patterns_take_all_searched_layers_once_and_split_no_residual_block(name: str) -> None:
    model = build_model(name) if name in MODELS else build(name)
    names = list(layers_by_path(model))
    kinds = (layers.Conv2D, layers.Dense, layers.DepthwiseConv2D)
    searched = [name for name, layer in layers_by_path(model).items() if isinstance(layer, kinds)]
    found = suggested(model, *kinds)
    for name in searched:
        assert [block.layers.count(name) for block in found if re.match(block.pattern, name)] == [1]
    for residual in residual_blocks(read_model(model)):
        owners = {block.pattern for block in found for name in residual.layers if name in block.layers}
        assert len(owners) <= 1
    assert all(name in names for block in found for name in block.layers)


def chain(*made: Any, shape: tuple[int, ...] = (16, 16, 3)) -> keras.Model:
    return keras.Sequential([keras.Input(shape, name="in"), *made])


def conv(name: str, **options: Any) -> Any:
    return layers.Conv2D(4, 3, padding="same", name=name, **options)


def test_convolutions_of_one_size_are_together_three_at_most() -> None:
    model = chain(conv("a"), conv("b"), layers.MaxPooling2D(name="p"), *(conv(f"c{n}") for n in range(4)))
    assert [block.layers for block in suggested(model)] == [("a", "b", "p"), ("c0", "c1", "c2"), ("c3",)]


def test_a_depthwise_convolution_goes_with_the_one_behind_it() -> None:
    pairs = [
        (
            layers.DepthwiseConv2D(3, strides=2 if n == 1 else 1, padding="same", name=f"d{n}"),
            layers.BatchNormalization(name=f"n{n}"),
            layers.Conv2D(4, 1, name=f"p{n}"),
        )
        for n in range(3)
    ]
    model = chain(*(layer for pair in pairs for layer in pair))
    assert [block.layers for block in suggested(model)] == [
        ("d0", "n0", "p0", "d1", "n1", "p1"),
        ("d2", "n2", "p2"),
    ]


def test_dense_layers_are_blocks_of_their_own() -> None:
    model = chain(layers.Dense(4, name="a"), layers.ReLU(name="r"), layers.Dense(4, name="b"), shape=(8,))
    assert [block.layers for block in suggested(model)] == [("a", "r"), ("b",)]


def test_residual_blocks_with_a_common_layer_are_one() -> None:
    inputs = keras.Input((8, 8, 4), name="in")
    a, b = conv("a")(inputs), conv("b")(inputs)
    both = [layers.Add(name="s")([a, b]), layers.Subtract(name="t")([a, b])]
    found = suggested(keras.Model(inputs, conv("c")(layers.Concatenate(name="j")(both))))
    assert [set(block.layers) for block in found] == [{"in", "a", "b", "s", "t", "j"}, {"c"}]


def test_blocks_without_a_searched_layer_are_left_out() -> None:
    assert patterns(build_model("mnist"), layers.Dense) == ["^dense$"]


def test_names_that_share_nothing_are_listed() -> None:
    model = chain(conv("one"), conv("two(2)"), layers.Flatten(name="flat"), layers.Dense(2, name="three"))
    found = patterns(model)
    assert found == [r"^(one|two\(2\)|flat)$", "^three$"]
    assert re.match(found[0], "two(2)")


def test_blocks_numbered_inside_share_a_pattern() -> None:
    model = chain(
        conv("c_0_0"), conv("c_0_1"), layers.MaxPooling2D(name="p_0_1"), conv("c_1_0"), layers.ReLU(name="r_1_1")
    )
    assert patterns(model) == [r"^.*_0_\d+$", r"^.*_1_\d+$"]
