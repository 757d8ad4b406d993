"""Prices of layers that QTools leaves at zero, worked out by hand, and of models it cannot read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy
import pytest
from keras import layers

import qsearch
from qsearch.energy.report import EnergyReport, LayerEnergy
from qsearch.graph.from_keras import read_model

MUL8 = 0.002994791667 * 64 + 0.001041666667 * 8  # an 8 x 8 bit multiplier
ADD32 = 0.003125 * 32  # an addition into a 32-bit accumulator
MAC = MUL8 + ADD32


class Stranger(layers.Layer):  # type: ignore[misc]
    """A layer that the energy model cannot know."""

    def call(self, x: Any) -> Any:
        return x + 1


ENTRY = {"kernel_quantizer": "quantized_bits(4,0,1,alpha=1.0)", "bias_quantizer": "quantized_bits(4,0,1)"}


def report(*stack: Any, shape: tuple[int, ...]) -> EnergyReport:
    inputs = x = keras.Input(shape)
    for layer in stack:
        x = layer(x)
    return qsearch.estimate_energy(keras.Model(inputs, x), reference="int8")


HAND: list[tuple[str, tuple[int, ...], Callable[[], Any], float, int]] = [
    # name, input, layer, pJ of its operations, parameters
    ("one by one", (5, 7, 3), lambda: layers.Conv2D(4, 1), 5 * 7 * 3 * 4 * MAC, 16),
    ("conv1d", (9, 3), lambda: layers.Conv1D(4, 3), 7 * 4 * 9 * MAC, 40),
    ("groups", (5, 5, 4), lambda: layers.Conv2D(6, 3, groups=2), 9 * 6 * 18 * MAC, 114),
    ("depth multiplier", (5, 5, 4), lambda: layers.DepthwiseConv2D(3, depth_multiplier=2), 9 * 8 * 9 * MAC, 80),
    ("transposed", (4, 4, 3), lambda: layers.Conv2DTranspose(2, 3, strides=2), 16 * 3 * 9 * 2 * MAC, 56),
    (
        "separable",
        (6, 6, 3),
        lambda: layers.SeparableConv2D(4, 3),
        # the second multiplier takes the first one's 32-bit sums
        16 * 27 * MAC + 16 * 4 * 3 * (0.002994791667 * 256 + 0.001041666667 * 16 + ADD32),
        43,
    ),
    (
        "dense on a sequence",
        (6, 3),
        lambda: layers.Dense(4),
        6 * 12 * MAC,
        16,
    ),
    ("time distributed", (6, 3), lambda: layers.TimeDistributed(layers.Dense(4)), 6 * 12 * MAC, 16),
    (
        "simple rnn",
        (3, 5),
        lambda: layers.SimpleRNN(2),
        3 * (2 * 5 + 2 * 2) * MAC,
        16,
    ),
    ("lstm", (3, 5), lambda: layers.LSTM(2), 3 * (8 * 5 + 8 * 2) * MAC + 3 * 3 * 2 * MUL8, 64),
    ("gru", (3, 5), lambda: layers.GRU(2), 3 * (6 * 5 + 6 * 2) * MAC + 3 * 3 * 2 * MUL8, 54),
    (
        "both ways",
        (3, 5),
        lambda: layers.Bidirectional(layers.LSTM(2)),
        2 * (3 * (8 * 5 + 8 * 2) * MAC + 3 * 3 * 2 * MUL8),
        128,
    ),
    ("average pooling", (6, 6, 3), lambda: layers.AveragePooling2D(2), 9 * 3 * 4 * ADD32, 0),
    ("average pooling 1d", (6, 3), lambda: layers.AveragePooling1D(2), 3 * 3 * 2 * ADD32, 0),
    ("global average 1d", (6, 3), lambda: layers.GlobalAveragePooling1D(), 6 * 3 * ADD32, 0),
]


@pytest.mark.parametrize(("name", "shape", "make", "expected", "parameters"), HAND, ids=[case[0] for case in HAND])
def test_by_hand(name: str, shape: tuple[int, ...], make: Any, expected: float, parameters: int) -> None:
    layer = make()
    found = next(iter(report(layer, shape=shape).layers.values()))
    assert found.op_cost == pytest.approx(expected, abs=0.011)
    assert layer.count_params() == parameters
    assert (found.parameters > 0) == (parameters > 0)


def test_a_sum_of_two_and_of_three() -> None:
    inputs = [keras.Input((5,)) for _ in range(3)]
    for count in (2, 3):
        model = keras.Model(inputs[:count], layers.Add(name="a")(inputs[:count]))
        assert qsearch.estimate_energy(model).layers["a"].op_cost == pytest.approx(
            (count - 1) * 5 * 0.003125 * 9, abs=0.01
        )
    same = keras.Model(inputs[0], layers.Add(name="a")([inputs[0], inputs[0]]))
    assert qsearch.estimate_energy(same).layers["a"].op_cost > 0  # oddity 20: free in QTools


def test_dot_products() -> None:
    a, b = keras.Input((7,)), keras.Input((7,))
    model = keras.Model([a, b], layers.Dot(1, name="dot")([a, b]))
    assert qsearch.estimate_energy(model).layers["dot"].op_cost == pytest.approx(7 * MAC, abs=0.01)


def test_an_embedding_pays_for_the_rows_it_reads() -> None:
    inputs = keras.Input((6,))
    model = keras.Model(inputs, layers.Embedding(1000, 16, name="e")(inputs))
    few = qsearch.estimate_energy(model, weights_on_memory="dram").layers["e"]
    assert few.parameters == pytest.approx(6 * 16 * 8 * 20.3125, abs=0.01)
    assert few.op_cost == 0


def test_nested_and_flat_models_cost_the_same() -> None:
    def stack() -> list[Any]:
        return [layers.Dense(6, name="a"), layers.ReLU(name="r"), layers.Dense(5, name="b")]

    flat = report(*stack(), layers.Dense(2, name="c"), shape=(8,))
    inner = keras.Sequential([keras.Input((8,)), *stack()], name="inner")
    nested = report(inner, layers.Dense(2, name="c"), shape=(8,))
    assert nested.total == flat.total
    assert list(nested.layers) == ["inner/a", "inner/r", "inner/b", "c"]


def test_a_shared_layer_pays_for_each_call() -> None:
    inputs = keras.Input((8,))
    dense = layers.Dense(8, name="d")
    once, twice = keras.Model(inputs, dense(inputs)), keras.Model(inputs, dense(dense(inputs)))
    single = qsearch.estimate_energy(once).layers["d"]
    double = qsearch.estimate_energy(twice).layers
    assert double["d"].op_cost == single.op_cost
    assert double["d:1"].op_cost > single.op_cost  # its inputs are 32-bit sums


def everything() -> keras.Model:
    image = keras.Input((12, 12, 3))
    x = layers.SeparableConv2D(4, 3, name="sep")(image)
    x = layers.Conv2D(4, 3, use_bias=False, name="conv")(x)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.ReLU(name="relu")(x)
    x = layers.DepthwiseConv2D(3, name="dw")(x)
    x = layers.BatchNormalization(name="bn2")(x)
    x = layers.Conv2DTranspose(4, 2, strides=2, name="up")(x)
    x = layers.AveragePooling2D(2, name="pool")(x)
    x = layers.Reshape((36, 4), name="shape")(x)
    x = layers.Conv1D(4, 3, activation="tanh", name="c1")(x)
    x = layers.LSTM(3, return_sequences=True, name="lstm")(x)
    x = layers.Bidirectional(layers.GRU(2, name="g"), name="both")(x)
    return keras.Model(image, layers.Dense(2, activation="softmax", name="out")(x))


RECURRENT = {
    **ENTRY,
    "recurrent_quantizer": "ternary",
    "state_quantizer": "quantized_bits(6,1)",
    "activation": "quantized_tanh(6)",
    "recurrent_activation": "quantized_sigmoid(5)",
}
ENTRIES: dict[str, Any] = {
    "QSeparableConv2D": {"depthwise_quantizer": "binary", "pointwise_quantizer": "quantized_po2(4,1)"},
    "QConv2D": ENTRY,
    "QDepthwiseConv2D": {"depthwise_quantizer": "ternary", "bias_quantizer": "quantized_bits(8,3)"},
    "QBatchNormalization": {
        "gamma_quantizer": "quantized_relu_po2(6,2048)",
        "beta_quantizer": "quantized_po2(5)",
        "mean_quantizer": "quantized_po2(5)",
        "variance_quantizer": "quantized_relu_po2(6,quadratic_approximation=True)",
    },
    "QActivation": {"relu": "quantized_relu(4,2)"},
    "QConv2DTranspose": {**ENTRY, "activation": "quantized_relu(4,1)"},
    "QAveragePooling2D": {"average_quantizer": "quantized_bits(6,0)", "activation": "quantized_relu(5,1)"},
    "QConv1D": {**ENTRY, "activation": "quantized_tanh(4)"},
    "QLSTM": RECURRENT,
    "QBidirectional": RECURRENT,
    "QDense": ENTRY,
}


def shown(layer: LayerEnergy) -> dict[str, Any]:
    """What both ways must agree on; a folded layer's class is named after what it was."""
    return {key: value for key, value in layer.to_dict().items() if key != "class"}


