"""Target finn: integer thresholds that are exact, and refusals of what FINN does not build."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import keras
import numpy
import pytest
from integer_networks import made, samples
from keras import layers

import qsearch
from qsearch.errors import ConfigError, ExportError
from qsearch.hardware.integer.build import integer_model
from qsearch.hardware.integer.compare import extremes
from qsearch.hardware.targets.finn_thresholds import with_thresholds

pytestmark = [
    pytest.mark.extras,
    pytest.mark.skipif(
        importlib.util.find_spec("qonnx") is None, reason="qonnx is not installed (pip install qsearch[qonnx])"
    ),
]
RELU = {"QActivation": {"relu": "quantized_relu(3,1)"}}


def image(pool: layers.Layer | None = None) -> keras.Model:
    inputs = keras.Input((8, 8, 2), name="image")
    x = layers.Activation("relu", name="act0")(layers.BatchNormalization()(layers.Conv2D(4, 3, name="conv")(inputs)))
    x = layers.DepthwiseConv2D(3, padding="same", name="dw")(x if pool is None else pool(x))
    x = layers.Activation("relu", name="act1")(layers.BatchNormalization()(x))
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="head")(layers.Flatten()(x)))


def residual() -> keras.Model:
    inputs = keras.Input((8, 8, 2))
    first = layers.Activation("relu", name="a0")(layers.Conv2D(4, 3, padding="same")(inputs))
    second = layers.Activation("relu", name="a1")(
        layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(first))
    )
    x = layers.Activation("relu", name="a2")(layers.Add(name="add")([first, second]))
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(layers.Concatenate()([x, first]))))


def negative(model: keras.Model) -> keras.Model:
    """Every other channel falls."""
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.gamma.assign(numpy.asarray(layer.gamma) * numpy.resize([1, -1], layer.gamma.shape))
    return model


@pytest.mark.parametrize("rounding", ["half_even", "half_away"])
@pytest.mark.parametrize("network", [image, residual, lambda: image(layers.MaxPooling2D(2))])
def test_is_exact(network: Callable[[], keras.Model], rounding: str, tmp_path: Path) -> None:
    relu = {"QActivation": {"relu": f"quantized_relu(3,1,rounding='{rounding}')"}, "QBatchNormalization": {}}
    for seed in range(2):
        model = negative(made(network(), relu, seed=seed))
        found = qsearch.export(model, "finn", tmp_path / f"out{seed}", samples=samples(model, 100)).comparison
        assert set(found.keras_mismatches.values()) == {0}
        assert found.artefact_mismatches == 0


def test_nodes_are_what_finn_builds(tmp_path: Path) -> None:
    import onnx

    model = negative(made(image(), {**RELU, "QBatchNormalization": {}}))
    qsearch.export(model, "finn", tmp_path / "out")
    nodes = onnx.load(str(tmp_path / "out" / "model.onnx")).graph.node
    tables = [node for node in nodes if node.op_type == "MultiThreshold"]
    assert len(tables) == 3  # the input, and both activations
    for node in tables:
        attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        assert attributes["out_scale"] == 1.0
        assert attributes["out_bias"] == round(attributes["out_bias"])
    assert not [node for node in nodes if node.op_type == "BatchNormalization"]
    for name in {node.op_type for node in nodes} - {"Quant", "BipolarQuant"}:
        assert name in ("MultiThreshold", "Mul", "Add", "Conv", "MatMul", "Transpose", "Reshape"), name


def test_thresholds_are_the_same_function() -> None:
    model = integer_model(negative(made(image(), {**RELU, "QBatchNormalization": {}})))
    turned, codes = with_thresholds(model), extremes(model, 300)
    assert not [step for step in turned.steps if type(step.operation).__name__ == "Scale"]
    numpy.testing.assert_array_equal(turned.run(codes)["head"], model.run(codes)["head"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (layers.AveragePooling2D(2), "averages over windows"),
        (layers.ZeroPadding2D(1), "padding of its own"),
        (layers.UpSampling2D((1, 2)), "by different factors"),
        (layers.Permute((2, 1, 3)), "is a permutation"),
        (layers.GlobalMaxPooling2D(keepdims=True), "maximum over all positions"),
    ],
)
def test_what_finn_does_not_build(change: layers.Layer, message: str, tmp_path: Path) -> None:
    model = made(image(change), {**RELU, "QBatchNormalization": {}})
    with pytest.raises(ExportError, match=rf"{message}.*FINN does not build it"):
        qsearch.export(model, "finn", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_sums_are_not_handed_on(tmp_path: Path) -> None:
    inputs = keras.Input((8,))
    x = layers.Dense(4, name="second")(layers.Dense(4, name="first")(inputs))
    with pytest.raises(ExportError, match="first: hands sums on to second; put a quantizer behind it"):
        qsearch.export(made(keras.Model(inputs, x)), "finn", tmp_path / "out")
    with pytest.raises(ConfigError, match=r"float64.*unknown; it has none"):
        qsearch.export(made(keras.Model(inputs, x)), "finn", tmp_path / "out", options={"float64": True})
