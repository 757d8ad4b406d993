"""The search of layers as people really write them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import keras
import numpy
import pytest
from keras import layers, ops

from qsearch.config import load_config
from qsearch.energy.counts import counts, pooling_area
from qsearch.energy.estimate import EnergySettings, price_plan
from qsearch.errors import ConfigError
from qsearch.graph.from_keras import read_model, read_plan
from qsearch.graph.walk import layers_by_path
from qsearch.models import load_model
from qsearch.plan import QuantizationPlan, Role
from qsearch.quantize.apply import apply_plan
from qsearch.quantize.fold import foldable_paths
from qsearch.quantize.transfer import transfer_weights
from qsearch.quantizers import parse
from qsearch.search.bottlenecks import linear_outputs
from qsearch.search.space import SearchSpace
from qsearch.search.unsearched import told

QUANTIZERS = """
quantization_config:
  kernel: {ternary: 2, "quantized_bits(4,0,1,alpha=1.0)": 4}
  bias: {"quantized_bits(4,0,1)": 4}
  activation: {"quantized_relu(4,2)": 4, "quantized_relu(8,4)": 8, "quantized_hswish(8,2)": 8, "quantized_tanh(4)": 4}
  linear: {"quantized_bits(8,2)": 8}
"""


def space_of(folder: Path, model: keras.Model, limit: str, run: str = "{}") -> SearchSpace:
    path = folder / "c.yaml"
    text = "dataset: {name: digits}\nmodel: {name: digits}\n" + QUANTIZERS
    text += "limit:\n" + indent(dedent(limit).strip("\n"), "  ") + f"\nrun: {run}\n"
    path.write_text(text, encoding="utf-8")
    loaded = load_config(path)
    folds = foldable_paths(model)[0] if loaded.config.run.fold_batch_norm else {}
    return search_space_of(model, loaded, folds)


def search_space_of(model: keras.Model, loaded: Any, folds: Any) -> SearchSpace:
    from qsearch.search.limits import search_space

    return search_space(read_model(model), list(layers_by_path(model)), loaded, read_plan(model), folds)


def first(space: SearchSpace) -> QuantizationPlan:
    return space.plan({dimension.name: dimension.options[0] for dimension in space.dimensions})


def options(space: SearchSpace, layer: str, role: Role = Role.ACTIVATION) -> list[str]:
    (found,) = [one for one in space.layers if one.name == layer]
    if role in found.fixed:
        return [str(found.fixed[role])]
    name = found.dimensions[role]
    (dimension,) = [one for one in space.dimensions if one.name == name]
    return [str(option) for option in dimension.options]


def same_price(model: keras.Model, space: SearchSpace) -> keras.Model:
    """The quantized model of the first plan; it costs what its plan does."""
    plan = first(space)
    quantized = apply_plan(model, plan)
    design = EnergySettings()
    found = price_plan(read_model(quantized), read_plan(quantized), design)
    assert price_plan(read_model(model), plan, design).total == found.total
    return quantized


def activations() -> keras.Model:
    x = inputs = keras.Input((6,))
    spelt: list[Any] = [
        layers.Activation("relu", name="by_name"),
        layers.ReLU(name="layer"),
        layers.ReLU(6.0, name="bounded"),
        layers.LeakyReLU(negative_slope=0.25, name="leaky"),
        layers.LeakyReLU(negative_slope=0.3, name="odd"),
        layers.PReLU(name="learned"),
        layers.ELU(name="elu"),
        layers.Activation("hard_silu", name="hard_silu"),
        layers.Activation("silu", name="silu"),
        layers.Activation("tanh", name="tanh"),
        layers.Lambda(ops.relu, name="function"),
        layers.Softmax(name="softmax"),
    ]
    for place, layer in enumerate(spelt):
        x = layer(layers.Dense(5, name=f"d{place}")(x))
    x = layers.Dense(4, activation=layers.ReLU(6.0), name="fused")(ops.relu(x))
    return keras.Model(inputs, x, name="spelt")


def test_an_activation_is_known_by_what_it_computes(tmp_path: Path) -> None:
    model = activations()
    space = space_of(tmp_path, model, "Dense: [4, 4, 8]\nActivation: [8]")
    relus = ["quantized_relu(4,2)", "quantized_relu(8,4)"]
    operation = read_model(model).nodes[-2].layer
    for name in ("by_name", "layer", "function", operation):
        assert options(space, name) == relus
    bounded = ["quantized_relu(4,2)", "quantized_relu(8,4,relu_upper_bound=6.0,is_quantized_clip=False)"]
    assert options(space, "bounded") == options(space, "fused") == bounded
    assert options(space, "leaky") == [
        "quantized_relu(4,2,negative_slope=0.25)",
        "quantized_relu(8,4,negative_slope=0.25)",
    ]
    assert options(space, "hard_silu") == ["quantized_hswish(8,2)"]
    assert options(space, "tanh") == ["quantized_tanh(4)"]
    left = {one.layer: one.reason for one in space.unsearched}
    assert left == {
        "odd": "the slope 0.3 of its leaky relu is no power of two",
        "learned": "no quantizer computes prelu",
        "elu": "no quantizer computes elu",
        "silu": "no quantizer computes silu",
        "softmax": "softmax is an answer, not a number to compute with",
    }
    quantized = same_price(model, space)
    for name in ("by_name", "layer", "bounded", "leaky", "function"):
        assert type(quantized.get_layer(name)).__name__ == "QActivation"


@pytest.mark.parametrize("key", ["ReLU", "Activation", "^layer$"])
def test_a_limit_may_name_any_spelling(tmp_path: Path, key: str) -> None:
    space = space_of(tmp_path, activations(), f"{key}: [4]")
    assert options(space, "layer") == ["quantized_relu(4,2)"]


ONLY = [
    ("PReLU", "matches only layers that are not searched, learned (PReLU): no quantizer computes prelu"),
    ("Softmax", "softmax (Softmax): softmax is an answer"),
    ("^odd", "odd (LeakyReLU): the slope 0.3 of its leaky relu is no power of two"),
]


@pytest.mark.parametrize(("key", "message"), ONLY)
def test_a_limit_that_matches_only_what_cannot_be_quantized(tmp_path: Path, key: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        space_of(tmp_path, activations(), f"Dense: [4]\n{key}: [8]")
    assert f"limit.{key}: matches only layers that are not searched" in str(error.value)
    assert message in str(error.value)


def test_a_class_without_a_quantized_form(tmp_path: Path) -> None:
    inputs = keras.Input((6, 8))
    x = layers.MultiHeadAttention(2, 4, name="attend")(inputs, inputs)
    model = keras.Model(inputs, layers.Dense(3, name="d")(layers.Add(name="sum")([x, inputs])))
    for key in ("MultiHeadAttention", "Add", "^attend"):
        with pytest.raises(ConfigError, match="no quantized form"):
            space_of(tmp_path, model, f"Dense: [4]\n{key}: [8]")
    space = space_of(tmp_path, model, "Dense: [4]")
    (line,) = told(space, {"attend": 0.5, "sum": 0.25, "d": 0.25})
    assert line == (
        "not searched, 75.0% of the reference's cost: attend (MultiHeadAttention), sum (Add): no quantized form"
    )


def test_a_layer_that_no_limit_matches_is_told(tmp_path: Path) -> None:
    space = space_of(
        tmp_path, activations(), "Dense: [4, 4, 8]", "{frozen_layers: [d0], layer_indexes: {start: 1, stop: -1}}"
    )
    reasons = {one.layer: one.reason for one in space.unsearched}
    assert reasons["d0"] == "in run.frozen_layers"
    assert reasons["by_name"] == "no entry of limit matches it"
    assert reasons["fused"] == "outside of run.layer_indexes"


RECURRENT: list[tuple[str, Any]] = [
    ("LSTM", layers.LSTM(4, return_sequences=True, name="r")),
    ("GRU", layers.GRU(4, name="r")),
    ("SimpleRNN", layers.SimpleRNN(4, go_backwards=True, name="r")),
    ("Bidirectional", layers.Bidirectional(layers.LSTM(4), name="r")),
    ("LSTM", layers.Bidirectional(layers.LSTM(4, return_sequences=True), name="r")),
]


@pytest.mark.parametrize(("key", "layer"), RECURRENT, ids=[f"{key}-{type(one).__name__}" for key, one in RECURRENT])
@pytest.mark.parametrize("masked", [False, True])
def test_recurrent_layers(tmp_path: Path, key: str, layer: Any, masked: bool) -> None:
    inputs = keras.Input((7, 5))
    copy = type(layer).from_config(layer.get_config())
    x = copy(layers.Masking()(inputs) if masked else inputs)
    model = keras.Model(inputs, layers.Dense(2, name="d")(x))
    space = space_of(tmp_path, model, f"{key}: [4, 4, 8]")
    (found,) = space.layers
    kernels = ["ternary", "quantized_bits(4,0,1,alpha=1.0)"]
    assert options(space, "r", Role.KERNEL) == options(space, "r", Role.RECURRENT) == kernels
    assert found.dimensions[Role.KERNEL] != found.dimensions[Role.RECURRENT]
    assert options(space, "r", Role.BIAS) == ["quantized_bits(4,0,1)"]
    assert options(space, "r") == ["quantized_tanh(4)"]
    assert options(space, "r", Role.STATE) == ["quantized_bits(8,2)"]
    if not isinstance(layer, layers.SimpleRNN):
        assert options(space, "r", Role.RECURRENT_ACTIVATION) == ["quantized_sigmoid(4)"]
    quantized = same_price(model, space)
    assert type(quantized.get_layer("r")).__name__ == f"Q{type(layer).__name__}"


@pytest.mark.parametrize("key", ["TimeDistributed", "Dense", "^step"])
def test_time_distributed(tmp_path: Path, key: str) -> None:
    inputs = keras.Input((4, 6, 3))
    x = layers.TimeDistributed(layers.Dense(8, activation="relu"), name="step")(inputs)
    model = keras.Model(inputs, layers.Conv2D(2, 1, name="c")(x))
    space = space_of(tmp_path, model, f"{key}: [4, 4, 4]")
    assert [layer.name for layer in space.layers] == ["step"]
    assert type(same_price(model, space).get_layer("step").layer).__name__ == "QDense"
    with pytest.raises(ConfigError, match=r"limit\.TimeDistributed: matches only layers that are not searched"):
        x = layers.TimeDistributed(layers.LayerNormalization(), name="step")(inputs)
        space_of(tmp_path, keras.Model(inputs, layers.Dense(2)(x)), "Dense: [4]\nTimeDistributed: [4, 4, 4]")


def test_a_model_applied_to_every_time_step(tmp_path: Path) -> None:
    """CNN-LSTM: TimeDistributed around a whole model."""
    frame = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, use_bias=False, name="c"),
            layers.BatchNormalization(name="n"),
            layers.ReLU(name="r"),
            layers.GlobalAveragePooling2D(name="p"),
        ],
        name="frame",
    )
    inputs = keras.Input((5, 8, 8, 1))
    x = layers.TimeDistributed(frame, name="frames")(inputs)
    model = keras.Model(inputs, layers.Dense(2, name="d")(layers.LSTM(3, name="l")(x)))
    graph = read_model(model)
    nodes = {node.layer: node for node in graph.nodes}
    assert nodes["frames/c"].output_shape == (5, 6, 6, 4)
    assert counts(nodes["frames/c"]).macs == 5 * 36 * 4 * 9
    assert pooling_area(nodes["frames/p"]) == 36
    limit = "Conv2D: [4]\nActivation: [8]\nLSTM: [4, 4, 8]"
    space = space_of(tmp_path, model, limit, "{tune_filters: layer, fold_batch_norm: true}")
    assert {layer.name for layer in space.layers} == {"frames/c", "frames/r", "l"}
    quantized = same_price(model, space)
    kinds = {path: type(layer).__name__ for path, layer in layers_by_path(quantized).items()}
    assert kinds["frames/c"] == "QConv2DBatchnorm"
    assert kinds["frames/r"] == "QActivation"
    assert quantized.get_layer("frames").layer.get_layer("c").filters == 2
    quantized.save(tmp_path / "q.keras")
    again = load_model(tmp_path / "q.keras")
    assert read_plan(again) == read_plan(quantized)
    x = numpy.random.default_rng(0).normal(size=(2, 5, 8, 8, 1)).astype("float32")
    numpy.testing.assert_array_equal(again.predict(x, verbose=0), quantized.predict(x, verbose=0))
    plain = apply_plan(model, QuantizationPlan())
    transfer_weights(model, plain)
    numpy.testing.assert_allclose(plain.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)


@pytest.mark.parametrize("key", ["EinsumDense", "Dense"])
def test_einsum_dense_that_is_a_dense_layer(tmp_path: Path, key: str) -> None:
    inputs = keras.Input((5, 6))
    x = layers.EinsumDense("abc,cd->abd", (5, 8), activation="relu", bias_axes="d", name="e")(inputs)
    model = keras.Model(inputs, layers.EinsumDense("abc,cde->abde", (5, 2, 3), name="heads")(x))
    space = space_of(tmp_path, model, f"{key}: [4, 4, 4]")
    assert [layer.name for layer in space.layers] == ["e"]
    assert {one.layer: one.reason for one in space.unsearched} == {"heads": "no quantized form"}
    assert type(same_price(model, space).get_layer("e")).__name__ == "QDense"


def bottleneck() -> keras.Model:
    inputs = keras.Input((8, 8, 4), name="in")
    x = layers.Conv2D(4, 1, use_bias=False, name="c0")(inputs)
    x = layers.BatchNormalization(name="n0")(x)
    y = layers.Conv2D(8, 1, use_bias=False, name="c1")(x)
    y = layers.ReLU(6.0, name="r1")(layers.BatchNormalization(name="n1")(y))
    y = layers.Conv2D(4, 1, name="c2")(y)
    x = layers.Add(name="sum")([x, y])
    y = layers.Activation("relu", name="r3")(layers.Conv2D(4, 1, name="c3")(x))
    x = layers.Concatenate(name="cat")([x, y])
    x = layers.GlobalAveragePooling2D(name="pool")(layers.Dropout(0.1)(x))
    return keras.Model(inputs, layers.Dense(3, name="out")(x), name="bottleneck")


def test_linear_bottlenecks_get_a_quantizer_of_the_linear_group(tmp_path: Path) -> None:
    model = bottleneck()
    assert linear_outputs(read_model(model)) == ("n0", "c2", "sum")
    without = space_of(tmp_path, model, "Conv2D: [4, 4, 4]")
    assert all(Role.OUTPUT not in layer.dimensions for layer in without.layers)
    space = space_of(tmp_path, model, "Conv2D: [4, 4, 4]\nlinear: [8]")
    found = {layer.name: layer for layer in space.layers if Role.OUTPUT in layer.dimensions}
    assert list(found) == ["n0", "c2", "sum"]
    assert all(options(space, name, Role.OUTPUT) == ["quantized_bits(8,2)"] for name in found)
    quantized = same_price(model, space)
    assert [layer.name for layer in quantized.layers if layer.name.endswith("_output")] == [
        "n0_output",
        "c2_output",
        "sum_output",
    ]


def test_folding_is_an_option_of_the_search(tmp_path: Path) -> None:
    model = bottleneck()
    space = space_of(
        tmp_path, model, "Conv2D: [4, 4, 4]\nBatchNormalization: []\nlinear: [8]", "{fold_batch_norm: true}"
    )
    folded = {layer.name: layer.fold.norm for layer in space.layers if layer.fold is not None}
    assert folded == {"c0": "n0", "c1": "n1"}
    assert not {"n0", "n1"} & {layer.name for layer in space.layers}
    assert options(space, "c0", Role.OUTPUT) == ["quantized_bits(8,2)"]
    assert options(space, "c1", Role.BIAS) == ["quantized_bits(4,0,1)"], "a folded layer has a bias"
    quantized = same_price(model, space)
    assert type(quantized.get_layer("c1")).__name__ == "QConv2DBatchnorm"
    assert "n1" not in [layer.name for layer in quantized.layers]


def test_a_model_with_quantized_layers_is_searched_on(tmp_path: Path) -> None:
    model = bottleneck()
    start = apply_plan(model, first(space_of(tmp_path, model, "Conv2D: [2, 4, 4]\nActivation: [4]")))
    space = space_of(tmp_path, start, "Conv2D: [4, 4, 4]")
    assert options(space, "c1", Role.KERNEL) == ["ternary", "quantized_bits(4,0,1,alpha=1.0)"]
    reasons = {one.layer: one.reason for one in space.unsearched}
    assert reasons["r1"] == "keeps the quantizers that it has"
    plan = first(space)
    assert plan.layers["r1"].quantizers == {Role.ACTIVATION: parse("quantized_relu(4,2)")}
    same_price(start, space)
    part = space.part(["c1"], space.base)
    assert first(part).layers.keys() >= {"c0", "c1", "r1", "r3"}
