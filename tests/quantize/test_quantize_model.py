"""`quantize_model`: the dictionary, widths, weights, what is left alone."""

from __future__ import annotations

import keras
import numpy
import pytest

import qsearch
from qsearch.errors import ConfigError, ModelError
from qsearch.graph.from_keras import read_plan
from qsearch.layers import QActivation, QAdaptiveActivation, QBatchNormalization, QConv2D, QDense, QDepthwiseConv2D
from qsearch.plan import LayerPlan, QuantizationPlan, Role
from qsearch.quantize.apply import apply_plan
from qsearch.quantize.transfer import transfer_weights
from qsearch.quantizers import parse

BITS = "quantized_bits(4,0,1,alpha=1.0)"


def model() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = keras.layers.Activation("relu", name="act")(x)
    x = keras.layers.DepthwiseConv2D(3, activation="relu", name="dw")(x)
    x = keras.layers.Dropout(0.1, name="drop")(x)
    x = keras.layers.Flatten(name="flat")(x)
    x = keras.layers.Dense(6, activation="tanh", name="d1")(x)
    x = keras.layers.Dense(3, name="d2")(x)
    return keras.Model(inputs, keras.layers.Activation("softmax", name="softmax")(x))


def kinds(quantized: keras.Model) -> dict[str, type]:
    return {layer.name: type(layer) for layer in quantized.layers}


def test_classes_names_and_automatic_activations() -> None:
    quantized = qsearch.quantize_model(
        model(),
        {
            "QConv2D": {"kernel_quantizer": BITS, "bias_quantizer": "quantized_bits(4)"},
            "QDepthwiseConv2D": {"depthwise_quantizer": "ternary"},
            "QDense": {"kernel_quantizer": "binary"},
            "d2": {"kernel_quantizer": "ternary", "activation": "quantized_bits(8)"},
            "QActivation": {"relu": "quantized_relu(3,1)"},
            "QBatchNormalization": {},
        },
        activation_bits=5,
    )
    found = kinds(quantized)
    assert {name: kind for name, kind in found.items() if kind.__name__.startswith("Q")} == {
        "conv": QConv2D,
        "bn": QBatchNormalization,
        "act": QActivation,
        "dw": QDepthwiseConv2D,
        "d1": QDense,
        "d2": QDense,
    }
    plan = read_plan(quantized)
    assert plan.layers["dw"].quantizers[Role.ACTIVATION] == parse("quantized_relu(5)")
    assert plan.layers["d1"].quantizers[Role.ACTIVATION] == parse("quantized_tanh(5)")
    assert plan.layers["d2"] == LayerPlan({Role.KERNEL: parse("ternary"), Role.ACTIVATION: parse("quantized_bits(8)")})
    assert plan.layers["bn"] == LayerPlan()


def test_d39_a_quantizer_for_all_activations_leaves_softmax_alone() -> None:
    found = kinds(qsearch.quantize_model(model(), {"QActivation": "quantized_relu(2)"}))
    assert found["act"] is QActivation
    assert found["softmax"] is keras.layers.Activation


def test_a_name_hides_its_class_and_an_entry_without_a_kernel_leaves_the_layer() -> None:
    entries = {"QDense": {"kernel_quantizer": "binary"}, "d2": {"bias_quantizer": "quantized_bits(4)"}}
    found = kinds(qsearch.quantize_model(model(), entries))
    assert found["d1"] is QDense
    assert found["d2"] is keras.layers.Dense


def test_the_given_model_is_not_changed() -> None:
    float_model = model()
    before = [weight.copy() for weight in float_model.get_weights()]
    config = float_model.get_config()
    qsearch.quantize_model(float_model, {"QDense": {"kernel_quantizer": "binary"}}, transfer_weights=True)
    assert all(numpy.array_equal(a, b) for a, b in zip(before, float_model.get_weights(), strict=True))
    assert float_model.get_config() == config


def test_transferred_weights_and_a_fine_quantizer_give_nearly_the_same_outputs() -> None:
    float_model = model()
    x = numpy.random.default_rng(0).normal(size=(5, 8, 8, 3)).astype("float32")
    fine = {"QConv2D": {"kernel_quantizer": "quantized_bits(16,1,1,alpha=1.0)"}}
    quantized = qsearch.quantize_model(float_model, fine, transfer_weights=True)
    numpy.testing.assert_allclose(quantized.predict(x, verbose=0), float_model.predict(x, verbose=0), atol=1e-3)
    coarse = qsearch.quantize_model(float_model, {"QConv2D": {"kernel_quantizer": "binary"}}, transfer_weights=True)
    assert numpy.abs(coarse.predict(x, verbose=0) - float_model.predict(x, verbose=0)).max() > 1e-3


