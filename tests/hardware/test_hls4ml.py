"""hls4ml projects compute what the integer model computes, compiled with g++."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy
import pytest
from slow import by_hand, slow

from qsearch import layers
from qsearch.errors import ConfigError, ExportError
from qsearch.hardware.integer.build import integer_model
from qsearch.hardware.public import export
from qsearch.hardware.targets.hls4ml import TARGET

pytestmark = [
    pytest.mark.extras,
    pytest.mark.skipif(
        importlib.util.find_spec("hls4ml") is None or shutil.which("g++") is None,
        reason="hls4ml (pip install qsearch[hls4ml]) or g++ is not installed",
    ),
]
WEIGHT, BIAS, RELU = "quantized_bits(4,0,1,alpha=1.0)", "quantized_bits(6,2,1,alpha=1.0)", "quantized_relu(4,1)"
QUANTIZED = {"kernel_quantizer": WEIGHT, "bias_quantizer": BIAS, "bias_initializer": "random_normal"}


def dense(kernel: str = WEIGHT) -> keras.Model:
    given = keras.Input((6,))
    x = layers.QDense(5, **QUANTIZED | {"kernel_quantizer": kernel})(given)
    x = layers.QActivation(RELU)(x)
    return keras.Model(given, layers.QDense(3, **QUANTIZED, activation="softmax")(x))


def image() -> keras.Model:
    given = keras.Input((8, 8, 2))
    x = layers.QConv2D(3, 3, padding="same", **QUANTIZED)(given)
    x = keras.layers.BatchNormalization()(x)
    x = layers.QActivation("quantized_relu(4,1)")(x)
    x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(given, layers.QDense(3, **QUANTIZED, activation="softmax")(x))


def residual() -> keras.Model:
    given = keras.Input((6, 6, 2))
    x = layers.QActivation(RELU)(layers.QConv2D(4, 3, padding="same", **QUANTIZED)(given))
    y = layers.QActivation("quantized_bits(5,1,1)")(layers.QConv2D(4, 3, padding="same", **QUANTIZED)(x))
    x = layers.QActivation(RELU)(keras.layers.Add()([x, y]))
    x = keras.layers.GlobalMaxPooling2D()(x)
    return keras.Model(given, layers.QDense(2, **QUANTIZED)(x))


def joined() -> keras.Model:
    given = keras.Input((6, 6, 2))
    x = layers.QDepthwiseConv2D(3, strides=2, depthwise_quantizer=WEIGHT, bias_quantizer=BIAS)(given)
    y = layers.QConv2D(3, 3, strides=2, **QUANTIZED)(given)
    x = keras.layers.Concatenate()([layers.QActivation(RELU)(x), layers.QActivation("quantized_bits(5,1,1)")(y)])
    return keras.Model(given, keras.layers.AveragePooling2D(2)(x))


def sequence(padding: str = "valid") -> keras.Model:
    given = keras.Input((9, 2))
    x = layers.QActivation(RELU)(layers.QConv1D(3, 3, padding="causal", **QUANTIZED)(given))
    x = keras.layers.MaxPooling1D(2, padding=padding)(x)
    return keras.Model(given, keras.layers.GlobalAveragePooling1D()(x))


def dead() -> keras.Model:
    model = image()
    kernel = model.layers[1].kernel
    kernel.assign(numpy.asarray(kernel) * numpy.array([1, 0, 1], numpy.float32))
    return model


def zero() -> keras.Model:
    model = dense()
    model.layers[1].kernel.assign(numpy.zeros(model.layers[1].kernel.shape))
    return model


def filled(model: keras.Model, seed: int = 3) -> keras.Model:
    """The model with statistics that are not those of a new one."""
    random = numpy.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.gamma.shape
            layer.gamma.assign(random.uniform(0.5, 2, shape))
            layer.beta.assign(random.normal(size=shape))
            layer.moving_mean.assign(random.normal(size=shape))
            layer.moving_variance.assign(random.uniform(0.2, 2, shape))
    return model


MODELS = {
    "dense": dense,
    "binary": lambda: dense("binary(alpha=1.0)"),
    "ternary": lambda: dense("ternary(alpha=1.0)"),
    "scaled": lambda: dense("quantized_bits(4,0,1,alpha='auto')"),
    "zero": zero,
    "image": image,
    "dead": dead,
    "residual": residual,
    "joined": joined,
    "sequence": sequence,
}


@pytest.mark.parametrize("name", [(by_hand if place % 2 else slow)(name) for place, name in enumerate(MODELS)])
@pytest.mark.parametrize("io_type", ["io_parallel", "io_stream"])
def test_a_project_computes_what_the_integers_say(tmp_path: Path, name: str, io_type: str) -> None:
    keras.utils.set_random_seed(1)
    done = export(filled(MODELS[name]()), "hls4ml", tmp_path / "out", options={"io_type": io_type})
    assert done.executed
    assert done.comparison.artefact_mismatches == 0
    assert (tmp_path / "out" / "build_prj.tcl").is_file()
    assert not list((tmp_path / "out").rglob("*.so"))
    assert ".partial" not in (tmp_path / "out" / "hls4ml_config.yml").read_text(encoding="utf-8")


@pytest.mark.slow
def test_what_needs_arrays_is_refused_with_streams(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    model = sequence("same")
    with pytest.raises(ExportError, match="use io_parallel"):
        export(model, "hls4ml", tmp_path / "out", options={"io_type": "io_stream"})
    assert export(model, "hls4ml", tmp_path / "out").comparison.artefact_mismatches == 0


@pytest.mark.slow
def test_resources_are_shared(tmp_path: Path) -> None:
    options = {"strategy": "resource", "reuse_factor": 2, "clock_period": 4, "part": "xc7z020clg400-1"}
    assert export(image(), "hls4ml", tmp_path / "out", options=options).comparison.artefact_mismatches == 0
    assert "xc7z020clg400-1" in (tmp_path / "out" / "project.tcl").read_text()


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"io": 1}, "allowed: backend"),
        ({"io_type": "serial"}, "io_parallel, io_stream"),
        ({"reuse_factor": 0}, "whole numbers from 1"),
        ({"clock_period": 0}, "above 0"),
    ],
)
def test_options_are_checked(tmp_path: Path, option: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        export(dense(), "hls4ml", tmp_path / "out", options=option)
    assert not (tmp_path / "out").exists()


def refused(*more: Any) -> keras.Model:
    given = keras.Input((6, 6, 2))
    x = given
    for layer in more:
        x = layer(x)
    return keras.Model(given, x)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([lambda: keras.layers.ZeroPadding2D(1)], "padding 'same'"),
        ([lambda: keras.layers.UpSampling2D(2)], "no exact up-sampling"),
        ([lambda: layers.QActivation("ternary(alpha=1.0)")], "steps where"),
        ([lambda: layers.QConv2D(4, 3, groups=2, **QUANTIZED)], "groups=1"),
        (
            [lambda: layers.QDepthwiseConv2D(3, depth_multiplier=2, depthwise_quantizer=WEIGHT, bias_quantizer=BIAS)],
            "depth_multiplier=1",
        ),
        ([lambda: keras.layers.AveragePooling2D(3), lambda: layers.QActivation(RELU)], "average_quantizer"),
    ],
)
def test_what_is_not_exact_is_refused(more: list[Any], said: str) -> None:
    with pytest.raises(ExportError, match=said):
        TARGET.prepare(integer_model(refused(*(make() for make in more))), {})


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install qsearch\[hls4ml\]"):
        TARGET.prepare(integer_model(dense()), {})
