"""quantize_model on nested, shared, Sequential and folded models, and what it says about layers it leaves alone."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import keras
import numpy
import pytest

import qsearch
from qsearch import layers
from qsearch.energy.estimate import EnergySettings, price_plan
from qsearch.errors import ConfigError, ModelError
from qsearch.graph.from_keras import read_model, read_plan
from qsearch.graph.resize import with_filters
from qsearch.plan import Fold, LayerPlan, QuantizationPlan, Role
from qsearch.quantize.apply import apply_plan
from qsearch.quantizers import parse

RNG = numpy.random.default_rng(4)
FINE = "quantized_bits(16,2,1,alpha=1.0)"
ENTRY = {"kernel_quantizer": FINE, "bias_quantizer": FINE}


REAL_TANH = {**ENTRY, "activation": "quantized_tanh(16,use_real_tanh=True)"}


def images(*shape: int) -> numpy.ndarray:
    return RNG.normal(size=shape).astype("float32")


def nested(block_twice: bool = True) -> keras.Model:
    block = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(8, name="d"),
            keras.layers.BatchNormalization(name="n"),
            keras.layers.ReLU(name="r"),
        ],
        name="block",
    )
    inner_in = keras.Input((8,))
    inner = keras.Model(inner_in, keras.layers.Dense(8, name="d")(block(inner_in)), name="inner")
    shared = keras.layers.Dense(8, activation="tanh", name="shared")
    inputs = keras.Input((8,))
    x = inner(inputs)
    x = keras.layers.Add(name="add")([shared(x), shared(inputs)])
    x = block(x) if block_twice else x
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="out")(x))


def settled(model: keras.Model) -> keras.Model:
    """With weights and statistics that are not those of a fresh model."""
    model.set_weights([numpy.abs(RNG.normal(size=w.shape)) * 0.3 + 0.1 for w in model.weights])
    return model


def test_nested_and_shared_layers_are_quantized_once_each() -> None:
    model = settled(nested())
    entries: dict[str, Any] = {
        "QDense": ENTRY,
        "inner/d": {"kernel_quantizer": "binary"},
        "QActivation": "quantized_relu(16,6)",
    }
    found = qsearch.quantize_model(model, entries, 16, transfer_weights=True)
    plan = read_plan(found)
    assert set(plan) == {"inner/block/d", "inner/block/r", "inner/d", "shared", "out"}
    assert plan.layers["inner/d"].quantizers[Role.KERNEL] == parse("binary")
    assert found.count_params() == model.count_params()
    assert len(found.get_layer("shared")._inbound_nodes) == 2
    assert found.get_layer("block") is found.get_layer("inner").get_layer("block")
    x = images(5, 8)
    same = qsearch.quantize_model(model, {"QDense": ENTRY, "shared": REAL_TANH}, transfer_weights=True)
    assert numpy.abs(same(x) - model(x)).max() < 1e-3


def test_nested_models_save_and_load(tmp_path: Path) -> None:
    # Keras 3.15 itself cannot read back a nested model that is called on two levels
    found = qsearch.quantize_model(nested(block_twice=False), {"QDense": {"kernel_quantizer": "ternary"}})
    found.save(tmp_path / "m.keras")
    again = qsearch.load_model(tmp_path / "m.keras")
    x = images(3, 8)
    assert numpy.array_equal(again(x), found(x))
    assert read_plan(again) == read_plan(found)


def folding_model() -> keras.Model:
    inputs = keras.Input((8, 8, 2))
    x = keras.layers.Conv2D(4, 3, use_bias=False, name="c1")(inputs)
    x = keras.layers.BatchNormalization(momentum=0.7, epsilon=0.01, name="b1")(x)
    x = keras.layers.DepthwiseConv2D(3, depth_multiplier=2, name="dw")(keras.layers.ReLU(name="r1")(x))
    x = keras.layers.BatchNormalization(scale=False, name="b2")(x)
    x = keras.layers.Conv2D(3, 1, activation="relu", name="c2")(x)
    x = keras.layers.BatchNormalization(name="b3")(x)
    y = keras.layers.Conv2D(3, 1, name="c3")(x)
    x = keras.layers.Add(name="add")([y, keras.layers.BatchNormalization(name="b4")(y)])
    x = keras.layers.Flatten(name="flat")(x)
    x = keras.layers.BatchNormalization(center=False, name="b5")(keras.layers.Dense(5, name="d")(x))
    return keras.Model(inputs, x)


def test_folding_keeps_outputs_weights_and_hyperparameters() -> None:
    model = settled(folding_model())
    entries: dict[str, Any] = {"QConv2D": ENTRY, "QDepthwiseConv2D": {"depthwise_quantizer": FINE}, "QDense": ENTRY}
    entries["c2"] = {**ENTRY, "activation": "quantized_relu(16,6)"}
    found = qsearch.quantize_model(model, entries, 16, transfer_weights=True, enable_bn_folding=True)
    kinds = {layer.name: type(layer) for layer in found.layers}
    assert {"b1", "b2", "b5"}.isdisjoint(kinds)
    assert kinds["c1"] is layers.QConv2DBatchnorm
    assert kinds["dw"] is layers.QDepthwiseConv2DBatchnorm
    assert kinds["d"] is layers.QDenseBatchnorm
    assert kinds["c2"] is kinds["c3"] is layers.QConv2D
    c1 = found.get_layer("c1")
    assert (c1.momentum, c1.epsilon, c1.use_bias, c1.fused) == (0.7, 0.01, False, False)
    x = images(6, 8, 8, 2)
    difference = numpy.abs(found(x) - model(x)).max() / numpy.abs(model(x)).max()
    assert difference < 1e-3
    reasons = qsearch.left_alone(model, entries, enable_bn_folding=True)
    assert reasons["b1"] == "is folded into c1"
    assert reasons["b3"].endswith("not folded, as c2 has an activation of its own (relu) before it")
    assert reasons["b4"].endswith("not folded, as c3 has other consumers too")
    assert reasons["flat"] == "Flatten has no quantized form"


def test_folding_keeps_the_statistics_of_training() -> None:
    model = settled(folding_model())
    found = qsearch.quantize_model(model, {"c1": ENTRY}, transfer_weights=True, enable_bn_folding=True)
    x = images(16, 8, 8, 2)
    for _ in range(3):
        model(x, training=True)
        found(x, training=True)
    for name in ("moving_mean", "moving_variance"):
        numpy.testing.assert_allclose(
            getattr(found.get_layer("c1"), name), getattr(model.get_layer("b1"), name), rtol=1e-4
        )


def test_an_entry_with_an_activation_is_not_folded_unless_it_is_the_folded_layers() -> None:
    model = folding_model()
    entry = {**ENTRY, "activation": "quantized_relu(4,2)"}
    plain = qsearch.quantize_model(model, {"QConv2D": entry}, enable_bn_folding=True)
    assert type(plain.get_layer("c1")) is layers.QConv2D
    own = {**entry, "folding_mode": "batch_stats_folding", "ema_freeze_delay": 7}
    folded = qsearch.quantize_model(model, {"QConv2DBatchnorm": own}, enable_bn_folding=True).get_layer("c1")
    assert type(folded) is layers.QConv2DBatchnorm
    assert (folded.folding_mode, folded.ema_freeze_delay) == ("batch_stats_folding", 7)
    assert str(folded.activation) == "quantized_relu(4,2)"


def test_folding_inside_nested_models() -> None:
    model = settled(nested())
    entries = {"QDense": ENTRY, "shared": REAL_TANH}
    found = qsearch.quantize_model(model, entries, transfer_weights=True, enable_bn_folding=True)
    block = found.get_layer("inner").get_layer("block")
    assert [type(layer).__name__ for layer in block.layers] == ["QDenseBatchnorm", "ReLU"]
    x = images(4, 8)
    assert numpy.abs(found(x) - model(x)).max() < 1e-3


def test_a_plan_that_folds_what_cannot_be_folded() -> None:
    plan = QuantizationPlan({"c2": LayerPlan({Role.KERNEL: parse("binary")}, fold=Fold("b3"))})
    with pytest.raises(ModelError, match=r"b3 cannot be folded into c2: c2 has an activation of its own \(relu\)"):
        qsearch.quantize_model(folding_model(), plan)


RECURRENT = {
    "kernel_quantizer": FINE,
    "recurrent_quantizer": FINE,
    "bias_quantizer": FINE,
    "state_quantizer": FINE,
    "activation": "quantized_tanh(16,use_real_tanh=True)",
    "recurrent_activation": "quantized_sigmoid(16,use_real_sigmoid=True)",
}


@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU"])
@pytest.mark.parametrize("both_ways", [False, True])
def test_recurrent_layers_with_fine_quantizers_are_nearly_keras_own(kind: str, both_ways: bool) -> None:
    layer = getattr(keras.layers, kind)(4, return_sequences=True, name="r")
    inputs = keras.Input((6, 3))
    model = settled(
        keras.Model(inputs, keras.layers.Bidirectional(layer, name="r")(inputs) if both_ways else layer(inputs))
    )
    entry = {key: value for key, value in RECURRENT.items() if kind != "SimpleRNN" or "recurrent_act" not in key}
    entries = {"QBidirectional" if both_ways else f"Q{kind}": entry}
    found = qsearch.quantize_model(model, entries, transfer_weights=True)
    expected = "QBidirectional" if both_ways else f"Q{kind}"
    assert type(found.get_layer("r")).__name__ == expected
    x = images(5, 6, 3)
    assert numpy.abs(found(x) - model(x)).max() < 2e-3
    assert set(read_plan(found).layers["r"].quantizers) >= {Role.KERNEL, Role.RECURRENT, Role.STATE, Role.ACTIVATION}


def test_separable_transposed_pooling_and_leaky_layers() -> None:
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.SeparableConv2D(4, 3, name="sep")(inputs)
    x = keras.layers.LeakyReLU(negative_slope=0.25, name="leaky")(x)
    x = keras.layers.Conv2DTranspose(4, 2, strides=2, name="up")(x)
    x = keras.layers.ReLU(max_value=6, name="relu6")(x)
    x = keras.layers.AveragePooling2D(2, name="pool")(x)
    x = keras.layers.Reshape((36, 4), name="shape")(x)
    x = keras.layers.SeparableConv1D(4, 3, name="sep1")(x)
    x = keras.layers.Conv1D(4, 3, padding="causal", activation="sigmoid", name="c1d")(x)
    x = keras.layers.Reshape((34, 1, 4), name="back")(x)
    model = settled(keras.Model(inputs, keras.layers.GlobalAveragePooling2D(name="gap")(x)))
    entries = {
        "QSeparableConv2D": {"depthwise_quantizer": FINE, "pointwise_quantizer": FINE, "bias_quantizer": FINE},
        "QSeparableConv1D": {"kernel_quantizer": FINE, "bias_quantizer": FINE},
        "QConv2DTranspose": ENTRY,
        "QConv1D": {**ENTRY, "activation": "quantized_sigmoid(16,use_real_sigmoid=True)"},
        "QActivation": {"leakyrelu": "quantized_relu(16,4,negative_slope=0.25)", "relu": "quantized_relu(16,4)"},
        "QAveragePooling2D": {"average_quantizer": FINE},
        "QGlobalAveragePooling2D": {"average_quantizer": "quantized_bits(16,-3,1,alpha=1.0)"},
    }
    found = qsearch.quantize_model(model, entries, transfer_weights=True)
    kinds = {layer.name: type(layer).__name__ for layer in found.layers}
    assert kinds["sep"] == "QSeparableConv2D"
    assert kinds["sep1"] == "QSeparableConv1D"
    assert {kinds["leaky"], kinds["relu6"]} == {"QActivation"}
    assert {kinds["pool"], kinds["gap"]} == {"QAveragePooling2D", "QGlobalAveragePooling2D"}
    assert read_plan(found).layers["sep1"].quantizers[Role.POINTWISE] == parse(FINE)
    x = images(2, 8, 8, 3)
    assert numpy.abs(found(x) - model(x)).max() < 5e-3


def test_keras_hard_sigmoid_is_not_swapped_for_the_fields() -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, activation="hard_sigmoid", name="d")])
    found = qsearch.quantize_model(model, {"QDense": {"kernel_quantizer": FINE}}, transfer_weights=True)
    x = images(4, 3)
    assert numpy.abs(found(x) - model(x)).max() < 1e-3


def test_an_unbuilt_sequential_model_can_be_quantized() -> None:
    model = keras.Sequential([keras.layers.Dense(2, name="d")])
    found = qsearch.quantize_model(model, {"QDense": {"kernel_quantizer": "binary"}})
    assert found(images(2, 3)).shape == (2, 2)
    assert type(found.layers[0]) is layers.QDense


class Doubled(keras.layers.Layer):  # type: ignore[misc]
    def call(self, inputs: Any) -> Any:
        return 2.0 * inputs


def test_custom_and_quantized_layers_pass_through(caplog: pytest.LogCaptureFixture) -> None:
    inputs = keras.Input((4,))
    x = layers.QDense(3, "quantized_relu(4,2)", kernel_quantizer="ternary", name="q")(inputs)
    x = keras.layers.Dense(3, name="d")(Doubled(name="own")(x))
    model = keras.Model(inputs, keras.layers.Softmax(name="soft")(x))
    with caplog.at_level(logging.INFO, logger="qsearch"):
        found = qsearch.quantize_model(model, {"d": {"kernel_quantizer": "binary"}}, transfer_weights=True)
    assert type(found.get_layer("own")) is Doubled
    plan = read_plan(found)
    assert plan.layers["q"] == model.get_layer("q").plan
    assert plan.layers["d"].quantizers[Role.KERNEL] == parse("binary")
    said = [record.getMessage() for record in caplog.records]
    assert any("own stays as it is: Doubled has no quantized form" in text for text in said)
    assert any("soft stays as it is: Softmax has no quantized form" in text for text in said)
    again = qsearch.quantize_model(model, {"QDense": {"kernel_quantizer": "binary"}})
    assert str(again.get_layer("q").activation) == "quantized_relu(4,2)"


def test_reasons() -> None:
    model = nested()
    reasons = qsearch.left_alone(model, {"shared": {"bias_quantizer": FINE}})
    assert reasons["shared"] == "its entry shared has no kernel_quantizer"
    assert reasons["out"] == "there is no entry for it or for QDense"
    assert reasons["inner/block/n"] == "there is no entry for it or for QBatchNormalization"
    assert reasons["add"] == "Add has no quantized form"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"inner/e": {}}, "inner/e: .* has no such layer or class; did you mean 'inner/d'"),
        ({"QDense": {"kernel_quantiser": FINE}}, "unknown key; did you mean 'kernel_quantizer'"),
        ({"add": {"kernel_quantizer": FINE}}, "add: a Add layer has no quantized form"),
        ({"QDenseBatchnorm": {**ENTRY, "folding_mode": "ema"}}, "folding_mode: found 'ema', allowed: ema_stats_fold"),
    ],
)
def test_messages(entries: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        qsearch.quantize_model(nested(), entries, enable_bn_folding=True)


def with_widths(model: keras.Model, filters: dict[str, int]) -> keras.Model:
    """Applied, with the shapes and the price that the graph promises."""
    plan = QuantizationPlan(
        {name: LayerPlan({Role.KERNEL: parse("ternary")}, filters=count) for name, count in filters.items()}
    )
    graph, settings = read_model(model), EnergySettings()
    found = apply_plan(model, plan)
    promised = with_filters(graph, plan)
    assert {n.name: n.output_shape for n in read_model(found).nodes} == {n.name: n.output_shape for n in promised.nodes}
    assert price_plan(graph, plan, settings).total == price_plan(read_model(found), read_plan(found), settings).total
    return found


def test_widths_change_across_the_borders_of_nested_models() -> None:
    branch = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8, name="d")], name="branch")
    a, b = keras.Input((8,), name="a"), keras.Input((8,), name="b")
    joined = keras.layers.Concatenate(name="c")([branch(a), b])
    two = keras.Model([a, b], keras.layers.Dense(6, name="e")(joined), name="two")
    inputs = keras.Input((4,), name="in")
    left = keras.layers.Dense(8, name="left")(inputs)
    right = keras.layers.Dense(8, name="right")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3, name="out")(two([left, right])))
    found = with_widths(model, {"left": 5, "right": 7, "two/branch/d": 3, "two/e": 2})
    assert found.get_layer("two").get_layer("branch").input_shape == (None, 5)
    assert found(images(2, 4)).shape == (2, 3)


def test_widths_change_inside_nested_sequential_models() -> None:
    inner = keras.Sequential([keras.Input((8,)), keras.layers.Dense(6, name="d")], name="inner")
    model = keras.Sequential(
        [keras.Input((4,), name="in"), keras.layers.Dense(8, name="first"), inner, keras.layers.Dense(2)]
    )
    found = with_widths(model, {"first": 5, "inner/d": 9})
    assert isinstance(found, keras.Sequential)
    assert found(images(2, 4)).shape == (2, 2)


def test_a_shared_nested_model_takes_one_width_only() -> None:
    inner = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8, name="d")], name="inner")
    inputs = keras.Input((8,))
    model = keras.Model(inputs, inner(inner(inputs)))
    plan = QuantizationPlan({"inner/d": LayerPlan(filters=5)})
    with pytest.raises(ModelError, match="layer 'inner/d': is called several times, and with different widths"):
        apply_plan(model, plan)
