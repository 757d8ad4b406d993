"""Layers measured on the real QKeras: outputs, gradients and moving averages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import keras
import numpy
import pytest
import tensorflow as tf

from qsearch import layers
from qsearch.layers.constraints import Clip, QInitializer

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
CLASSES: Mapping[str, type[keras.layers.Layer]] = {name: getattr(layers, name) for name in layers.__all__}

LEFT_OUT = {
    "dense_linear": "quantized_linear is a later issue",
    "conv2d_mask": "kernel masks are a later issue",
    "act_08": "softmax is no quantizer; Keras' Activation computes it",
    "act_10": "hard_sigmoid is a later issue",
    "dense_bits1": "all zeros in QKeras; a binary kernel here (B5), tested in quantizers/test_corrections.py",
    "bn_bits": "one scale per element of a vector in QKeras; one per vector here (B6)",
}
STOCHASTIC = {"dense_sternary", "dense_sbinary", "conv2d_sternary"}
"""Deterministic in QKeras whatever `training` says; here they sample in training, so only inference is compared."""

CASES = [
    case
    for case in json.loads((GOLDEN / "golden_layers.json").read_text(encoding="utf-8"))["cases"]
    if case["class"] in CLASSES and case["id"] not in LEFT_OUT
]


@lru_cache(maxsize=1)
def arrays() -> Any:
    return numpy.load(GOLDEN / "golden_layers.npz")


def built(case: dict[str, Any]) -> keras.layers.Layer:
    layer = CLASSES[case["class"]](**case["kwargs"])
    layer.build(arrays()[case["inputs"][0]].shape)
    return layer


def by_name(layer: keras.layers.Layer) -> dict[str, Any]:
    return {weight.path.rpartition("/")[2]: weight for weight in layer.weights}


def weight(layer: keras.layers.Layer, name: str) -> Any:
    """Keras 2 calls the depthwise kernel `depthwise_kernel`."""
    return by_name(layer)[name.removeprefix("depthwise_")]


def test_the_cases_are_there() -> None:
    assert len(CASES) == 33
    assert {case["class"] for case in CASES} == set(CLASSES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_steps(case: dict[str, Any]) -> None:
    layer = built(case)
    for item in case["weights"]:
        weight(layer, item["name"]).assign(arrays()[item["key"]])
    for step in case["steps"]:
        if step["training"] and case["id"] in STOCHASTIC:
            continue
        x = tf.Variable(arrays()[case["inputs"][step.get("x", 0)]])
        with tf.GradientTape(persistent=True) as tape:
            output = layer(x, training=step["training"])
            loss = tf.reduce_sum(output * arrays()[step["r"][0]])
        expected = arrays()[step["outputs"][0]]
        numpy.testing.assert_allclose(output.numpy(), expected, rtol=2e-5, atol=2e-5)
        if step.get("grad_x"):
            numpy.testing.assert_allclose(
                tape.gradient(loss, x).numpy(), arrays()[step["grad_x"]], rtol=2e-4, atol=2e-4
            )
        for key, gradient in (step.get("grad_w") or {}).items():
            name = case["weights"][int(key[1:])]["name"]
            found = tape.gradient(loss, weight(layer, name).value)
            numpy.testing.assert_allclose(found.numpy(), arrays()[gradient], rtol=5e-4, atol=5e-4)
        for key, after in (step.get("weights_after") or {}).items():
            name = case["weights"][int(key[1:])]["name"]
            numpy.testing.assert_allclose(weight(layer, name).numpy(), arrays()[after], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_constraints_and_initializers(case: dict[str, Any]) -> None:
    layer = built(case)
    for name, (kind, config) in case["constraints"].items():
        constraint = getattr(layer, f"{name}_constraint")
        assert (type(constraint).__name__, constraint.get_config()) == (kind, pytest.approx(config))
        assert isinstance(constraint, Clip)
    for name, kind in case["initializers"].items():
        found = getattr(layer, f"{name}_initializer", None)
        if found is not None and not (name == "kernel" and case["class"] == "QDepthwiseConv2D"):
            assert type(found).__name__ == kind
            assert isinstance(found, QInitializer) == (kind == "QInitializer")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_configs_read_back(case: dict[str, Any]) -> None:
    layer = built(case)
    config = json.loads(json.dumps(layer.get_config()))
    again = CLASSES[case["class"]].from_config(config)
    assert again.get_config() == layer.get_config()
    assert again.plan == layer.plan
