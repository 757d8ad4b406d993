"""A configuration's limits applied to real networks."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import keras
import pytest

from qsearch.config import load_config
from qsearch.energy.estimate import EnergySettings, price_plan
from qsearch.errors import ConfigError
from qsearch.graph.from_keras import read_model, read_plan
from qsearch.graph.walk import layers_by_path
from qsearch.models import build_model
from qsearch.plan import Role
from qsearch.quantize.apply import apply_plan
from qsearch.quantizers import QuantizerSpec, parse
from qsearch.search.limits import indexed_layers, search_space
from qsearch.search.space import FILTER_FACTORS, SearchSpace


def space_of(folder: Path, model: keras.Model, limit: str, run: str = "{}") -> SearchSpace:
    path = folder / "c.yaml"
    text = "dataset: {name: digits}\nmodel: {name: digits}\nlimit:\n" + indent(dedent(limit).strip("\n"), "  ")
    path.write_text(f"{text}\nrun: {run}\n", encoding="utf-8")
    return search_space(read_model(model), [layer.name for layer in model.layers], load_config(path))


@pytest.fixture(scope="module")
def mnist() -> keras.Model:
    return build_model("mnist")


def names(space: SearchSpace) -> list[str]:
    return [layer.name for layer in space.layers]


def shown(space: SearchSpace) -> dict[str, tuple[object, ...]]:
    """The options of each dimension, quantizers by their texts."""
    return {
        dimension.name: tuple(str(o) if isinstance(o, QuantizerSpec) else o for o in dimension.options)
        for dimension in space.dimensions
    }


def test_the_seeds_flat_experiment(mnist: keras.Model) -> None:
    root = Path(__file__).resolve().parents[2]
    loaded = load_config(root / "configs" / "mnist_flat.yaml")
    space = search_space(read_model(mnist), [layer.name for layer in mnist.layers], loaded)
    options = shown(space)
    assert options["conv2d_0_kernel_quantizer"] == (
        "binary",
        "stochastic_binary",
        "ternary",
        "stochastic_ternary",
        "quantized_bits(2,1,1,alpha=1.0)",
        "quantized_bits(4,0,1,alpha=1.0)",
        "quantized_po2(4,1)",
    )
    assert "quantized_bits(8,0,1,alpha=1.0)" in options["dense_kernel_quantizer"]
    assert options["act_2_activation_quantizer"] == (
        "binary",
        "ternary",
        "quantized_relu_po2(4,4)",
        "quantized_relu(3,1)",
        "quantized_relu(4,2)",
    )
    assert options["network_filters_conv2d_3"] == (0.5, 0.75, 1.0, 1.5, 2.0)
    assert "network_filters_dense" not in options
    # 5 kernels of 7, 5 activations of 5, 5 widths of 5, the dense layer's 8 kernels and 3 biases
    assert space.size == 7**5 * 5**5 * 5**5 * 8 * 3
    assert "softmax" not in names(space)
    assert [layer.dimensions for layer in space.layers if layer.name == "bn_0"] == [{}]


def test_layers_of_a_pattern_share_one_choice(mnist: keras.Model, tmp_path: Path) -> None:
    space = space_of(tmp_path, mnist, '"^conv2d_[1234]$": [2]\n"^act_": [[ternary, "quantized_relu(3,1)"]]\n')
    assert {d.name: len(d.options) for d in space.dimensions} == {
        "^conv2d_[1234]$_kernel_quantizer": 5,
        "^act__activation_quantizer": 2,
    }
    assert names(space) == [f"{k}_{i}" for i in range(5) for k in ("conv2d", "act") if (k, i) != ("conv2d", 0)]
    plan = space.plan(
        dict.fromkeys(("^conv2d_[1234]$_kernel_quantizer", "^act__activation_quantizer"), parse("ternary"))
    )
    assert {plan.layers[f"conv2d_{i}"].quantizers[Role.KERNEL] for i in range(1, 5)} == {parse("ternary")}


def test_the_first_pattern_wins_over_later_ones_and_over_the_class(mnist: keras.Model, tmp_path: Path) -> None:
    limit = 'Conv2D: [4]\n"^conv2d_0$": [[binary]]\n"^conv2d_[01]$": [[ternary]]'
    space = space_of(tmp_path, mnist, limit)
    options = shown(space)
    assert options["^conv2d_0$_kernel_quantizer"] == ("binary",)
    assert options["^conv2d_[01]$_kernel_quantizer"] == ("ternary",)
    assert len(options["conv2d_2_kernel_quantizer"]) == 7


def test_only_layers_that_match_are_quantized(mnist: keras.Model, tmp_path: Path) -> None:
    assert names(space_of(tmp_path, mnist, "Dense: [8]")) == ["dense"]


@pytest.mark.parametrize(
    ("indexes", "expected"),
    [
        ("{start: 1, stop: -1}", ["conv2d_0", "conv2d_1", "conv2d_2", "conv2d_3", "conv2d_4"]),
        ("{start: 5, stop: 10}", ["conv2d_1", "conv2d_2"]),
        ("[1, 9]", ["conv2d_0", "conv2d_2"]),
        ("{start: 6}", ["conv2d_2", "conv2d_3", "conv2d_4"]),
        ("range(1, 2)", ["conv2d_0"]),
    ],
)
def test_layer_indexes(mnist: keras.Model, tmp_path: Path, indexes: str, expected: list[str]) -> None:
    space = space_of(
        tmp_path, mnist, "Conv2D: [4]", f"{{layer_indexes: {indexes}}}".replace("range(1, 2)", '"range(1, 2)"')
    )
    assert names(space) == expected


def test_frozen_layers_stay_float(mnist: keras.Model, tmp_path: Path) -> None:
    space = space_of(tmp_path, mnist, "Conv2D: [4]", "{frozen_layers: [conv2d_1, conv2d_3]}")
    assert names(space) == ["conv2d_0", "conv2d_2", "conv2d_4"]


def test_one_width_for_the_whole_network(mnist: keras.Model, tmp_path: Path) -> None:
    space = space_of(tmp_path, mnist, "Conv2D: [4]", '{tune_filters: block, tune_filters_exceptions: "_0$"}')
    widths = {layer.name: layer.filters_dimension for layer in space.layers}
    assert widths == {"conv2d_0": None, **{f"conv2d_{i}": "network_filters" for i in range(1, 5)}}


def test_the_models_output_keeps_its_width(mnist: keras.Model, tmp_path: Path) -> None:
    space = space_of(tmp_path, mnist, "Dense: [4]", "{tune_filters: layer}")
    assert space.layers[0].filters_dimension is None
    assert space.notes == ("dense: keeps its 10 filters: they are the model's output",)


def joined(merge: keras.layers.Layer, **shapes: int) -> keras.Model:
    """Two convolutions on one input, joined; then two more layers."""
    inputs = keras.Input((8, 8, 3))
    a = keras.layers.Conv2D(shapes.get("a", 4), 3, padding="same", name="a")(inputs)
    b = keras.layers.Conv2D(shapes.get("b", 4), 3, padding="same", name="b")(a)
    x = keras.layers.Conv2D(6, 3, name="c")(merge([a, b]))
    return keras.Model(inputs, keras.layers.Dense(2, name="d")(keras.layers.Flatten()(x)))


def test_channels_that_are_added_share_one_width(tmp_path: Path) -> None:
    model = joined(keras.layers.Add())
    space = space_of(tmp_path, model, "Conv2D: [4, 8, 4]", "{tune_filters: layer}")
    assert [layer.filters_dimension for layer in space.layers] == [
        "network_filters_a",
        "network_filters_a",
        "network_filters_c",
    ]
    assert space.layers[0].tied == ("a", "b")
    for factor in FILTER_FACTORS:
        values = {d.name: factor if "filters" in d.name else d.options[0] for d in space.dimensions}
        plan = space.plan(values)
        quantized = apply_plan(model, plan)  # all widths fit together
        assert quantized.get_layer("b").filters == plan.layers["a"].filters == int(4 * factor)


def test_channels_that_are_concatenated_have_widths_of_their_own(tmp_path: Path) -> None:
    space = space_of(tmp_path, joined(keras.layers.Concatenate(), b=6), "Conv2D: [4, 8, 4]", "{tune_filters: layer}")
    assert [layer.filters_dimension for layer in space.layers] == [f"network_filters_{name}" for name in "abc"]
    rows = space_of(tmp_path, joined(keras.layers.Concatenate(axis=1)), "Conv2D: [4, 8, 4]", "{tune_filters: layer}")
    assert [layer.filters_dimension for layer in rows.layers] == [
        "network_filters_a",
        "network_filters_a",
        "network_filters_c",
    ]


def test_what_is_added_to_a_kept_width_keeps_its_own(tmp_path: Path) -> None:
    space = space_of(
        tmp_path,
        joined(keras.layers.Add()),
        "Conv2D: [4, 8, 4]",
        "{tune_filters: layer, tune_filters_exceptions: ^b}",
    )
    assert [layer.filters_dimension for layer in space.layers] == [None, None, "network_filters_c"]
    assert space.notes == ("a: keeps its 4 filters: its channels are added to those of b, which keeps its width",)
    inputs = keras.Input((8, 8, 4))
    x = keras.layers.Conv2D(4, 3, padding="same", name="a")(inputs)
    x = keras.layers.Conv2D(6, 3, name="c")(keras.layers.Add(name="add")([x, inputs]))
    x = keras.layers.Dense(2, name="d")(keras.layers.Flatten()(x))
    space = space_of(tmp_path, keras.Model(inputs, x), "Conv2D: [4, 8, 4]", "{tune_filters: layer}")
    assert [layer.filters_dimension for layer in space.layers] == [None, "network_filters_c"]
    assert space.notes[0].startswith("a: keeps its 4 filters: layer 'add': Add needs equal widths")


def activations_model() -> keras.Model:
    inputs = keras.Input((6,))
    x = inputs
    for index, function in enumerate(("relu", "tanh", "linear", "elu", "sigmoid", "softmax")):
        x = keras.layers.Dense(5, name=f"d{index}")(x)
        x = keras.layers.Activation(function, name=function)(x)
    return keras.Model(inputs, keras.layers.Dense(2, activation="relu", name="last")(x))


def test_each_activation_function_gets_what_computes_it(tmp_path: Path) -> None:
    space = space_of(tmp_path, activations_model(), "Activation: [4]", "{activation_bits: 5}")
    options = shown(space)
    assert set(options) == {"relu_activation_quantizer", "linear_linear_quantizer"}
    assert options["linear_linear_quantizer"] == ("binary", "ternary", "quantized_bits(4,1)")
    fixed = {layer.name: layer.fixed[Role.ACTIVATION] for layer in space.layers if layer.fixed}
    assert fixed == {"tanh": parse("quantized_tanh(5)"), "sigmoid": parse("quantized_sigmoid(5)")}
    left = {one.layer: one.reason for one in space.unsearched if one.class_name == "Activation"}
    assert left == {
        "elu": "no quantizer computes elu",
        "softmax": "softmax is an answer, not a number to compute with",
    }
    assert "softmax" not in names(space)


def test_an_activation_inside_a_layer_is_searched_too(tmp_path: Path) -> None:
    space = space_of(tmp_path, activations_model(), "last: [[ternary], 8, 3]")
    assert set(space.layers[0].dimensions) == {Role.KERNEL, Role.BIAS, Role.ACTIVATION}


def test_the_learning_rate_can_be_searched(mnist: keras.Model, tmp_path: Path) -> None:
    space = space_of(tmp_path, mnist, "Dense: [4]", "{learning_rate_optimizer: true}")
    assert space.dimensions[-1].name == "learning_rate_step"
    assert len(space.dimensions[-1].options) == 5


ERRORS = [
    ('Conv2d: [4]', "{}", "c.yaml:4:3: limit.Conv2d: matches no layer of mnist; did you mean 'Conv2D'?"),
    ('"^conv_0$": [4]', "{}", "c.yaml:4:3: limit.^conv_0$: matches no layer of mnist; did you mean 'conv2d_0'?"),
    ('"^act_0$": [1]\n"^act_1$": [0]', "{}", "c.yaml:5:15: limit.^act_1$[0]: no kernel quantizer with <= 0 bits"),
    ('DepthwiseConv2D: [4]', "{}", "c.yaml:3:1: limit: no layer would be quantized; classes of mnist: "
     "Conv2D, BatchNormalization, Activation, Dense"),
    ('Conv2D: [4]', "{layer_indexes: [1, 99]}", "c.yaml:5:26: run.layer_indexes[1]: found 99, allowed: 0 to 23 "
     "(layers of mnist)"),
    ('Conv2D: [4]', "{layer_indexes: {start: 30}}", "c.yaml:5:7: run.layer_indexes: selects no layer of mnist, which "
     "has layers 0 to 23"),
    ('Conv2D: [4]', "{frozen_layers: [conv2d_9]}", "c.yaml:5:23: run.frozen_layers[0]: mnist has no layer 'conv2d_9'; "
     "did you mean 'conv2d_"),
]  # fmt: skip


@pytest.mark.parametrize(("limit", "run", "expected"), ERRORS)
def test_messages(mnist: keras.Model, tmp_path: Path, limit: str, run: str, expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        space_of(tmp_path, mnist, limit, run)
    assert str(error.value).replace(f"{tmp_path}/", "").startswith(expected)


def test_indexed_layers_without_limits_are_all(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("dataset: {name: digits}\nmodel: {name: digits}\nlimit: {Dense: [4]}\n")
    assert indexed_layers("m", ["a", "b"], load_config(path)) == ("a", "b")


def test_every_searchable_layer_has_a_plan_and_a_price(tmp_path: Path) -> None:
    stack = [keras.Input((36, 3)), keras.layers.Conv1D(4, 3, name="c1"), keras.layers.Flatten()]
    inner = keras.Sequential(stack, name="inner")
    inputs = keras.Input((8, 8, 2))
    x = keras.layers.SeparableConv2D(3, 3, activation="relu", name="sep")(inputs)
    x = keras.layers.Conv2DTranspose(3, 1, name="up")(x)
    x = inner(keras.layers.Reshape((36, 3))(x))
    model = keras.Model(inputs, keras.layers.Dense(2, name="out")(x))
    limit = """
        SeparableConv2D: [4, 8, 4]
        Conv2DTranspose: [4, 8, 4]
        Conv1D: [2, 8, 4]
        ^out: [8]
    """
    path = tmp_path / "c.yaml"
    text = "dataset: {name: digits}\nmodel: {name: digits}\nlimit:\n" + indent(dedent(limit).strip("\n"), "  ")
    path.write_text(text + "\n", encoding="utf-8")
    space = search_space(read_model(model), list(layers_by_path(model)), load_config(path))
    assert names(space) == ["sep", "up", "inner/c1", "out"]
    roles = {layer.name: set(layer.dimensions) for layer in space.layers}
    assert roles["sep"] == {Role.KERNEL, Role.POINTWISE, Role.BIAS, Role.ACTIVATION}
    plan = space.plan({dimension.name: dimension.options[0] for dimension in space.dimensions})
    built = apply_plan(model, plan)
    priced = price_plan(read_model(model), plan, EnergySettings())
    assert priced.total == price_plan(read_model(built), read_plan(built), EnergySettings()).total
    assert all(priced.layers[name].op_cost > 0 for name in names(space))


def test_a_pattern_behind_a_wider_one(tmp_path: Path, mnist: keras.Model) -> None:
    with pytest.raises(ConfigError) as error:
        space_of(tmp_path, mnist, "^conv2d: [4, 8, 4]\n^conv2d_1: [8, 8, 4]")
    assert str(error.value).endswith(
        "c.yaml:5:3: limit.^conv2d_1: every layer that it matches is governed by '^conv2d', which stands before it; "
        "put it first"
    )
    both = space_of(tmp_path, mnist, "^conv2d_1: [8, 8, 4]\n^conv2d: [4, 8, 4]")
    assert {layer.key for layer in both.layers} >= {"^conv2d_1", "^conv2d"}
    assert space_of(tmp_path, mnist, "^conv2d_1: [8, 8, 4]\n^(conv2d_1|dense): [4, 8, 4]")
