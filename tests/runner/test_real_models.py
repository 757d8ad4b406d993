"""Whole runs of networks as people build them: cheaper than the reference, and worth what the saved model costs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from click.testing import CliRunner
from slow import by_hand, slow

from qsearch.cli.main import cli
from qsearch.runner.pipeline import run
from qsearch.runner.run_result import RunResult

NETS = '''
import keras
import numpy
from keras import layers, ops


def sensors():
    """An LSTM on windows of sensor data, with rows to ignore."""
    inputs = keras.Input((8, 3), name="in")
    x = layers.Masking()(layers.Normalization(mean=0.1, variance=2.0)(inputs))
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True), name="both")(x)
    x = layers.GRU(4, name="gru")(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="out")(x))


def steps():
    inputs = keras.Input((8, 3), name="in")
    x = layers.TimeDistributed(layers.Dense(4, activation="relu"), name="step")(inputs)
    x = layers.EinsumDense("abc,cd->abd", (8, 6), bias_axes="d", activation="tanh", name="dense")(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="out")(layers.Flatten()(x)))


def transformer():
    inputs = keras.Input((8, 3), name="in")
    x = layers.Dense(8, name="embed")(inputs) + 0.1
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4, name="attend")(x, x))
    y = layers.Dense(8, name="back")(layers.Dense(16, activation="gelu", name="wide")(x))
    x = ops.mean(layers.RMSNormalization()(x + y), axis=1)
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="out")(x))


def mobile():
    """An inverted residual block with a gate."""
    inputs = keras.Input((8, 3), name="in")
    x = layers.Conv2D(4, 1, use_bias=False, name="c0")(layers.Reshape((4, 2, 3))(inputs))
    x = layers.BatchNormalization(name="n0")(x)
    y = layers.Conv2D(8, 1, use_bias=False, name="c1")(x)
    y = layers.ReLU(6.0, name="r1")(layers.BatchNormalization(name="n1")(y))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="c2")(y)
    y = layers.LeakyReLU(negative_slope=0.125, name="r2")(layers.BatchNormalization(name="n2")(y))
    gate = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(y))
    gate = layers.Conv2D(8, 1, activation="sigmoid", name="gate")(gate)
    y = layers.Conv2D(4, 1, use_bias=False, name="c3")(y * gate)
    x = x + layers.BatchNormalization(name="n3")(y)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(6, 1, activation="relu", name="c4")(x))
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="out")(x))


def unet():
    inputs = keras.Input((8, 3), name="in")
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="down")(layers.Reshape((4, 2, 3))(inputs))
    y = layers.Conv2D(6, 3, padding="same", activation="relu", name="deep")(layers.MaxPooling2D(2)(x))
    y = layers.Conv2DTranspose(4, 2, strides=2, activation="relu", name="up")(y)
    x = layers.Conv2D(3, 1, name="mix")(layers.Concatenate()([x, y]))
    x = layers.GlobalAveragePooling2D()(layers.ZeroPadding2D()(x))
    return keras.Model(inputs, layers.Activation("softmax", name="out")(x))


def started():
    import qsearch

    entry = {"kernel_quantizer": "ternary", "activation": "quantized_relu(4,2)"}
    return qsearch.quantize_model(unet(), {"QConv2D": entry, "QConv2DTranspose": entry})


def data():
    rng = numpy.random.default_rng(0)
    x = rng.normal(size=(96, 8, 3)).astype("float32")
    y = x[:, 0].argmax(axis=1)
    return (x[:64], y[:64]), (x[64:], y[64:])


def two():
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    x = layers.Dense(6, activation="relu", name="left")(a) + layers.Dense(6, activation="relu", name="right")(b)
    kind = layers.Dense(3, activation="softmax", name="kind")(x)
    return keras.Model([a, b], [kind, layers.Dense(1, name="size")(x)])


def pairs():
    rng = numpy.random.default_rng(0)

    def part(n):
        x = {"a": rng.normal(size=(n, 4)).astype("float32"), "b": rng.normal(size=(n, 3)).astype("float32")}
        return x, {"kind": numpy.eye(3)[x["b"].argmax(axis=1)], "size": x["a"].sum(axis=1, keepdims=True)}

    return part(64), part(32)
'''
CONFIG = """
dataset: {factory: "NETS:DATA", validation: 0.25}
model: {factory: "NETS:MODEL"}
reference: {epochs: 1, loss: LOSS}
quantization_config:
  kernel: {ternary: 2, "quantized_bits(4,0,1,alpha=1.0)": 4}
  bias: {"quantized_bits(4,0,1)": 4}
  activation: {"quantized_relu(4,2)": 4, "quantized_tanh(4)": 4, "quantized_sigmoid(4)": 4}
  linear: {"quantized_bits(8,2)": 8}
limit: {Dense: [4], Conv2D: [4], DepthwiseConv2D: [4], Conv2DTranspose: [4], LSTM: [4, 4, 8], GRU: [4, 4, 8],
        default: [4, 4, 4], Activation: [4], BatchNormalization: []}
