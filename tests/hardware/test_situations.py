"""What converters of AutoQKeras' winners stumbled over (hls4ml issues 385, 397, 640), in every target that takes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy
import pytest
from keras import layers
from slow import by_hand, slow

import qsearch
from qsearch.errors import ConfigError, ExportError
from qsearch.hardware.integer.build import integer_model
from qsearch.hardware.targets import TARGETS, target_named

FIXED = "quantized_bits(4,0,1,alpha=1.0)"
COMPILED = ("hls4ml", "verilog")
FAST = sorted({*TARGETS} - {*COMPILED})


def network(kernel: str, activation: str = "quantized_relu(4,2)", bias: str = "quantized_bits(8,3,1)") -> keras.Model:
    """Two convolutions, a batch normalization, a softmax at the end; random weights."""
    inputs = keras.Input((8, 8, 2), name="image")
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(4, 3, name="first")(inputs))
    x = layers.MaxPooling2D(2)(layers.Activation("relu", name="act0")(x))
    x = layers.Activation("relu", name="act1")(layers.Conv2D(4, 2, name="second")(x))
    model = keras.Model(inputs, layers.Dense(3, activation="softmax", name="head")(layers.Flatten()(x)))
    entry = {"kernel_quantizer": kernel, "bias_quantizer": bias}
    made = qsearch.quantize_model(model, {"QConv2D": entry, "QDense": entry, "QActivation": {"relu": activation}})
    random = numpy.random.default_rng(0)
    for variable in made.weights:
        value = random.normal(size=variable.shape) * 0.3
        if variable.path.rpartition("/")[2] in ("moving_variance", "gamma"):
            value = numpy.abs(value) + 0.5
        if variable.dtype == "float32":
            variable.assign(value)
    return made


def without(kernel: str, *dead: str, whole: bool = False) -> keras.Model:
    """Kernels with a channel of zeros, or of nothing but zeros."""
    made = network(kernel)
    for name in dead:
        weights = numpy.array(made.get_layer(name).kernel)
        weights[..., slice(None) if whole else 1] = 0
        made.get_layer(name).kernel.assign(weights)
    return made


SITUATIONS: dict[str, Callable[[], keras.Model]] = {
    "scales that are powers of two": lambda: network("quantized_bits(4,0,1,alpha='auto_po2')"),
    "binary weights": lambda: network("binary"),
    "scaled binary weights": lambda: network("binary(alpha='auto_po2')"),
    "ternary weights": lambda: network("ternary"),
    "stochastic ternary weights": lambda: network("stochastic_ternary(alpha='auto_po2')"),
    "weights that are powers of two": lambda: network("quantized_po2(4,1)", bias="quantized_po2(4,8)"),
    "activations with integer bits": lambda: network(FIXED, "quantized_relu(8,4)"),
    "wide activations": lambda: network("quantized_bits(8,0,1,alpha=1.0)", "quantized_relu(16,8)"),
    "rounding away from zero": lambda: network(FIXED, "quantized_relu(4,2,rounding='half_away')"),
    "dead channels": lambda: without("quantized_bits(4,0,1,alpha='auto_po2')", "first", "second"),
    "dead ternary channels": lambda: without("ternary", "first", "second"),
    "a constant network": lambda: without(FIXED, "second", "head", whole=True),
}
REFUSED = {
    ("finn", "wide activations"): "at most 256",
    ("litert", "wide activations"): "8 bits",
    ("litert", "weights that are powers of two"): "from -127 to 127",
}
"""What a target cannot have, and says so."""
TABLES = ("binary", "ternary", "quantized_relu_po2(4,4)")


def check(target: str, model: keras.Model, folder: Path) -> None:
    try:
        found = qsearch.export(model, target, folder)
    except ConfigError as error:
        pytest.skip(str(error))
    assert set(found.comparison.keras_mismatches.values()) == {0}
    assert found.comparison.artefact_mismatches == 0


@pytest.mark.parametrize("target", FAST)
@pytest.mark.parametrize("name", SITUATIONS)
def test_is_exact(name: str, target: str, tmp_path: Path) -> None:
    if (target, name) in REFUSED:
        with pytest.raises((ExportError, ConfigError), match=f"{REFUSED[target, name]}|pip install"):
            qsearch.export(SITUATIONS[name](), target, tmp_path / "out")
    else:
        check(target, SITUATIONS[name](), tmp_path / "out")


@pytest.mark.extras
@pytest.mark.parametrize("name", [(by_hand if place % 2 else slow)(name) for place, name in enumerate(SITUATIONS)])
def test_is_exact_in_hls4ml(name: str, tmp_path: Path) -> None:
    check("hls4ml", SITUATIONS[name](), tmp_path / "out")


@pytest.mark.extras
@pytest.mark.slow
@pytest.mark.parametrize("name", SITUATIONS)
def test_is_exact_as_a_circuit(name: str, tmp_path: Path) -> None:
    """By alkaid's interpreter, against which every circuit is held when it is written: Verilator takes minutes."""
    pytest.importorskip("alkaid")
    verilog = target_named("verilog")
    assert verilog.prepare(integer_model(SITUATIONS[name]()), {})(tmp_path)


@pytest.mark.parametrize("activation", TABLES)
@pytest.mark.parametrize("target", ["c", "codes", "onnx", "qonnx"])
def test_tables_are_exact(activation: str, target: str, tmp_path: Path) -> None:
    check(target, network(FIXED, activation), tmp_path / "out")


@pytest.mark.parametrize("kernel", ["quantized_bits(4,0,1,alpha='auto')", "binary(alpha='auto')"])
def test_real_scales_are_exact_in_integers_and_told(kernel: str, tmp_path: Path) -> None:
    """Keras rounds their products in float32; the integers do not."""
    found = qsearch.export(network(kernel), "codes", tmp_path / "out")
    assert found.comparison.artefact_mismatches == 0
    assert found.comparison.largest_difference < 1e-6
    assert "head" in found.model.inexact
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "Keras computes in float32, which rounds in" in text


def test_a_target_that_cannot_be_exact_says_where(tmp_path: Path) -> None:
    with pytest.raises((ExportError, ConfigError), match=r"24 bits of float32|pip install"):
        qsearch.export(network("quantized_bits(4,0,1,alpha='auto')"), "qonnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()
