"""Exported weights: values are codes times scale to the last bit; `qsearch verify` finds those that are not."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy
import pytest
from click.testing import CliRunner

import qsearch
from qsearch import layers
from qsearch.cli.verify import verify as command
from qsearch.errors import ModelError, OutputError, VerificationError
from qsearch.graph.from_keras import read_model
from qsearch.hardware.ebops import effective_bit_operations
from qsearch.hardware.verify import State, on_grid
from qsearch.hardware.weights import arrays
from qsearch.quantizers import get

RNG = numpy.random.default_rng(2)
KERNELS = [
    "quantized_bits(4,0,1,alpha=1.0)",
    "quantized_bits(4,1,alpha=0.3)",
    "quantized_bits(4,0,1)",
    "quantized_bits(5,2,1,alpha='auto')",
    "quantized_bits(4,0,keep_negative=False,alpha='auto_po2')",
    "quantized_bits(1)",
    "quantized_bits(1,0,1,alpha=1.0)",
    "quantized_bits(3,alpha='auto_po2',scale_axis=1,elements_per_scale=2)",
    "quantized_bits(4,alpha='auto',post_training_scale=[[0.5,1.0,2.0,4.0]])",
    "quantized_linear(4,0)",
    "quantized_linear(4,1,alpha=0.7)",
    "quantized_linear(1,alpha='auto')",
    "binary",
    "binary(use_01=True,alpha=0.5)",
    "ternary",
    "ternary(threshold=0.2)",
    "stochastic_ternary(alpha='auto')",
    "stochastic_binary",
    "bernoulli",
    "quantized_po2(4,1)",
    "quantized_po2(8)",
    "quantized_po2(6,quadratic_approximation=True)",
    "quantized_relu_po2(4,1,negative_slope=0.25)",
    "quantized_relu(4,1)",
    "quantized_relu(5,1,negative_slope=0.25)",
    "quantized_relu(4,1,use_sigmoid=1)",
    "quantized_tanh(4)",
    "quantized_sigmoid(4)",
    "quantized_ulaw(5,1)",
    "quantized_hswish(6,1,alpha=1.0)",
    "binary_tanh",
    "binary_sigmoid",
]


def dense(kernel: str) -> keras.Model:
    inputs = keras.Input((6,))
    layer = layers.QDense(4, kernel_quantizer=kernel, bias_quantizer="quantized_bits(6,2)", name="d")
    model = keras.Model(inputs, layer(inputs))
    model.set_weights([RNG.normal(size=(6, 4)), RNG.normal(size=4)])
    return model


@pytest.mark.parametrize("kernel", KERNELS)
def test_values_are_rebuilt_from_whole_codes_to_the_last_bit(kernel: str) -> None:
    model = dense(kernel)
    weight = qsearch.quantized_weights(model)["d"]["kernel"]
    used = get(kernel).for_weights()  # type: ignore[union-attr]
    assert numpy.array_equal(weight.values, used(model.layers[1].kernel).numpy())
    assert weight.codes is not None
    assert weight.codes.dtype == "int64"
    assert numpy.array_equal(weight.rebuilt, weight.values)
    x = RNG.normal(size=(3, 6)).astype("float32")
    bias = qsearch.quantized_weights(model)["d"]["bias"].rebuilt
    numpy.testing.assert_allclose(x @ weight.rebuilt + bias, model(x), rtol=1e-5, atol=1e-5)
    assert {item.state for item in qsearch.verify(model)} == {State.TRAINED}


def everything() -> keras.Model:
    image = keras.Input((6, 6, 2))
    x = layers.QDepthwiseConv2D(2, depthwise_quantizer="ternary", name="dw")(image)
    x = layers.QSeparableConv2D(4, 2, depthwise_quantizer="binary", pointwise_quantizer="quantized_po2(4)", name="s")(x)
    x = layers.QBatchNormalization(name="bn")(x)
    x = layers.QConv2DBatchnorm(3, 2, kernel_quantizer="quantized_bits(4,0,1)", name="f")(x)
    x = keras.layers.Reshape((9, 3))(x)
    x = layers.QBidirectional(
        layers.QLSTM(2, kernel_quantizer="quantized_bits(4)", recurrent_quantizer="ternary"), name="b"
    )(x)
    inner = keras.Sequential([keras.Input((4,)), layers.QDense(2, kernel_quantizer="binary", name="d")], name="in")
    return keras.Model(image, inner(x))


def test_every_kind_of_layer_is_exported() -> None:
    model = everything()
    found = qsearch.quantized_weights(model)
    assert {name: list(parts) for name, parts in found.items()} == {
        "dw": ["depthwise", "bias"],
        "s": ["depthwise", "pointwise", "bias"],
        "bn": ["gamma", "beta", "mean", "variance"],
        "f": ["kernel", "bias"],
        "b": [f"{way}_{part}" for way in ("forward", "backward") for part in ("kernel", "recurrent", "bias")],
        "in/d": ["kernel", "bias"],
    }
    states = {f"{item.layer}/{item.weight}": item.state for item in qsearch.verify(model)}
    assert states["f/kernel"] is State.FOLDED
    assert states["f/bias"] is State.FLOAT
    assert State.OFF not in states.values()
    flat = arrays(found)
    assert flat["s/pointwise/codes"].shape == (1, 1, 2, 4)
    assert set(numpy.unique(flat["s/pointwise/signs"])) <= {-1.0, 1.0}


def test_stored_levels_give_the_same_outputs() -> None:
    model = everything()
    copy, kept = on_grid(model)
    x = RNG.normal(size=(4, 6, 6, 2)).astype("float32")
    assert numpy.array_equal(copy(x), model(x))
    assert set(kept) == {"f/kernel"}
    states = {f"{item.layer}/{item.weight}": item.state for item in qsearch.verify(copy)}
    assert states["dw/depthwise"] is states["s/pointwise"] is states["b/forward_recurrent"] is State.STORED


@pytest.mark.parametrize(
    ("kernel", "value", "problem"),
    [
        ("quantized_bits(4,0,1,alpha=1.0)", numpy.nan, "1 of 24 values are no finite numbers"),
        ("quantized_bits(4,0,1,alpha=1.0,qnoise_factor=0.5)", 0.3, "of 24 values are no whole number of steps"),
        ("hard_tanh", 0.3, "its quantizer has no grid"),
    ],
)
def test_what_is_off_its_grid(kernel: str, value: float, problem: str) -> None:
    model = dense(kernel)
    weights = model.get_weights()
    weights[0][0, 0] = value
    model.set_weights(weights)
    first = qsearch.verify(model)[0]
    assert first.state is State.OFF
    assert problem in first.problem


def test_a_float_model_has_nothing_to_verify() -> None:
    with pytest.raises(ModelError, match="has no quantized layer"):
        qsearch.verify(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))


def test_the_command(tmp_path: Path) -> None:
    model = dense("ternary")
    path = str(tmp_path / "m.keras")
    model.save(path)
    runner = CliRunner()
    found = runner.invoke(command, [path, "--format", "json"], catch_exceptions=False)
    assert found.exit_code == 0
    told = json.loads(found.stdout)
    assert (told["schema"], told["model"], told["error"]) == ("qsearch.verify/1", path, None)
    rows = told["weights"]
    assert [row["weight"] for row in rows] == ["kernel", "bias"]
    assert rows[0]["quantizer"] == "ternary(alpha='auto_po2')"
    assert rows[0]["state"] == "on its grid (stored as float)"
    with pytest.raises(VerificationError, match="d/kernel: is stored as trained float; see --write, and 1 more"):
        runner.invoke(command, [path, "--stored"], catch_exceptions=False)
    refused = runner.invoke(
        command, [path, "--stored", "--format", "json"], catch_exceptions=False, standalone_mode=False
    )
    assert refused.return_value == 7
    assert json.loads(refused.stdout)["error"]["exit_code"] == 7
    levels, codes = str(tmp_path / "levels.keras"), str(tmp_path / "codes.npz")
    runner.invoke(command, [path, "--write", levels, "--weights", codes], catch_exceptions=False)
    assert runner.invoke(command, [levels, "--stored"], catch_exceptions=False).exit_code == 0
    saved = numpy.load(codes)
    assert numpy.array_equal(saved["d/kernel/codes"] * saved["d/kernel/scale"], saved["d/kernel/values"])
    again = qsearch.load_model(levels)
    weights = again.get_weights()
    weights[0][0, 0] += 0.01
    again.set_weights(weights)
    again.save(levels)
    with pytest.raises(VerificationError, match="d/kernel: is stored as trained float"):
        runner.invoke(command, [levels, "--stored"], catch_exceptions=False)
    weights[0][0, 0] = numpy.inf
    again.set_weights(weights)
    again.save(levels)
    with pytest.raises(VerificationError, match="d/kernel: "):
        runner.invoke(command, [levels], catch_exceptions=False)


def test_where_the_command_cannot_write(tmp_path: Path) -> None:
    path = str(tmp_path / "m.keras")
    dense("binary").save(path)
    for option, target, message in (
        ("--weights", "codes.csv", "ends in '.csv', expected .npz"),
        ("--write", "/proc/x.keras", "/proc/x.keras cannot be written"),
    ):
        with pytest.raises(OutputError, match=message):
            CliRunner().invoke(command, [path, option, target], catch_exceptions=False)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("kernel", ["quantized_bits(4,0,1,alpha='auto')", "quantized_bits(4,alpha='auto_po2')",
                                    "quantized_po2(4)", "ternary", "binary(alpha='auto')"])  # fmt: skip
def test_weights_that_are_no_numbers(kernel: str, value: float) -> None:
    model = dense(kernel)
    weight = model.layers[-1].kernel.numpy()
    weight[0, 0] = value
    model.layers[-1].kernel.assign(weight)
    found = {item.weight: item for item in qsearch.verify(model)}
    assert found["kernel"].state is State.OFF
    report = qsearch.estimate_energy(model, reference=None)
    operations = effective_bit_operations(model, read_model(model), report)
    assert (operations is None) == (numpy.isnan(value) or "bits" in kernel)  # others clip what is infinite
    assert all(numpy.isfinite(array).all() for name, array in arrays(qsearch.quantized_weights(model)).items()
               if name.endswith("codes"))  # fmt: skip