def test_filters_and_weights_follow_the_plan() -> None:
    float_model = model()
    plan = QuantizationPlan({"conv": LayerPlan({Role.KERNEL: parse("ternary")}, filters=7)})
    narrow = apply_plan(float_model, plan)
    assert narrow.get_layer("conv").kernel.shape == (3, 3, 3, 7)
    assert narrow.get_layer("dw").kernel.shape == (3, 3, 7, 1)
    assert transfer_weights(float_model, narrow) == ()
    numpy.testing.assert_array_equal(narrow.get_layer("d2").kernel, float_model.get_layer("d2").kernel)


def test_a_quantized_model_can_be_quantized_again() -> None:
    once = qsearch.quantize_model(model(), {"QDense": {"kernel_quantizer": BITS}})
    twice = qsearch.quantize_model(once, {"d1": {"kernel_quantizer": "ternary"}}, transfer_weights=True)
    assert read_plan(twice).layers["d1"].quantizers[Role.KERNEL] == parse("ternary")
    assert read_plan(twice).layers["d2"] == read_plan(once).layers["d2"]


def test_sequential_models_and_shared_layers() -> None:
    layer = keras.layers.Dense(4, name="shared")
    inputs = keras.Input((4,))
    shared = keras.Model(inputs, layer(layer(inputs)))
    quantized = qsearch.quantize_model(shared, {"shared": {"kernel_quantizer": "binary"}}, transfer_weights=True)
    assert [type(item) for item in quantized.layers[1:]] == [QDense]
    sequential = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="d")])
    assert kinds(qsearch.quantize_model(sequential, {"QDense": {"kernel_quantizer": "binary"}}))["d"] is QDense


@pytest.mark.parametrize(
    ("entries", "error", "message"),
    [
        (
            {"conf": {"kernel_quantizer": BITS}},
            ConfigError,
            "conf: .* has no such layer or class; did you mean 'conv'?",
        ),
        ({"QDens": {}}, ConfigError, "QDens: .* did you mean 'QDense'?"),
        (
            {"conv": {"kernel_quantiser": BITS}},
            ConfigError,
            "conv.kernel_quantiser: unknown key; did you mean 'kernel_",
        ),
        ({"conv": {"kernel_quantizer": "binari"}}, ConfigError, "conv.kernel_quantizer: unknown quantizer 'binari'"),
        ({"conv": {"kernel_quantizer": 4}}, ConfigError, "conv.kernel_quantizer: found 4, expected a quantizer string"),
        ({"conv": "binary"}, ConfigError, "conv: found 'binary', expected a dictionary"),
        ({"flat": {"kernel_quantizer": BITS}}, ConfigError, "flat: a Flatten layer has no quantized form"),
    ],
)
def test_messages(entries: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        qsearch.quantize_model(model(), entries)


def test_plans_that_do_not_fit() -> None:
    with pytest.raises(ModelError, match="has no layer 'nope'"):
        apply_plan(model(), QuantizationPlan({"nope": LayerPlan()}))
    with pytest.raises(ModelError, match="layer 'flat': Flatten has no quantized form"):
        apply_plan(model(), QuantizationPlan({"flat": LayerPlan()}))


def adaptive(entries: dict[str, object], prefer: bool) -> set[str]:
    """The names of the layers that become adaptive."""
    inputs = keras.Input((4,))
    x = keras.layers.Activation("relu", name="first")(keras.layers.Dense(3, name="d")(inputs))
    outputs = keras.layers.ReLU(name="layer")(keras.layers.Activation("relu", name="second")(x))
    found = qsearch.quantize_model(keras.Model(inputs, outputs), entries, prefer_qadaptiveactivation=prefer)
    return {layer.name for layer in found.layers if isinstance(layer, QAdaptiveActivation)}


def test_which_activations_adapt() -> None:
    """As QKeras has it: the option decides for a layer that is named, and between the two classes."""
    plain, eight = "quantized_relu(4)", "quantized_relu(8)"
    assert adaptive({"QAdaptiveActivation": eight}, prefer=False) == {"first", "second"}
    assert adaptive({"QAdaptiveActivation": {"relu": eight}}, prefer=True) == {"first", "second"}
    assert adaptive({"QAdaptiveActivation": eight, "QActivation": plain}, prefer=False) == set()
    assert adaptive({"QAdaptiveActivation": eight, "QActivation": plain}, prefer=True) == {"first", "second"}
    assert adaptive({"first": plain, "layer": plain}, prefer=True) == {"first"}
    assert adaptive({"first": plain, "layer": plain}, prefer=False) == set()
    assert adaptive({"first": plain, "QAdaptiveActivation": eight}, prefer=False) == {"second"}
    with pytest.raises(
        ConfigError, match=r"first: found quantized_tanh\(4\), expected quantized_bits or quantized_relu"
    ):
        adaptive({"first": "quantized_tanh(4)"}, prefer=True)
