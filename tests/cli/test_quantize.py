"""`qsearch quantize`: a run's plan gives the run's model, and mistakes in a plan are told with their places."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy
import pytest
import yaml
from click.testing import CliRunner, Result
from tiny_run import tiny

import qsearch
from qsearch.cli.quantize import quantize
from qsearch.errors import ConfigError, ModelError
from qsearch.graph.from_keras import read_plan
from qsearch.plan import QuantizationPlan
from qsearch.runner.run_result import RunResult


def done(*arguments: object) -> Result:
    return CliRunner().invoke(quantize, [*map(str, arguments)])


@pytest.mark.slow
def test_the_plan_of_a_run_costs_what_the_run_says(tiny_result: RunResult, tmp_path: Path) -> None:
    folder = tiny_result.run_directory
    reference, best = tmp_path / "reference.keras", folder / "best" / "plan.yaml"
    tiny_result.reference.save(reference)
    out = tmp_path / "new" / "out.keras"
    result = done(reference, "--plan", best, "-o", out, "--evaluate", folder / "config.yaml", "--format", "json")
    assert result.exception is None, result.output
    told = json.loads(result.stdout)
    assert told["energy"]["after"]["total"] == pytest.approx(tiny_result.summary["best"]["energy"])
    assert told["energy"]["before"]["total"] == pytest.approx(tiny_result.summary["reference"]["energy"])
    model = qsearch.load_model(out)
    plan = QuantizationPlan.from_dict(yaml.safe_load(best.read_text(encoding="utf-8")))
    assert {*read_plan(model)} == {*plan}
    assert told["initialised"] == []
    test = tiny_result.summary["reference"]["test"]
    assert told["metrics"]["before"]["acc"] == pytest.approx(test["acc"])
    assert 0 <= told["metrics"]["after"]["acc"] <= 1


def test_weights_are_kept_or_made_anew(tmp_path: Path) -> None:
    dense = keras.layers.Dense(3, name="d")
    file, plan = tmp_path / "m.keras", tmp_path / "p.yaml"
    model = keras.Sequential([keras.Input((4,)), dense, keras.layers.Dense(2, name="e")])
    model.save(file)
    plan.write_text("d: {kernel: 'quantized_bits(4,0,1)', filters: 2}", encoding="utf-8")
    kept = done(file, "--plan", plan, "-o", tmp_path / "kept.keras")
    assert kept.exception is None, kept.exception
    assert "left alone: e: not in the plan" in kept.stdout and "weights that are new" not in kept.stdout
    assert "wrote" in kept.stderr and "wrote" not in kept.stdout
    columns = {tuple(column) for column in dense.kernel.numpy().T}
    narrow = qsearch.load_model(tmp_path / "kept.keras").get_layer("d").kernel.numpy()
    assert {tuple(column) for column in narrow.T} < columns
    fresh = done(file, "--plan", plan, "-o", tmp_path / "fresh.keras", "--weights", "fresh")
    assert "weights that are new, not the model's: d, e" in fresh.stdout


def test_a_lambda_layer_is_loaded_where_that_is_allowed(tmp_path: Path) -> None:
    layers = [
        keras.layers.Reshape((64,)),
        keras.layers.Dense(10, name="d"),
        keras.layers.Lambda(lambda x: 2.0 * x, name="twice"),
        keras.layers.Activation("softmax"),
    ]
    file, plan, out = tmp_path / "m.keras", tmp_path / "p.yaml", tmp_path / "out.keras"
    model = keras.Sequential([keras.Input((8, 8, 1)), *layers])
    model.save(file)
    plan.write_text("d: {kernel: 'quantized_bits(4,0,1)'}", encoding="utf-8")
    refused = done(file, "--plan", plan, "-o", out)
    assert isinstance(refused.exception, ModelError)
    assert "layer 'twice' is a Lambda, which would run code from the file" in str(refused.exception)
    assert not out.exists()
    config = tiny(tmp_path, tmp_path / "run")
    allowed = done(file, "--plan", plan, "-o", out, "--allow-code", "--evaluate", config)
    assert allowed.exception is None, allowed.output
    assert "on the test set: " in allowed.stdout
    quantized, x = qsearch.load_model(out, allow_code=True), numpy.eye(64, dtype="float32").reshape(64, 8, 8, 1)
    before, after = model.predict(x, verbose=0), quantized.predict(x, verbose=0)
    assert not numpy.array_equal(before, after)
    assert numpy.allclose(before, after, atol=0.2)
    named = done("digits", "--plan", plan, "-o", out, "--allow-code")
    assert "--allow-code: is for a model file" in str(named.exception)


PLAN = """\
conv2d_0: {kernle: ternary, bias: 3, filters: 0}
conv2d_9: {kernel: ternary}
act_0: {activation: quantised_relu(4), filters: 3}
dense: ternary
flatten: {kernel: binary}
conv2d_1: {fold: bn_2}
conv2d_2: {fold: {norm: bn_2, mod: x}, kernel: 'quantized_bits(4,0,1,scale_axis=9)'}
"""
MISTAKES = (
    "1:12: conv2d_0.kernle: conv2d_0 has no 'kernle', allowed: kernel, activation, output, filters, bias, fold; did "
    "you mean 'kernel'?",
    "1:35: conv2d_0.bias: found 3, expected a quantizer such as 'quantized_bits(4,0,1)'",
    "1:47: conv2d_0.filters: found 0, expected a whole number from 1 to 1,000,000",
    "2:1: conv2d_9: digits has no layer 'conv2d_9'; did you mean",
    "3:21: act_0.activation: unknown quantizer 'quantised_relu'; did you mean 'quantized_relu'?",
    "3:40: act_0.filters: act_0 has no 'filters', allowed: activation, output, adaptive",
    "4:8: dense: found 'ternary', expected its roles",
    "5:1: flatten: nothing to quantize in this layer",
    "6:18: conv2d_1.fold: found 'bn_2', and the batch normalization that folds into it is bn_1",
    "7:36: conv2d_2.fold.mod: unknown key, allowed: norm, mode, freeze_delay; did you mean 'mode'?",
    "7:48: conv2d_2.kernel: ",
)


def test_every_mistake_of_a_plan_is_told(tmp_path: Path) -> None:
    plan = tmp_path / "p.yaml"
    plan.write_text(PLAN, encoding="utf-8")
    error = done("digits", "--plan", plan, "-o", tmp_path / "o.keras").exception
    assert isinstance(error, ConfigError)
    lines = sorted(str(error).split("\n"))
    assert len(lines) == len(MISTAKES)
    for line, mistake in zip(lines, MISTAKES, strict=True):
        assert line.startswith(f"{plan}:{mistake}")
    assert not (tmp_path / "o.keras").exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", "a"])
def test_a_plan_that_is_none(tmp_path: Path, text: str) -> None:
    plan = tmp_path / "p.yaml"
    plan.write_text(text, encoding="utf-8")
    error = done("digits", "--plan", plan, "-o", tmp_path / "o.keras").exception
    assert isinstance(error, ConfigError), error


def test_where_it_writes(tmp_path: Path) -> None:
    plan, model = tmp_path / "p.yaml", tmp_path / "m.keras"
    plan.write_text("a: {kernel: ternary}", encoding="utf-8")
    model.touch()
    assert "ends in .keras" in str(done("digits", "--plan", plan, "-o", tmp_path / "m.h5").exception)
    assert "is MODEL itself" in str(done(model, "--plan", plan, "-o", model).exception)
