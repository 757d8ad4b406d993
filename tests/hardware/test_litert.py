"""LiteRT files give every bit of the integer model, with the kernels that they are written for."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy
import pytest
from integer_layers import LAYERS, weighted

from qsearch import layers as q
from qsearch.errors import ConfigError, ExportError, OutputError
from qsearch.exit_codes import ExitCode
from qsearch.hardware.integer.build import integer_model
from qsearch.hardware.public import Exported, export, verify_export
from qsearch.hardware.targets import litert, onnx_graph
from qsearch.hardware.targets.litert_file import File, Quantization
from qsearch.hardware.targets.litert_rounding import DEFAULT, DENSE_REFERENCE, REFERENCE, rounded

pytest.importorskip("ai_edge_litert", reason="qsearch[litert] is not installed")
pytestmark = pytest.mark.extras

SOURCE = "quantized_bits(8,1,1)"
BITS = {"kernel_quantizer": "quantized_bits(4,0,1,alpha=1)", "bias_quantizer": "quantized_bits(6,2,1)"}
EIGHT = {"kernel_quantizer": "quantized_bits(8,0,1,alpha=1)", "bias_quantizer": "quantized_bits(8,3,1)"}
PARTS = {"depthwise_quantizer": "quantized_bits(4,0,1,alpha=1)"}


def relu(rounding: str, bits: int = 4) -> str:
    return f"quantized_relu({bits},1,rounding='{rounding}')"


def levels(rounding: str, bits: int = 5) -> str:
    return f"quantized_bits({bits},1,rounding='{rounding}')"


def dense(rounding: str, weights: Any = None) -> keras.Model:
    weights = weights or BITS
    signal = keras.Input((9,), name="signal")
    x = q.QDense(12, activation=relu(rounding), **weights)(signal)
    x = q.QDense(8, activation=levels(rounding, 6), **weights)(x)
    return keras.Model(signal, q.QDense(4, activation="softmax", name="classes", **weights)(x))


def sequence(rounding: str) -> keras.Model:
    signal = keras.Input((14, 3))
    x = q.QConv1D(4, 3, padding="causal", dilation_rate=2, activation=relu(rounding), **BITS)(signal)
    x = q.QConv1D(5, 3, strides=2, padding="same", activation=levels(rounding), **BITS)(x)
    x = q.QDense(6, activation=relu(rounding), **BITS)(x)
    x = keras.layers.MaxPooling1D(2)(x)
    return keras.Model(signal, q.QDense(3, **BITS)(keras.layers.Flatten()(x)))


def image(rounding: str) -> keras.Model:
    given = keras.Input((9, 8, 2))
    x = q.QConv2D(4, 3, strides=2, padding="same", activation=levels(rounding), **BITS)(given)
    x = q.QConv2D(5, (2, 1), **BITS)(x)
    x = keras.layers.MaxPooling2D((2, 2), padding="same")(x)
    x = keras.layers.Flatten()(q.QActivation(relu(rounding, 6))(x))
    return keras.Model(given, q.QActivation(levels(rounding))(q.QDense(4, **BITS)(x)))


def depthwise(rounding: str) -> keras.Model:
    given = keras.Input((7, 7, 3))
    x = q.QDepthwiseConv2D(3, depth_multiplier=2, padding="same", **PARTS)(given)
    x = q.QActivation(levels(rounding, 6))(x)
    separable = {**PARTS, "pointwise_quantizer": "quantized_bits(4,0,1,alpha=1)"}
    x = q.QSeparableConv2D(4, 2, bias_quantizer="quantized_bits(4)", **separable)(x)
    x = q.QActivation(relu(rounding))(x)
    x = keras.layers.UpSampling2D((1, 2))(keras.layers.ZeroPadding2D(((1, 0), (0, 2)))(x))
    x = q.QActivation(relu(rounding, 5))(keras.layers.AveragePooling2D(2)(x))
    x = keras.layers.Permute((3, 1, 2))(x)
    return keras.Model(given, keras.layers.Reshape((2, -1))(x))


def residual(rounding: str, bits: int = 4) -> keras.Model:
    given = keras.Input((6, 6, 3))
    x = q.QConv2D(4, 3, padding="same", activation=relu(rounding, bits), **BITS)(given)
    y = q.QConv2D(4, 3, padding="same", activation=levels(rounding, bits + 1), **BITS)(x)
    x = q.QActivation(relu(rounding, 5))(keras.layers.Add()([x, y]))
    y = q.QConv2D(4, 3, padding="same", **BITS)(x)  # its sums are added as they are
    y = q.QActivation(levels(rounding))(keras.layers.Subtract()([x, y]))
    x = keras.layers.Concatenate()([x, y, keras.layers.Maximum()([x, y])])
    return keras.Model(given, q.QConv2D(2, 2, **BITS)(x))


def pooled(rounding: str) -> keras.Model:
    """Averages over 9, 2 and 6 cells, the last without a quantizer."""
    given = keras.Input((9, 9, 2))
    x = keras.layers.AveragePooling2D(3)(q.QConv2D(4, 3, padding="same", activation=relu(rounding), **BITS)(given))
    x = q.QConv2D(3, 1, activation=relu(rounding), **BITS)(q.QActivation(relu(rounding, 6))(x))
    x = q.QActivation(levels(rounding))(keras.layers.AveragePooling2D((2, 1), strides=1)(x))
    return keras.Model(given, q.QDense(3, **BITS)(keras.layers.GlobalAveragePooling2D()(x)))


def several(rounding: str) -> keras.Model:
    one, other = keras.Input((6, 6, 2), name="one"), keras.Input((6, 6, 1), name="other")
    x = q.QConv2D(3, 3, padding="same", activation=relu(rounding), **BITS)(one)
    y = q.QConv2D(3, 3, padding="same", activation=levels(rounding), **BITS)(other)
    z = q.QActivation(levels(rounding, 6))(keras.layers.Multiply()([x, y]))
    both = keras.layers.Concatenate(axis=1)([x, y])
    pool = keras.layers.GlobalMaxPooling2D(name="pool")(z)
    return keras.Model([one, other], [q.QConv2D(2, 2, name="sums", **BITS)(both), pool, both])


def kernels(rounding: str, kernel: str, activation: str = "") -> keras.Model:
    given = keras.Input((6, 6, 2))
    weights = {"kernel_quantizer": kernel, "bias_quantizer": "quantized_bits(4)"}
    x = q.QConv2D(4, 3, activation=activation or relu(rounding), **weights)(given)
    x = q.QConv2D(4, 2, activation=relu(rounding), **weights)(x)
    return keras.Model(given, q.QDense(3, activation=levels(rounding), **weights)(keras.layers.Flatten()(x)))


def normalized(rounding: str, layer: Callable[[], Any] = keras.layers.BatchNormalization) -> keras.Model:
    given = keras.Input((6, 6, 2))
    x = q.QConv2D(6, 3, use_bias=False, **BITS)(given)
    x = q.QActivation(relu(rounding))(layer()(x))
    x = q.QConv2D(6, 2, use_bias=False, **EIGHT)(x)
    x = q.QActivation(relu(rounding))(layer()(x))
    return keras.Model(given, q.QDense(3, **BITS)(keras.layers.Flatten()(x)))


def dead(rounding: str) -> keras.Model:
    model = trained(image(rounding))
    for layer in model.layers[1:]:
        if hasattr(layer, "kernel"):
            values = numpy.array(layer.kernel)
            values[..., ::2] = 0
            layer.kernel.assign(values)
    model.layers[2].kernel.assign(numpy.zeros(model.layers[2].kernel.shape))
    return model


def grouped(rounding: str) -> keras.Model:
    given = keras.Input((8, 8, 4))
    x = q.QConv2D(8, 3, groups=2, dilation_rate=2, padding="same", activation=relu(rounding), **BITS)(given)
    x = keras.layers.ReLU(max_value=1.0)(keras.layers.UpSampling2D(3)(x))
    return keras.Model(given, keras.layers.MaxPooling2D(3, strides=2, padding="same")(x))


MODELS: dict[str, Callable[[str], keras.Model]] = {
    "dense": dense,
    "dense, 8 bits": lambda rounding: dense(rounding, EIGHT),
    "sequence": sequence,
    "image": image,
    "depthwise": depthwise,
    "residual": residual,
    "residual, 7 bits": lambda rounding: residual(rounding, 7),
    "pooled": pooled,
    "several": several,
    "binary": lambda rounding: kernels(rounding, "binary(alpha=1)", "binary(alpha=1)"),
    "binary of halves": lambda rounding: kernels(rounding, "binary(alpha=1)", "binary(alpha=0.5)"),
    "ternary": lambda rounding: kernels(rounding, "ternary(alpha=1)", "ternary(alpha=1)"),
    "ternary and tables": lambda rounding: kernels(rounding, "ternary(alpha=1)", "quantized_relu_po2(3,2)"),
    "scales of channels": lambda rounding: kernels(rounding, "quantized_bits(4,0,1,alpha='auto_po2')"),
    "real scales": lambda rounding: kernels(rounding, "quantized_bits(3,0,1,alpha='auto')"),
    "unsigned 8 bits": lambda rounding: kernels(rounding, EIGHT["kernel_quantizer"], relu(rounding, 8)),
    "batch norm": normalized,
    "batch norm of layers": lambda rounding: normalized(rounding, q.QBatchNormalization),
    "dead channels": dead,
    "grouped": grouped,
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
        variable.assign(values)
    return model


def exported(model: keras.Model, folder: Path, **options: Any) -> tuple[Exported, dict[str, Any]]:
    found = export(model, "litert", folder, sources=SOURCE, options=options)
    return found, json.loads((folder / "memory.json").read_text(encoding="utf-8"))


def test_files_give_every_bit(tmp_path: Path) -> None:
    """One test below for each; here: what a folder holds."""
    found, told = exported(trained(dense("half_even")), tmp_path / "made")
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == [
        "README.md",
        "memory.json",
        "model.tflite",
        "model_data.cc",
        "model_data.h",
        "verification.json",
    ]
    assert found.comparison.keras_mismatches == {"classes": 0}
    assert told["inputs"] == [
        {"name": "signal", "type": "int8", "shape": [9], "fraction": 6, "zero_point": 0},
    ]
    assert told["outputs"][0]["type"] == "float32"
    text = (tmp_path / "made" / "README.md").read_text(encoding="utf-8")
    assert "softmax is left out" in text
    assert "nothing below 8 bits" in text
    again = verify_export(trained(dense("half_even")), tmp_path / "made")
    assert again.executed
    assert not again.comparison.artefact_mismatches


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("rounding", ["half_even", "half_away"])
def test_every_bit(name: str, rounding: str, tmp_path: Path) -> None:
    model = MODELS[name](rounding)
    found, told = exported(model if name == "dead channels" else trained(model), tmp_path / "made")
    assert found.executed
    assert found.comparison.artefact_mismatches == 0
    assert found.comparison.samples == 205
    assert (DEFAULT if rounding == "half_even" else REFERENCE) in told["kernels"]


@pytest.mark.parametrize("name", [name for name in LAYERS if name not in ("words", "lstm", "averages")])
def test_layers_of_many_steps(name: str, tmp_path: Path) -> None:
    found, _ = exported(weighted(LAYERS[name]()), tmp_path / "made")
    assert found.executed
    assert found.comparison.artefact_mismatches == 0


def test_tokens_are_looked_up(tmp_path: Path) -> None:
    words = keras.Input((7,), dtype="int32", name="words")
    x = q.QActivation("quantized_bits(5,0,1)")(keras.layers.Embedding(300, 5)(words))
    x = keras.layers.GlobalMaxPooling1D()(q.QConv1D(4, 3, activation=relu("half_away"), **BITS)(x))
    _, told = exported(trained(keras.Model(words, q.QDense(3, **BITS)(x))), tmp_path / "made")
    assert told["inputs"][0]["type"] == "int32"
    assert told["kernels"] == [DEFAULT, REFERENCE]


@pytest.mark.parametrize("name", ["batch norm", "batch norm of layers"])
def test_batch_norms_as_factors(name: str, tmp_path: Path) -> None:
    model = trained(MODELS[name]("half_even"))
    found = export(model, "litert", tmp_path / "made", sources=SOURCE, norms="scale")
    assert found.comparison.artefact_mismatches == 0


@pytest.mark.parametrize("name", ["dense", "dense, 8 bits", "image", "residual", "pooled"])
def test_halves_to_even_are_refused_for_the_reference_kernels(name: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"halves to even.*rounding='half_away'.*kernels: default") as caught:
        exported(trained(MODELS[name]("half_even")), tmp_path / "made", kernels=REFERENCE)
    assert caught.value.exit_code == ExitCode.NOT_EXACT
    assert list(tmp_path.iterdir()) == []
    _, told = exported(trained(MODELS[name]("half_away")), tmp_path / "made", kernels=REFERENCE)
    assert REFERENCE in told["kernels"]


def test_both_roundings_in_one_model(tmp_path: Path) -> None:
    signal = keras.Input((9,))
    x = q.QDense(12, activation=relu("half_even"), **BITS)(signal)
    x = q.QDense(8, activation=relu("half_away"), **BITS)(x)
    _, told = exported(trained(keras.Model(signal, x)), tmp_path / "made")
    assert told["kernels"] == [DEFAULT]


@pytest.mark.parametrize("ways", [DEFAULT, REFERENCE])
@pytest.mark.parametrize("kind", ["FULLY_CONNECTED", "DEPTHWISE_CONV_2D"])
def test_kernels_round_as_it_is_told(kind: str, ways: str) -> None:
    """Biases stand for sums: every one of them, with scales at and beside powers of two."""
    sums = numpy.arange(-1100, 1100)
    for scale in (2.0**-3, float(numpy.nextafter(numpy.float32(2**-3), numpy.float32(1))), 1 / 9, 1.0):
        file = File()
        own = Quantization(scales=(scale,) * len(sums), axis=3 if kind == "DEPTHWISE_CONV_2D" else 0)
        biases = file.constant("bias", "int32", sums, Quantization(scales=own.scales))
        image = kind == "DEPTHWISE_CONV_2D"
        x = file.tensor("x", "int8", (1, 1, 1, len(sums)) if image else (1, 1), Quantization(scales=(1.0,)))
        weights = file.constant("w", "int8", numpy.ones((1, 1, 1, len(sums)) if image else (len(sums), 1)), own)
        y = file.tensor("y", "int8", (1, 1, 1, len(sums)) if image else (1, len(sums)), Quantization(scales=(1.0,)))
        if image:
            options = {"strideH": 1, "strideW": 1, "depthMultiplier": 1, "padding": 1}
            options |= {"dilationHFactor": 1, "dilationWFactor": 1}
            file.operator(kind, [x, weights, biases], [y], "DepthwiseConv2D", version=3, **options)
        else:
            file.operator(kind, [x, weights, biases], [y], "FullyConnected", version=12)
        interpreter = litert._interpreter(file.packed("m", [x], [y], ""), ways, 1)
        details = interpreter.get_input_details()[0]
        interpreter.set_tensor(details["index"], numpy.zeros(details["shape"], numpy.int8))
        interpreter.invoke()
        given = interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).reshape(-1)
        way = ways if image or ways == DEFAULT else DENSE_REFERENCE
        assert numpy.array_equal(given, numpy.clip(rounded(way, sums, scale), -128, 127))


@pytest.mark.parametrize(
    "source", ["quantized_relu(8,0)", "quantized_bits(3,1,1)", "binary(alpha=1)", "ternary(alpha=1)"]
)
def test_inputs_of_all_kinds(source: str, tmp_path: Path) -> None:
    for name in ("image", "residual"):
        found = export(trained(MODELS[name]("half_even")), "litert", tmp_path / name, sources=source)
        assert found.comparison.artefact_mismatches == 0


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    model = trained(dense("half_even"))
    exported(model, tmp_path / "made")
    (tmp_path / "made" / "model.tflite").write_bytes(b"\0" * 64)
    with pytest.raises(OutputError, match="its files cannot be read"):
        verify_export(model, tmp_path / "made")


def test_the_array_is_the_file(tmp_path: Path) -> None:
    exported(trained(dense("half_away")), tmp_path / "made")
    content = (tmp_path / "made" / "model.tflite").read_bytes()
    source = (tmp_path / "made" / "model_data.cc").read_text(encoding="ascii")
    assert "alignas(16) const unsigned char qsearch_model_data[] = {" in source
    body = source[source.index("{") + 1 : source.index("}")]
    assert bytes(int(one, 16) for one in body.replace(",", " ").split()) == content
    assert f"qsearch_model_data_size = {len(content)};" in source
    assert content[4:8] == b"TFL3"


def test_memory_is_told(tmp_path: Path) -> None:
    _, told = exported(trained(dense("half_even")), tmp_path / "made")
    weights = 9 * 12 + 12 * 8 + 8 * 4
    assert told["flash_bytes"] == (tmp_path / "made" / "model.tflite").stat().st_size
    assert told["weight_bytes"] == weights
    assert told["operators"] == ["DEQUANTIZE", "FULLY_CONNECTED", "MAXIMUM"]
    assert told["weight_bytes_at_their_bits"] == weights / 2
    _, binary = exported(trained(MODELS["binary"]("half_even")), tmp_path / "binary")
    assert binary["weight_bytes_at_their_bits"] == math.ceil(binary["weight_bytes"] / 8)
    # the last layer in float32: its 8 inputs, its kernel and its 4 sums
    assert told["activation_bytes"] == 4 * (8 + 32 + 4)


def test_a_layer_and_its_activation_are_one_operation(tmp_path: Path) -> None:
    signal = keras.Input((9, 9, 2))
    x = q.QConv2D(4, 3, activation="quantized_relu(4,1)", **BITS)(signal)
    x = q.QConv2D(4, 3, activation="quantized_bits(4,0)", **BITS)(x)
    x = q.QDense(4, activation="quantized_relu(8,1)", **BITS)(keras.layers.Flatten()(x))
    exported(trained(keras.Model(signal, x)), tmp_path / "made")
    interpreter = litert._interpreter((tmp_path / "made" / "model.tflite").read_bytes(), REFERENCE, 1)
    operations = [one["op_name"] for one in interpreter._get_ops_details()]
    assert operations == ["CONV_2D", "CONV_2D", "RESHAPE", "FULLY_CONNECTED"]


def of(*added: Any, shape: tuple[int, ...] = (6, 6, 2)) -> keras.Model:
    x = given = keras.Input(shape)
    for layer in added:
        x = layer(x)
    return keras.Model(given, x)


NINE = {**BITS, "kernel_quantizer": "quantized_bits(10,0,1,alpha=1)"}
REFUSED: dict[str, tuple[Callable[[], keras.Model], str]] = {
    "kernel": (
        lambda: of(q.QDense(3, name="wide", **NINE), q.QActivation(relu("half_even"))),
        r"^wide: its kernel.*8 b",
    ),
    "kernel of an output": (lambda: of(q.QDense(3, name="wide", **NINE)), r"^wide: its kernel.*-127 to 127"),
    "least weight": (
        lambda: of(q.QDense(3, kernel_quantizer="quantized_bits(8,0,0,alpha=1)", use_bias=False, name="wide")),
        r"^wide: its kernel has whole numbers from -128.*symmetric=1",
    ),
    "activation": (
        lambda: of(q.QDense(3, **BITS), q.QActivation("quantized_bits(9,0,1)", name="fine"), q.QDense(3, **BITS)),
        r"^fine: its result has 9 bits.*at most 8",
    ),
    "batch norm at the end": (
        lambda: of(q.QConv2D(3, 3, **BITS), keras.layers.BatchNormalization(name="norm")),
        r"^norm: no quantizer rounds its result.*run.fold_batch_norm.*auto_po2",
    ),
    "long table": (
        lambda: of(q.QDense(9, **EIGHT), q.QActivation("quantized_sigmoid(7,use_real_sigmoid=1)", name="curve")),
        r"^curve: its activation has levels that are not evenly spaced",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_exact_is_refused(name: str, tmp_path: Path) -> None:
    make, said = REFUSED[name]
    with pytest.raises(ExportError, match=said):
        exported(trained(make()), tmp_path / "made")
    assert list(tmp_path.iterdir()) == []


def test_wide_inputs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"signal: is rounded by quantized_bits\(9.*to 9 bits.*--input-quantizer"):
        export(dense("half_even"), "litert", tmp_path / "made", sources="quantized_bits(9,0,1)")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kernel": "default"}, "unknown; did you mean 'kernels'"),
        ({"kernels": "xnnpack"}, "allowed: auto, default, reference"),
    ],
)
def test_options_are_checked(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        exported(dense("half_even"), tmp_path / "made", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(onnx_graph.importlib, "import_module", missing)
    with pytest.raises(ConfigError, match=r"target 'litert': needs the package.*pip install 'qsearch\[litert\]'"):
        litert.TARGET.prepare(integer_model(dense("half_even")), {})
