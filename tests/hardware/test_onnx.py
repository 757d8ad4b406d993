"""QONNX and ONNX files give every bit of the integer model, by qonnx's executor and by onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy
import pytest

from qsearch import layers as q
from qsearch.errors import ConfigError, ExportError
from qsearch.hardware.integer.build import integer_model
from qsearch.hardware.public import export
from qsearch.hardware.targets import onnx_graph

onnx = pytest.importorskip("onnx", reason="qsearch[qonnx] is not installed")
pytest.importorskip("onnxruntime", reason="qsearch[qonnx] is not installed")
pytestmark = pytest.mark.extras

BITS = {"kernel_quantizer": "quantized_bits(4,0,1,alpha=1)", "bias_quantizer": "quantized_bits(6,2,1)"}
RELU = "quantized_relu(4,1)"
TARGETS = ["qonnx", "onnx"]


def dense() -> keras.Model:
    image = keras.Input((7,), name="image")
    x = q.QDense(6, activation=RELU, **BITS)(image)
    return keras.Model(image, q.QDense(3, **BITS)(x))


def convolutions() -> keras.Model:
    image = keras.Input((9, 8, 2))
    x = q.QConv2D(4, 3, strides=2, padding="same", activation="quantized_bits(5,1)", **BITS)(image)
    x = q.QConv2D(5, (2, 1), padding="valid", **BITS)(x)
    x = q.QBatchNormalization()(x)
    x = q.QActivation(RELU)(x)
    x = keras.layers.MaxPooling2D((2, 2), padding="same")(x)
    x = keras.layers.Flatten()(x)
    x = q.QActivation("quantized_bits(3,1)")(x)
    x = q.QDense(4, **BITS)(x)
    return keras.Model(image, keras.layers.Activation("softmax")(x))


def plain_normalization() -> keras.Model:
    image = keras.Input((6, 6, 2))
    x = q.QConv2D(4, 3, use_bias=False, **BITS)(image)
    x = keras.layers.BatchNormalization()(x)
    x = q.QActivation("quantized_relu(3,1)")(x)
    x = q.QConv2D(2, 3, **BITS)(x)
    return keras.Model(image, keras.layers.ReLU()(x))


def residual() -> keras.Model:
    image = keras.Input((6, 6, 3))
    x = q.QConv2D(4, 3, padding="same", activation=RELU, **BITS)(image)
    y = q.QConv2D(4, 3, padding="same", **BITS)(x)
    x = q.QActivation("quantized_bits(6,2)")(keras.layers.Add()([x, y]))
    x = keras.layers.Subtract()([x, keras.layers.Maximum()([x, y])])
    x = q.QConv2D(2, 2, **BITS)(q.QActivation("quantized_bits(5,2)")(x))
    return keras.Model(image, x)


def depthwise() -> keras.Model:
    image = keras.Input((7, 7, 3))
    x = q.QDepthwiseConv2D(3, depth_multiplier=2, depthwise_quantizer="quantized_bits(4,0,1,alpha=1)")(image)
    x = q.QActivation(RELU)(x)
    x = q.QSeparableConv2D(
        4,
        2,
        depthwise_quantizer="quantized_bits(4,0,1,alpha=1)",
        pointwise_quantizer="quantized_bits(4,0,1,alpha=1)",
        bias_quantizer="quantized_bits(4)",
    )(x)
    x = keras.layers.ZeroPadding2D(((1, 0), (0, 2)))(x)
    x = keras.layers.UpSampling2D((1, 2))(x)
    x = keras.layers.AveragePooling2D(2)(x)
    x = keras.layers.Permute((3, 1, 2))(x)
    return keras.Model(image, keras.layers.Reshape((2, -1))(x))


def sequence() -> keras.Model:
    signal = keras.Input((12, 3))
    x = q.QConv1D(4, 3, padding="causal", activation=RELU, **BITS)(signal)
    x = q.QConv1D(4, 3, strides=2, padding="same", activation=RELU, **BITS)(x)
    x = q.QDense(5, activation=RELU, **BITS)(x)
    x = keras.layers.MaxPooling1D(2)(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(signal, q.QDense(3, **BITS)(x))


def branches() -> keras.Model:
    image, other = keras.Input((6, 6, 2)), keras.Input((6, 6, 1))
    x = q.QConv2D(3, 3, padding="same", activation=RELU, **BITS)(image)
    y = q.QConv2D(2, 3, padding="same", activation="quantized_bits(5,1)", **BITS)(other)
    x = keras.layers.Concatenate()([x, y, other])
    y = keras.layers.Concatenate(axis=1)([y, y])
    x = q.QConv2D(2, 2, **BITS)(x)
    return keras.Model([image, other], [x, q.QActivation("quantized_bits(3)")(y)])


def odd_average(quantized: bool, windows: bool) -> keras.Model:
    image = keras.Input((7, 7, 2))
    x = q.QConv2D(4, 3, activation=RELU, **BITS)(image)
    if windows:
        x = keras.layers.AveragePooling2D((3, 1), strides=1)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    if quantized:
        x = q.QActivation("quantized_bits(6,1)")(x)
    return keras.Model(image, q.QDense(3, **BITS)(x))


def average_at_the_end() -> keras.Model:
    image = keras.Input((5, 5, 2))
    x = q.QConv2D(4, 3, activation=RELU, **BITS)(image)
    return keras.Model(image, keras.layers.GlobalAveragePooling2D(keepdims=True)(x))


def kernels(kernel: str, activation: str = RELU) -> keras.Model:
    image = keras.Input((6, 6, 2))
    x = q.QConv2D(4, 3, kernel_quantizer=kernel, bias_quantizer="quantized_bits(4)", activation=activation)(image)
    x = q.QDense(3, kernel_quantizer=kernel, bias_quantizer="quantized_bits(4)")(keras.layers.Flatten()(x))
    return keras.Model(image, x)


def broad() -> keras.Model:
    """Of shapes that onnxruntime has kernels of few bits for."""
    image = keras.Input((8, 8, 4))
    x = q.QConv2D(64, 3, activation="quantized_relu(9,3)", **BITS)(image)
    own = {**BITS, "kernel_quantizer": "quantized_bits(6,0,1,alpha=1)"}  # a scale that no other constant shares
    y = q.QDense(16, **own)(keras.layers.Flatten()(keras.layers.AveragePooling2D(4)(x)))
    x = q.QDense(32, activation="quantized_relu(8,4)", **BITS)(y)
    return keras.Model(image, [y, q.QDense(16, **BITS)(x)])


def zeros() -> keras.Model:
    model = dense()
    model.layers[1].kernel.assign(numpy.zeros((7, 6)))
    return model


MODELS: dict[str, Callable[[], keras.Model]] = {
    "dense": dense,
    "convolutions": convolutions,
    "plain normalization": plain_normalization,
    "residual": residual,
    "depthwise": depthwise,
    "sequence": sequence,
    "branches": branches,
    "odd average": lambda: odd_average(True, False),
    "odd average without quantizer": lambda: odd_average(False, False),
    "odd windows": lambda: odd_average(True, True),
    "average at the end": average_at_the_end,
    "binary": lambda: kernels("binary(alpha=1)", "binary(alpha=1)"),
    "ternary": lambda: kernels("ternary(alpha=1)", "quantized_tanh(4)"),
    "powers of two": lambda: kernels("quantized_po2(4,1)", "quantized_bits(8,2)"),
    "scales of channels": lambda: kernels("quantized_bits(4,0,1,alpha='auto_po2')"),
    "real scales": lambda: kernels("quantized_bits(3,0,1,alpha='auto')", "ternary(alpha=1)"),
    "half away": lambda: kernels(BITS["kernel_quantizer"], "quantized_bits(4,2,rounding='half_away')"),
    "powers of two as activations": lambda: kernels(BITS["kernel_quantizer"], "quantized_relu_po2(3,2)"),
    "zeros": zeros,
    "broad": broad,
}


def trained(model: keras.Model, seed: int = 3) -> keras.Model:
    """With weights such as training gives."""
    random = numpy.random.default_rng(seed)
    for variable in model.weights:
        if "seed" in variable.path:
            continue
        values = random.normal(scale=0.4, size=variable.shape)
        if "variance" in variable.path or "gamma" in variable.path:
            values = random.uniform(0.3, 2.5, size=variable.shape)
        if numpy.any(numpy.asarray(variable)) or "kernel" not in variable.path:
            variable.assign(values)
    return model


def exported(model: keras.Model, target: str, folder: Path, **options: Any) -> Any:
    if target == "qonnx":
        pytest.importorskip("qonnx", reason="qsearch[qonnx] is not installed")
    return export(model, target, folder, sources="quantized_bits(8,1,1)", **options)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", MODELS)
def test_files_give_every_bit(name: str, target: str, tmp_path: Path) -> None:
    found = exported(trained(MODELS[name]()), target, tmp_path / "made")
    assert found.executed
    assert found.comparison.artefact_mismatches == 0
    assert found.comparison.samples == 205
    onnx.checker.check_model(onnx.load(tmp_path / "made" / "model.onnx"))


def wide_convolution() -> keras.Model:
    image = keras.Input((6, 6, 4))
    wide = {"kernel_quantizer": "quantized_bits(16,0,1,alpha=1)", "bias_quantizer": "quantized_bits(24,3,1)"}
    x = q.QConv2D(4, 3, padding="same", **wide)(image)
    x = keras.layers.ReLU()(q.QBatchNormalization()(x))
    x = keras.layers.MaxPooling2D(2)(x)
    x = q.QConv2D(2, 2, activation="quantized_bits(6,3)", **wide)(q.QActivation("quantized_relu(4,1)")(x))
    return keras.Model(image, q.QDense(2, **wide)(keras.layers.GlobalMaxPooling2D()(x)))


def wide_sums() -> keras.Model:
    image = keras.Input((40,))
    wide = {"kernel_quantizer": "quantized_bits(20,0,1,alpha=1)", "bias_quantizer": "quantized_bits(24,3,1)"}
    return keras.Model(image, q.QDense(5, **wide)(image))


@pytest.mark.parametrize("target", TARGETS)
def test_sums_of_more_than_24_bits_are_exact_in_float64(target: str, tmp_path: Path) -> None:
    model = trained(wide_convolution())
    assert integer_model(model).inexact
    exported(model, target, tmp_path / "made", options={"float64": True})
    graph = onnx.load(tmp_path / "made" / "model.onnx").graph
    assert len([node for node in graph.node if node.op_type == "Conv"]) > 2  # kernels in parts


def test_sums_that_float32_rounds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"differ.*float64"):
        exported(trained(wide_sums()), "qonnx", tmp_path / "made")
    exported(trained(wide_sums()), "qonnx", tmp_path / "wide", options={"float64": True})
    exported(trained(wide_sums()), "onnx", tmp_path / "plain")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("source", ["quantized_bits(8,0,1)", "quantized_bits(4,1,rounding='half_away')"])
def test_real_inputs_are_rounded_by_the_file(target: str, source: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model = trained(dense())
    if target == "qonnx":
        pytest.importorskip("qonnx", reason="qsearch[qonnx] is not installed")
    found = export(model, target, tmp_path / "made", sources=source)
    ties = numpy.arange(-70, 70).reshape(20, 7) / 8 * 2.0 ** -found.model.sources[0].form.fraction
    inputs = numpy.concatenate([ties, numpy.random.default_rng(0).normal(size=(44, 7))]).astype("float32")
    wanted = next(iter(found.model.predict({found.model.sources[0].name: inputs}).values()))
    path = str(tmp_path / "made" / "model.onnx")
    if target == "onnx":
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        given = session.run(None, {session.get_inputs()[0].name: inputs})[0]
    else:
        from qonnx.core.modelwrapper import ModelWrapper
        from qonnx.core.onnx_exec import execute_onnx

        made = ModelWrapper(path)
        name = made.graph.input[0].name
        rows = [next(iter(execute_onnx(made, {name: row[None]}).values())) for row in inputs]
        given = numpy.concatenate(rows)
    assert numpy.array_equal(given, wanted)


def quants(folder: Path) -> dict[str, tuple[str, float]]:
    """Operation and bits (of a BipolarQuant: scale) of what each quantizer of a file gives."""
    graph = onnx.load(folder / "model.onnx").graph
    values = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    nodes = [node for node in graph.node if node.op_type in ("Quant", "BipolarQuant")]
    for node in nodes:
        assert all(values[name].ndim == 0 for name in node.input[1:])
    return {node.output[0]: (node.op_type, float(values[node.input[-1]])) for node in nodes}


def test_precision_is_told_by_quant_nodes(tmp_path: Path) -> None:
    exported(trained(dense()), "qonnx", tmp_path / "dense")
    found = quants(tmp_path / "dense")
    assert found["image:quantized"] == ("Quant", 8)
    assert {bits for name, (_, bits) in found.items() if name.endswith(":kernel")} == {4}
    exported(trained(kernels("binary(alpha=1)")), "qonnx", tmp_path / "binary")
    kinds = {kind for name, (kind, _) in quants(tmp_path / "binary").items() if name.endswith(":kernel")}
    assert kinds == {"BipolarQuant"}
    exported(trained(zeros()), "qonnx", tmp_path / "zeros")
    found = quants(tmp_path / "zeros")
    assert all(bits >= 1 for _, bits in found.values())


def test_inputs_on_no_even_grid_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"quantized_po2.*no evenly spaced levels.*sources="):
        export(trained(dense()), "onnx", tmp_path / "made", sources="quantized_po2(4,1)")


def test_unknown_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown option 'flaot64'; did you mean 'float64'"):
        export(trained(dense()), "onnx", tmp_path / "made", options={"flaot64": True})
    with pytest.raises(ConfigError, match=r"option float64: 1; allowed: true, false"):
        export(trained(dense()), "onnx", tmp_path / "made", options={"float64": 1})


def test_a_missing_package_is_told() -> None:
    with pytest.raises(ConfigError, match=r"needs the package no_such_thing.*pip install 'qsearch\[qonnx\]'"):
        onnx_graph.require("qonnx", "qonnx", ["no_such_thing"])
