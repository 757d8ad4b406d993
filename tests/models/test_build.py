"""Models by their registry names."""

from __future__ import annotations

from typing import Any

import keras
import numpy
import pytest

from qsearch.config import names
from qsearch.datasets import load_dataset
from qsearch.errors import ModelError
from qsearch.models import MODELS, build_model

SEPARABLE = {"use_separable": "mobilenet", "bias_initializer": "random_normal", "with_maxpooling": False}


def weights(**options: Any) -> list[numpy.ndarray]:
    return [numpy.asarray(weight) for weight in build_model("digits", **options).get_weights()]


def equal(a: list[numpy.ndarray], b: list[numpy.ndarray]) -> list[bool]:
    return [numpy.array_equal(x, y) for x, y in zip(a, b, strict=True)]


def test_registry_holds_the_names_of_the_configuration() -> None:
    assert tuple(MODELS) == names.MODELS


@pytest.mark.parametrize(
    ("name", "parameters", "trainable"),
    [
        ("mnist", 122_394, 121_818),
        ("fashion_mnist", 22_935, 21_845),
        ("cifar10", 69_009, 66_507),
        ("cifar100", 264_811, 259_493),
        ("digits", 24_282, 24_058),
        ("resnet8", 78_666, 78_186),  # as in MLPerf Tiny
        ("digits_resnet", 5_274, 5_162),
    ],
)
def test_parameters(name: str, parameters: int, trainable: int) -> None:
    model = build_model(name)
    assert model.name == name
    assert model.count_params() == parameters
    assert sum(int(numpy.prod(weight.shape)) for weight in model.trainable_weights) == trainable
    assert model.input_shape == (None, *MODELS[name].shape)
    assert model.output_shape == (None, MODELS[name].num_classes)


def test_options_change_the_preset_for_this_model_only() -> None:
    before = dict(MODELS)
    filters = [8, [16, 16]]
    model = build_model("digits", filters=filters, dropout_rate=0.0, with_batchnorm=False)
    assert [layer.name for layer in model.layers] == [
        *("input", "conv2d_0", "act_0", "conv2d_1_0", "act_1_0", "conv2d_1_1", "act_1_1"),
        *("flatten", "dense", "softmax"),
    ]
    assert filters == [8, [16, 16]]
    assert before == MODELS


def test_presets_fit_their_data_sets() -> None:
    digits = load_dataset("digits")
    assert MODELS["digits"].shape == digits.input_shape
    assert MODELS["digits"].num_classes == digits.num_classes


def test_digits_preset_learns() -> None:
    digits = load_dataset("digits")
    keras.utils.set_random_seed(0)
    model = build_model("digits")
    model.compile("adam", "categorical_crossentropy", metrics=["acc"])
    model.fit(digits.train.x, digits.train.y, batch_size=32, epochs=4, verbose=0)
    _, accuracy = model.evaluate(digits.test.x, digits.test.y, verbose=0)
    assert accuracy > 0.9


def test_layers_of_one_model_start_apart() -> None:
    model = build_model("digits", filters=[8, [8, 8, 8]])
    kernels = [numpy.asarray(model.get_layer(f"conv2d_1_{i}").kernel) for i in (1, 2)]
    assert not numpy.array_equal(*kernels)


def test_weights_follow_the_global_seed() -> None:
    keras.utils.set_random_seed(4)
    first = weights()
    second = weights()
    keras.utils.set_random_seed(4)
    assert all(equal(first, weights()))
    assert not all(equal(first, second))


OPTIONS = (
    "shape, num_classes, kernel_size, filters, dropout_rate, with_maxpooling, with_batchnorm, kernel_initializer, "
    "bias_initializer, use_separable, use_xnornet_trick, all_conv"
)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "mnits",
            {},
            "model 'mnits': unknown, allowed: mnist, fashion_mnist, cifar10, cifar100, digits, resnet8, digits_resnet; "
            "did you mean 'mnist'?",
        ),
        ("mnist", {"filter": [4]}, f"unknown option 'filter', allowed: {OPTIONS}; did you mean 'filters'?"),
        ("mnist", {"zzzz": 1}, f"unknown option 'zzzz', allowed: {OPTIONS}"),
        ("mnist", {"dropout_rate": 1.5}, "dropout_rate: found 1.5, allowed: 0 <= rate < 1"),
        (
            "mnist",
            {"with_maxpooling": True},
            "filters: 5 blocks with max pooling halve an image of 28x28 to nothing; at most 4 fit",
        ),
        ("resnet8", {"filters": [8] * 7}, "filters: 7 stacks halve an image of 32x32 to nothing; at most 6 fit"),
        (
            "resnet8",
            {"filters": [16, []]},
            "filters: found [16, []], expected one or more stacks, each a number >= 1 or a list of them",
        ),
        ("digits_resnet", {"kernel_size": 0}, "kernel_size: found 0, expected a whole number >= 1"),
        (
            "digits_resnet",
            {"use_separable": "dsp"},
            "unknown option 'use_separable', allowed: shape, num_classes, filters, kernel_size, kernel_initializer, "
            "bias_initializer",
        ),
        ("mnist", {"kernel_initializer": "he_unform"}, "Could not interpret initializer identifier: he_unform"),
    ],
)
def test_wrong_names_and_options(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError) as caught:
        build_model(name, **options)
    assert str(caught.value).removeprefix(f"model {name!r}: ") == message.removeprefix(f"model {name!r}: ")
    assert str(caught.value).startswith(f"model {name!r}: ")
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_residual_network_has_convolution_blocks_where_width_or_size_change_and_else_identity_blocks() -> None:
    model = build_model("digits_resnet", filters=[[4, 4], [4, 6]])
    names = [layer.name for layer in model.layers]
    assert [name for name in names if name.endswith("_shortcut")] == ["res1_0_shortcut", "res1_1_shortcut"]
    assert [name for name in names if name.endswith("_add")] == ["res0_0_add", "res0_1_add", "res1_0_add", "res1_1_add"]
    assert model.get_layer("res0_1_add").output.shape == (None, 8, 8, 4)
    assert model.get_layer("res1_0_add").output.shape == (None, 4, 4, 4)
    assert model.get_layer("res1_1_add").output.shape == (None, 4, 4, 6)
    assert model.output_shape == (None, 10)


def test_networks_larger_than_any_memory_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(self: object, name: str) -> keras.Model:
        raise MemoryError("OOM when allocating tensor\nwith more")

    monkeypatch.setattr(type(MODELS["digits"]), "build", build)
    with pytest.raises(ModelError, match=r"model 'digits': OOM when allocating tensor$"):
        build_model("digits")


def test_settings_of_keras_json_change_nothing() -> None:
    plain = build_model("digits")
    keras.config.set_image_data_format("channels_first")
    keras.config.set_floatx("float16")
    try:
        made = build_model("digits")
        assert keras.config.image_data_format() == "channels_first"
    finally:
        keras.config.set_image_data_format("channels_last")
        keras.config.set_floatx("float32")
    assert made.get_config() == plain.get_config()
