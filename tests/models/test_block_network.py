"""The block network: its layers under every option, against the golden architectures and by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import pytest
from golden_models import energies
from keras import layers

from qsearch.errors import ModelError
from qsearch.models.block_network import BlockNetwork
from qsearch.models.build import build_model

GOLDEN = ("mnist", "fashion_mnist", "cifar10")


def network(**options: Any) -> BlockNetwork:
    return BlockNetwork(**{"shape": (16, 16, 3), "num_classes": 10, "kernel_size": 3, "filters": (4, 8), **options})


def names(**options: Any) -> list[str]:
    return [layer.name for layer in network(**options).build().layers]


def as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def alike(found: Any, expected: Any) -> bool:
    """2 and (2, 2) are the same kernel size, strides or pool size."""
    found = as_list(found)
    return bool(found == expected or (isinstance(found, list) and found == [expected] * 2))


@pytest.mark.parametrize("name", GOLDEN)
def test_presets_are_the_golden_architectures(name: str) -> None:
    model = build_model(name)
    expected = energies()["archs"][name]["layers"]
    assert [layer.name for layer in model.layers] == [row[0] for row in expected]
    for layer, (layer_name, kind, options, sources) in zip(model.layers, expected, strict=True):
        if kind == "Input":
            assert list(layer.batch_shape[1:]) == options["shape"]
            continue
        assert type(layer) is getattr(layers, kind)
        config = layer.get_config()
        assert {key: config[key] for key in options if not alike(config[key], options[key])} == {}, layer_name
        assert [layer.input.name] == [model.get_layer(source).output.name for source in sources]
    assert [model.output.name] == [model.get_layer(last).output.name for last in energies()["archs"][name]["outputs"]]


def test_plain_blocks_with_pooling() -> None:
    assert names() == [
        "input",
        *("conv2d_0", "bn_0", "act_0", "mp_0"),
        *("conv2d_1", "bn_1", "act_1", "mp_1"),
        *("flatten", "dense", "softmax"),
    ]


def test_strides_stand_where_no_pooling_is() -> None:
    model = network(filters=(4, [8, 8]), with_maxpooling=False).build()
    strides = {layer.name: layer.strides for layer in model.layers if isinstance(layer, layers.Conv2D)}
    assert strides == {"conv2d_0": (2, 2), "conv2d_1_0": (1, 1), "conv2d_1_1": (2, 2)}
    assert not any(isinstance(layer, layers.MaxPooling2D) for layer in model.layers)
    pooled = network(filters=(4, [8, 8])).build()
    assert {layer.strides for layer in pooled.layers if isinstance(layer, layers.Conv2D)} == {(1, 1)}
    assert pooled.get_layer("flatten").output.shape == model.get_layer("flatten").output.shape == (None, 4 * 4 * 8)


def test_pooling_takes_the_name_of_the_last_convolution() -> None:
    assert names(filters=[4, [8, 8]], use_xnornet_trick=True, dropout_rate=0.1) == [
        "input",
        *("conv2d_0", "mp_0", "mp_bn_0", "mp_act_0", "drop_0"),
        *("conv2d_1_0", "bn_1_0", "act_1_0"),
        *("conv2d_1_1", "mp_1_1", "mp_bn_1_1", "mp_act_1_1", "drop_1_1"),
        *("flatten", "dense", "softmax"),
    ]


def test_the_trick_needs_pooling() -> None:
    assert names(with_maxpooling=False, use_xnornet_trick=True) == names(with_maxpooling=False)


def test_dsp_splits_each_kernel() -> None:
    model = network(filters=[4, [8, 8]], use_separable="dsp", with_maxpooling=False).build()
    assert [layer.name for layer in model.layers] == [
        "input",
        *("conv2d_13_0", "bn_13_0", "act_13_0", "conv2d_31_0", "bn_31_0", "act_31_0"),
        *("conv2d_13_1_0", "bn_13_1_0", "act_13_1_0", "conv2d_31_1_0", "bn_31_1_0", "act_31_1_0"),
        *("conv2d_13_1_1", "bn_13_1_1", "act_13_1_1", "conv2d_31_1_1", "bn_31_1_1", "act_31_1_1"),
        *("flatten", "dense", "softmax"),
    ]
    found = {layer.name: (layer.kernel_size, layer.strides) for layer in model.layers if "conv2d" in layer.name}
    assert found == {
        "conv2d_13_0": ((1, 3), (1, 1)),
        "conv2d_31_0": ((3, 1), (2, 2)),
        "conv2d_13_1_0": ((1, 3), (1, 1)),
        "conv2d_31_1_0": ((3, 1), (1, 1)),
        "conv2d_13_1_1": ((1, 3), (1, 1)),
        "conv2d_31_1_1": ((3, 1), (2, 2)),
    }


def test_dsp_with_the_trick_keeps_the_first_half_of_the_last_kernel() -> None:
    assert names(filters=[4, 8], use_separable="dsp", use_xnornet_trick=True)[1:8] == [
        *("conv2d_13_0", "bn_13_0", "act_13_0"),
        *("conv2d_31_0", "mp_0", "mp_bn_0", "mp_act_0"),
    ]


def test_mobilenet_strides_in_the_depthwise_half() -> None:
    model = network(use_separable="mobilenet", with_maxpooling=False).build()
    assert [layer.name for layer in model.layers][:7] == [
        "input",
        *("conv2d_dw_33_0", "conv2d_dw_bn_33_0", "conv2d_dw_act_33_0"),
        *("conv2d_11_0", "bn_11_0", "act_11_0"),
    ]
    depthwise, pointwise = model.get_layer("conv2d_dw_33_0"), model.get_layer("conv2d_11_0")
    assert isinstance(depthwise, layers.DepthwiseConv2D)
    assert (depthwise.strides, depthwise.use_bias, depthwise.kernel_size) == ((2, 2), False, (3, 3))
    assert (pointwise.strides, pointwise.use_bias, pointwise.kernel_size) == ((1, 1), False, (1, 1))


def test_without_batch_norm_convolutions_have_a_bias() -> None:
    model = network(use_separable="mobilenet", with_batchnorm=False, kernel_initializer="he_uniform").build()
    assert not any(isinstance(layer, layers.BatchNormalization) for layer in model.layers)
    biased = {layer.name: layer.use_bias for layer in model.layers if hasattr(layer, "use_bias")}
    assert biased == {
        "conv2d_dw_33_0": False,
        "conv2d_11_0": True,
        "conv2d_dw_33_1": False,
        "conv2d_11_1": True,
        "dense": True,
    }
    assert names(with_batchnorm=False)[:4] == ["input", "conv2d_0", "act_0", "mp_0"]


def test_the_trick_normalises_after_pooling_even_without_batch_norm() -> None:
    assert names(with_batchnorm=False, use_xnornet_trick=True)[:5] == [
        "input",
        "conv2d_0",
        "mp_0",
        "mp_bn_0",
        "mp_act_0",
    ]


def test_all_convolutions_end_with_flatten() -> None:
    model = network(all_conv=True, num_classes=7).build()
    assert [layer.name for layer in model.layers][-4:] == ["mp_1", "dense", "softmax", "flatten"]
    head = model.get_layer("dense")
    assert isinstance(head, layers.Conv2D)
    assert (head.filters, head.kernel_size, head.use_bias) == (7, (1, 1), True)
    assert model.output_shape == (None, 4 * 4 * 7)


def test_one_block_has_no_number() -> None:
    assert names(filters=[4], dropout_rate=0.5)[1:6] == ["conv2d_", "bn_", "act_", "mp_", "drop_"]
    assert names(filters=[4], use_separable="dsp")[1:5] == ["conv2d_13_", "bn_13_", "act_13_", "conv2d_31_"]
    assert names(filters=[[4, 8]])[1:5] == ["conv2d_0", "bn_0", "act_0", "conv2d_1"]


def test_initializers_reach_kernels_biases_and_offsets() -> None:
    model = network(kernel_initializer="he_uniform", bias_initializer="ones", use_xnornet_trick=True).build()
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D | layers.Dense):
            assert isinstance(layer.kernel_initializer, keras.initializers.HeUniform)
            assert isinstance(layer.bias_initializer, keras.initializers.Ones)
        if isinstance(layer, layers.BatchNormalization):
            assert isinstance(layer.beta_initializer, keras.initializers.Ones)


@pytest.mark.parametrize("nothing", [False, "none"])
def test_two_ways_to_say_not_separable(nothing: Any) -> None:
    assert names(use_separable=nothing) == names()


def test_lists_become_tuples_and_options_are_frozen() -> None:
    listed = network(shape=[16, 16, 3], filters=[4, [8, 8]])
    assert listed == network(filters=(4, (8, 8)))
    assert hash(listed) == hash(network(filters=(4, (8, 8))))
    with pytest.raises(dataclasses.FrozenInstanceError):
        listed.num_classes = 3  # type: ignore[misc]


def test_as_many_poolings_as_the_image_bears() -> None:
    assert network(shape=(28, 31, 1), filters=[2] * 4).build().get_layer("mp_3").output.shape == (None, 1, 1, 2)
    assert network(shape=(2, 2, 1), filters=[2] * 5, with_maxpooling=False).build().count_params() > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"use_separable": "mobilnet"},
            "use_separable: found 'mobilnet', allowed: False, none, dsp, mobilenet; did you mean 'mobilenet'?",
        ),
        ({"use_separable": True}, "use_separable: found True, allowed: False, none, dsp, mobilenet"),
        (
            {"use_separable": "dsp", "kernel_size": 1},
            "use_separable: 'dsp' cannot split a kernel of kernel_size 1; use 'none'",
        ),
        *(
            (
                {"filters": filters},
                f"filters: found {filters!r}, expected one or more blocks, each a number >= 1 or a list of them",
            )
            for filters in ([], [[]], [0], [4, -1], [4, [8, 0]], 16, "16", [1.5], [True], [4, "8"], [[[4]]], None)
        ),
        *(
            ({"dropout_rate": rate}, f"dropout_rate: found {rate!r}, allowed: 0 <= rate < 1")
            for rate in (1, -0.1, float("nan"), "0.2")
        ),
        *(
            ({"kernel_size": size}, f"kernel_size: found {size!r}, expected a whole number >= 1")
            for size in (0, 2.5, (3, 3), True)
        ),
        ({"num_classes": 0}, "num_classes: found 0, expected a whole number >= 1"),
        *(
            ({"shape": shape}, f"shape: found {shape!r}, expected height, width and channels, each >= 1")
            for shape in ((16, 16), (16, 16, 0), 16, (16, None, 3))
        ),
        (
            {"filters": [4] * 5},
            "filters: 5 blocks with max pooling halve an image of 16x16 to nothing; at most 4 fit",
        ),
        (
            {"shape": (64, 7, 1), "filters": [4] * 3},
            "filters: 3 blocks with max pooling halve an image of 64x7 to nothing; at most 2 fit",
        ),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError) as caught:
        network(**options)
    assert str(caught.value) == message
