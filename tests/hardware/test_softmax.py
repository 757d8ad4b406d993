"""A softmax or sigmoid at an output, kept in files or left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy
import pytest

from qsearch import layers as q
from qsearch.errors import ConfigError, ExportError
from qsearch.hardware.public import export, verify_export

BITS = {"kernel_quantizer": "quantized_bits(4,0,1,alpha=1)", "bias_quantizer": "quantized_bits(6,2,1)"}
NEEDS = {"onnx": "onnxruntime", "qonnx": "qonnx", "litert": "ai_edge_litert"}
KEEPING = list(NEEDS)


def classes() -> keras.Model:
    image = keras.Input((7,), name="image")
    x = q.QDense(6, activation="quantized_relu(4,1)", **BITS)(image)
    return keras.Model(image, q.QDense(3, activation="softmax", name="classes", **BITS)(x))


def pixels() -> keras.Model:
    """Over the last of several axes, channels."""
    image = keras.Input((5, 4, 2))
    x = q.QConv2D(3, 2, padding="same", **BITS)(image)
    return keras.Model(image, keras.layers.Softmax(name="classes")(x))


def averages() -> keras.Model:
    """Behind a division by 9 that is no power of two."""
    image = keras.Input((3, 3, 4))
    x = keras.layers.GlobalAveragePooling2D()(q.QConv2D(4, 1, activation="quantized_relu(4,1)", **BITS)(image))
    return keras.Model(image, keras.layers.Activation("softmax", name="classes")(x))


def two_heads() -> keras.Model:
    image = keras.Input((6,))
    x = q.QDense(5, activation="quantized_relu(4,1)", **BITS)(image)
    heads = [
        q.QDense(2, activation="sigmoid", name="classes", **BITS)(x),
        q.QDense(3, name="classes_logits", **BITS)(x),  # a name that is taken
    ]
    return keras.Model(image, heads)


MODELS: dict[str, Callable[[], keras.Model]] = {one.__name__: one for one in (classes, pixels, averages, two_heads)}


def made(name: str) -> keras.Model:
    keras.utils.set_random_seed(1)
    return MODELS[name]()


def outputs_of(folder: Path, target: str, inputs: Any) -> list[Any]:
    """By the other tool itself."""
    if target == "litert":
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_path=str(folder / "model.tflite"))
        details = interpreter.get_input_details()[0]
        interpreter.resize_tensor_input(details["index"], inputs.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(details["index"], (inputs * 128 + details["quantization"][1]).astype("int8"))
        interpreter.invoke()
        return [interpreter.get_tensor(one["index"]) for one in interpreter.get_output_details()]
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    return list(session.run(None, {session.get_inputs()[0].name: inputs}))


@pytest.mark.extras
@pytest.mark.parametrize("target", KEEPING)
@pytest.mark.parametrize("name", list(MODELS))
def test_a_kept_function_is_beside_the_exact_values(name: str, target: str, tmp_path: Path) -> None:
    pytest.importorskip(NEEDS[target], reason="not installed")
    model = made(name)

    exported = export(model, target, tmp_path / "out", softmax="keep")

    assert exported.executed
    assert exported.comparison.artefact_mismatches == 0
    assert exported.comparison.kept_difference < 1e-6
    verification = json.loads((tmp_path / "out" / "verification.json").read_text())
    assert verification["softmax"] == "keep"
    readme = (tmp_path / "out" / "README.md").read_text()
    assert "is left out" not in readme
    assert "behind it `classes` is its" in readme
    again = verify_export(model, tmp_path / "out")
    assert again.comparison.artefact_mismatches == 0


@pytest.mark.extras
@pytest.mark.parametrize("target", ["onnx", "litert"])
@pytest.mark.parametrize("name", ["classes", "pixels", "averages"])
def test_the_first_output_is_what_keras_gives(name: str, target: str, tmp_path: Path) -> None:
    pytest.importorskip(NEEDS[target], reason="not installed")
    model = made(name)
    export(model, target, tmp_path / "out", softmax="keep")
    codes = numpy.random.default_rng(0).integers(-127, 128, (20, *model.input_shape[1:]))
    inputs = (codes / 128).astype("float32")

    found = outputs_of(tmp_path / "out", target, inputs)

    assert len(found) == 2
    assert found[0] == pytest.approx(model.predict(inputs, verbose=0), abs=1e-6)


@pytest.mark.extras
@pytest.mark.parametrize("target", KEEPING)
def test_it_is_left_out_unless_asked_for(target: str, tmp_path: Path) -> None:
    pytest.importorskip(NEEDS[target], reason="not installed")

    exported = export(made("classes"), target, tmp_path / "out")

    assert exported.model.file_outputs == ("classes",)
    assert "softmax is left out" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.extras
@pytest.mark.parametrize("target", KEEPING)
def test_a_softmax_over_another_axis_is_refused(target: str, tmp_path: Path) -> None:
    pytest.importorskip(NEEDS[target], reason="not installed")
    image = keras.Input((5, 3))
    x = q.QDense(4, **BITS)(image)
    model = keras.Model(image, keras.layers.Softmax(axis=1)(x))

    with pytest.raises(ExportError, match=r"differs from Keras' by .* over the last axis alone; drop it"):
        export(model, target, tmp_path / "out", softmax="keep")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", ["c", "codes", "finn", "hls4ml", "verilog"])
def test_targets_of_integers_keep_none(target: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"softmax: keep: target {target} computes in integers alone; allowed: drop"):
        export(made("classes"), target, tmp_path / "out", softmax="keep")


def test_a_word_that_is_neither(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"softmax: 'kep'.*; allowed: drop, keep"):
        export(made("classes"), "codes", tmp_path / "out", softmax="kep")