goal:
  type: energy
  params: {parameters_on_memory: sram, activations_on_memory: sram, rd_wr_on_io: false, source_quantizers: [int8],
           reference_internal: int8, reference_accumulator: int32}
run: {output_dir: OUT, max_trials: 1, epochs: 1, seed: 3, prune: false}
"""


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name = f"nets_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(dedent(NETS))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    sys.modules.pop(name, None)


def searched(
    nets: str, model: str, *overrides: str, data: str = "data", loss: str = "categorical_crossentropy"
) -> RunResult:
    text = CONFIG.replace("NETS", nets).replace("MODEL", model).replace("DATA", data).replace("LOSS", loss)
    Path("c.yaml").write_text(text.replace("OUT", str(Path("out").resolve())), encoding="utf-8")
    return run("c.yaml", overrides)


def saved_energy(result: RunResult) -> float:
    done = CliRunner().invoke(cli, ["energy", str(result.run_directory / "best" / "model.keras"), "--format", "json"])
    assert done.exit_code == 0, done.output
    return float(json.loads(done.output)["total"])


WIDE = ("limit.linear=[8]", "run.tune_filters=layer")


@pytest.mark.parametrize(
    ("model", "overrides"),
    [
        by_hand("sensors", ()),
        ("steps", ("run.tune_filters=layer",)),
        slow("transformer", ("limit.linear=[8]",)),
        by_hand("mobile", ()),
        ("mobile", (*WIDE, "run.fold_batch_norm=true", "run.transfer_weights=true")),
        slow("mobile", ("limit.linear=[8]", 'run.blocks=["^[cnr][01]", "."]', "run.min_trials_per_block=1")),
        slow("unet", WIDE),
        by_hand("started", ()),
    ],
)
def test_what_a_run_says_is_what_its_model_costs(nets: str, model: str, overrides: tuple[str, ...]) -> None:
    result = searched(nets, model, *overrides)
    summary = result.summary
    assert summary["trials"]["failed"] == 0
    assert saved_energy(result) == summary["best"]["energy"]
    if "run.tune_filters=layer" not in overrides and model != "started":
        assert summary["best"]["energy"] < summary["reference"]["energy"]
        assert summary["dearer"] is None
    assert result.load_best().count_params() == summary["best"]["parameters"]


def test_two_inputs_and_two_heads(nets: str) -> None:
    result = searched(
        nets, "two", "run.head_name=kind", data="pairs", loss="{kind: categorical_crossentropy, size: mse}"
    )
    assert saved_energy(result) == result.summary["best"]["energy"] < result.summary["reference"]["energy"]
    assert set(result.summary["best"]["plan"]) == {"left", "right", "kind", "size"}


@pytest.mark.slow
def test_the_cost_of_a_model_that_has_quantizers(nets: str) -> None:
    own = searched(nets, "started").summary
    assert own["reference_cost"] == "own"
    other = searched(nets, "started", "goal.params.reference_cost=unquantized", "run.output_dir=other").summary
    assert other["reference_cost"] == "unquantized"
    assert own["reference"]["energy"] < other["reference"]["energy"] / 2
    assert searched(nets, "unet", "run.output_dir=third").summary["reference_cost"] == "unquantized"


def test_what_is_left_out_is_told(nets: str) -> None:
    summary = searched(nets, "transformer").summary
    left = {one["layer"]: one for one in summary["unsearched"]}
    assert left["attend"]["reason"] == "no quantized form"
    assert 0.2 < left["attend"]["share"] < 1
    assert summary["unsearched_share"] >= left["attend"]["share"]
    assert any(
        note.startswith("activation not quantized: wide: no quantizer computes gelu") for note in summary["notes"]
    )
    report = Path("out/report.md").read_text()
    assert "attend (MultiHeadAttention)" in report


def test_a_search_without_any_saving_says_so(nets: str) -> None:
    options = {"quantized_bits(16,0,1,alpha=1.0)": 16}
    overrides = (
        f"quantization_config.kernel={json.dumps(options)}",
        'quantization_config.activation={"quantized_relu(24,8)": 4}',
        "limit={Conv2D: [16, 4, 4], Conv2DTranspose: [16, 4, 4]}",
    )
    result = searched(nets, "unet", *overrides)
    dearer: list[dict[str, Any]] = result.summary["dearer"]
    assert result.summary["best"]["energy"] > result.summary["reference"]["energy"]
    assert {one["layer"] for one in dearer} >= {"deep", "mix"}
    assert all(one["best"] > one["reference"] for one in dearer)
    report = Path("out/report.md").read_text()
    assert "**No trial is cheaper than the reference.**" in report
    assert "times more energy than the reference" in report
    done = CliRunner().invoke(cli, ["run", "c.yaml", "--plain", *(f"--set={text}" for text in overrides)])
    assert "times more energy than the reference" in done.output
    assert "no trial is cheaper than the reference; what costs the best one more: " in done.output