@pytest.mark.parametrize("fold", [False, True])
def test_the_plan_on_the_graph_costs_what_the_built_model_costs(fold: bool) -> None:
    from qsearch.energy.estimate import EnergySettings, price_plan
    from qsearch.quantize.dictionary import DictionaryOptions, read_dictionary

    model = everything()
    built = qsearch.quantize_model(model, ENTRIES, enable_bn_folding=fold)
    report = qsearch.estimate_energy(built, reference=None)
    assert all(layer.op_cost > 0 for name, layer in report.layers.items() if name not in ("relu", "shape"))
    assert not [note for note in report.notes if "no rule" in note]
    plan = read_dictionary(model, ENTRIES, DictionaryOptions(enable_bn_folding=fold)).plan
    planned = price_plan(read_model(model), plan, EnergySettings())
    assert ("bn" in planned.layers) != fold
    assert {name: shown(layer) for name, layer in planned.layers.items()} == {
        name: shown(layer) for name, layer in report.layers.items()
    }


def test_a_quantized_model_is_cheaper_layer_by_layer() -> None:
    model = everything()
    reference = qsearch.estimate_energy(model, reference="int8")
    built = qsearch.estimate_energy(qsearch.quantize_model(model, ENTRIES), reference=None)
    for name in ("conv", "dw", "c1", "lstm", "both", "out"):
        assert built.layers[name].op_cost < reference.layers[name].op_cost, name


def test_folded_layers_are_priced_as_what_they_are() -> None:
    """Oddity 6: free in QTools. Here the products, sums and parameters of the folded layer."""
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 3, use_bias=False, name="c")(inputs)
    model = keras.Model(inputs, layers.BatchNormalization(name="b")(x))
    entry = {"kernel_quantizer": "quantized_bits(8,0,1,alpha=1.0)", "bias_quantizer": "quantized_bits(8,0,1)"}
    folded = qsearch.quantize_model(model, {"QConv2D": entry}, enable_bn_folding=True)
    found = qsearch.estimate_energy(folded, reference=None).layers["c"]
    # 27 products and the bias: 15 + 5 bits
    assert found.op_cost == pytest.approx(16 * 4 * 27 * (MUL8 + 0.003125 * 20), abs=0.01)
    assert str(found.accumulator_format) == "fixed(20,5)"
    assert found.parameters > 0


def test_unpriced_layers_are_listed_with_the_reason() -> None:
    found = report(Stranger(name="ln"), layers.Dense(2, name="d"), shape=(4,))
    assert found.notes[0].startswith("ln: no rule for Stranger; only the reading of its inputs is priced")
    assert numpy.isfinite(found.total)
