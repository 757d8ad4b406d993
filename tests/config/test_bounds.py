# ruff: noqa: E501 - tables of what is tried
"""Numbers that a program could count to, and should not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from qsearch.config import load_config
from qsearch.errors import ConfigError

GOOD = {"dataset": "{name: digits}", "model": "{name: digits}", "limit": "{Conv2D: [4, 8, 4]}"}
OWN = "{type: energy, params: {own_process: {name: x, %s}}}"
QUANTIZER = "{Conv2D: [[%s]]}"


def load(folder: Path, section: str, value: str) -> object:
    path = folder / "c.yaml"
    path.write_text("\n".join(f"{key}: {text}" for key, text in {**GOOD, section: value}.items()), encoding="utf-8")
    return load_config(path).config


@pytest.mark.parametrize(
    ("section", "value", "expected"),
    [
        ("run", "{max_trials: 1000000001}", "run.max_trials: found 1000000001, must be <= 1000000000"),
        ("run", "{activation_bits: 33}", "run.activation_bits: found 33, must be <= 32"),
        ("run", f"{{frozen_layers: [{', '.join('a' * 10_001)}]}}", "run.frozen_layers: found 10,001 entries, allowed: 10,000"),
        ("run", f"{{blocks: [{', '.join('a' * 10_001)}]}}", "run.blocks: found 10,001 entries, allowed: 10,000"),
        ("limit", f"{{{', '.join(f'a{index}: 8' for index in range(10_001))}}}", "limit: found 10,001 entries, allowed: 10,000"),
        ("run", "{seed: 4294967296}", "run.seed: found 4294967296, must be <= 4294967295"),
        ("run", "{layer_indexes: [99999999999]}", "run.layer_indexes[0]: found 99999999999, must be <= 1000000000"),
        ("run", "{layer_indexes: 'range(0, 99999999999)'}", "run.layer_indexes: found 99999999999, must be <= 1000000000"),
        ("run", f"{{layer_indexes: 'range(0, {'9' * 5000})'}}", "run.layer_indexes: found 'range(0, 999"),
        ("model", "{name: digits, filters: [99999999]}", "model.filters[0]: found 99999999, must be <= 1000000"),
        ("model", "{name: digits, kernel_size: 99999999}", "model.kernel_size: found 99999999, must be <= 1000000"),
        ("dataset", "{name: digits, augment: {crop: 99999999}}", "dataset.augment.crop: found 99999999, must be <="),
        ("reference", "{class_weight: {99999999: 1}}", "reference.class_weight: found {'99999999': 1}, expected"),
        ("reference", "{class_weight: {²: 1}}", "reference.class_weight: found {'²': 1}, expected"),
        ("reference", "{metrics: [{name: auc, num_thresholds: 99999999}]}", "num_thresholds: found 99999999, must be <="),
        ("goal", "{type: energy, params: {delta_p: 1e300}}", "delta_p: found 1e+300, must be <= 1000000000.0"),
        ("goal", "{type: energy, params: {rate: 1e300}}", "rate: found 1e+300, must be <= 1e+09"),
        ("goal", OWN % "fixed_add: [-1, 0]", "own_process.fixed_add: found [-1.0, 0.0], which is -1 pJ for a width of 1"),
        ("goal", OWN % "fixed_mul: [1e300, 0]", "which is 1e+300 pJ for a width of 1, must be from 0 to 1e+09"),
        ("goal", OWN % "fixed_mul: []", "own_process.fixed_mul: found 0 coefficients, allowed: 1 to 8"),
        ("goal", OWN % "sram_word: [-1]", "own_process.sram_word: found [-1.0], which is -1 pJ for log2 bits 1"),
        ("goal", OWN % "sram_word: [.inf]", "own_process.sram_word[0]: found inf, expected a finite number"),
        ("goal", OWN % "dram_bit: -1", "own_process.dram_bit: found -1, must be >= 0"),
        ("goal", OWN % "float_add: {32: -1}", "own_process.float_add.32: found -1, must be >= 0"),
        ("goal", OWN % "float_add: {64: 1}", "own_process.float_add.64: found '64', allowed: 16, 32"),
        ("limit", QUANTIZER % '"quantized_bits(33)"', "limit.Conv2D[0][0]: quantized_bits: bits: found 33, allowed: 1 to 32"),
        ("limit", QUANTIZER % '"quantized_bits(0)"', "quantized_bits: bits must be a whole number from 1 to 1023, found 0"),
        ("limit", QUANTIZER % '"ternary(number_of_unrolls=1000000000)"', "number_of_unrolls must be a whole number from 1"),
        ("limit", QUANTIZER % '"quantized_bits(4,alpha=-0.5)"', "quantized_bits: alpha must be above 0, found -0.5; a scale"),
        ("limit", QUANTIZER % '"binary(alpha=[1.0,-2.0])"', "binary: alpha must be above 0, found [1.0, -2.0]; a scale"),
        ("limit", QUANTIZER % '"quantized_bits(4,alpha=1e-60)"', "alpha must be None, a number other than 0"),
        ("limit", QUANTIZER % '"quantized_bits(4,alpha=auto,post_training_scale=-1)"', "post_training_scale must be above 0"),
        ("limit", QUANTIZER % '"quantized_bits(4,alpha=auto,post_training_scale=0)"', "post_training_scale must be None, a"),
        ("limit", QUANTIZER % '"quantized_bits(4,qnoise_factor=0.5)"', "qnoise_factor must be 1 in a search, found 0.5"),
        ("limit", QUANTIZER % '"quantized_bits(4,qnoise_factor=1.5)"', "qnoise_factor must be a number from 0 to 1, found 1.5"),
        ("limit", QUANTIZER % '"quantized_relu(4,use_ste=False)"', "use_ste=False has a gradient of zero everywhere"),
        ("limit", QUANTIZER % '"quantized_po2(4,use_ste=0)"', "use_ste=False has a gradient of zero everywhere"),
        ("limit", QUANTIZER % '"quantized_bits(4,1000)"', "integer: found 1000, allowed with 4 bits: -122 to 127 (float32)"),
        ("limit", QUANTIZER % '"quantized_relu(8,-120)"', "integer: found -120, allowed with 8 bits: -118 to 127 (float32)"),
        ("limit", QUANTIZER % '"quantized_sigmoid(1,True)"', "1 bit with symmetric has one level, whatever comes in"),
        ("limit", QUANTIZER % '"quantized_bits(4,scale_axis=[0,0])"', "scale_axis: found [0, 0], which names an axis twice"),
        ("limit", QUANTIZER % '"quantized_bits(4,alpha=auto,min_po2_exponent=3)"', "min_po2_exponent needs alpha='auto_po2'"),
        ("limit", QUANTIZER % '"ternary(alpha=auto,threshold=0.5)"', "an automatic alpha sets the threshold itself"),
        ("limit", QUANTIZER % '"quantized_ulaw(8,u=1e-30)"', "u must be a number from 0.001 to 1000000, found 1e-30"),
        ("limit", QUANTIZER % '"quantized_bits(\u0664)"', "expected a value: a number, True, False, None, a word or a list"),
    ],
)  # fmt: skip
def test_what_is_too_large(tmp_path: Path, section: str, value: str, expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, section, value)
    told = str(error.value)
    assert expected in told
    assert "\n" not in told


@pytest.mark.parametrize(
    "text",
    ["quantized_bits(1)", "quantized_bits(32)", "quantized_bits(4,9)", "quantized_bits(4,-3)", "quantized_po2(1)",
     "quantized_bits(4,alpha=1e-30)", "binary(alpha=0.5)"],
)  # fmt: skip
def test_what_qkeras_takes(tmp_path: Path, text: str) -> None:
    load(tmp_path, "limit", QUANTIZER % f'"{text}"')


def test_many_mistakes_are_counted(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, "run", "{" + ", ".join(f"k{index}: 1" for index in range(200)) + "}")
    told = str(error.value).split("\n")
    assert len(told) == 51
    assert told[-1].endswith("c.yaml: file: 150 more of these")


def test_thousands_of_metrics_are_read_at_once(tmp_path: Path) -> None:
    start = time.monotonic()
    load(tmp_path, "reference", "{metrics: [" + ", ".join(f"'a:b{index}'" for index in range(5000)) + "]}")
    assert time.monotonic() - start < 10  # a comparison of each with each takes three times as long
