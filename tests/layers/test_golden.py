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
from qsearch.layers.adaptive import integer_bits
from qsearch.layers.constraints import Clip, QInitializer

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
CLASSES: Mapping[str, type[keras.layers.Layer]] = {name: getattr(layers, name) for name in layers.__all__}

LEFT_OUT = {
    "dense_bits1": "all zeros in QKeras; a binary kernel here (B5), tested in quantizers/test_corrections.py",
    "convT_output_padding": "QKeras ignores the argument (D13); test_layers.py compares with Keras",
    "gru_bug_no_recurrent_q": "QKeras takes the input kernel for the recurrent one (D8)",
    "gru_bug_no_recurrent_q_shape": "QKeras takes the input kernel for the recurrent one (D9)",
    "adapt_freeze_infer": "QKeras moves the averages at inference (D28)",
    "bn_bits": "one scale per element of a vector in QKeras; one per vector here (B6)",
}
CELLS = {"QSimpleRNNCell", "QLSTMCell", "QGRUCell"}
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
    arguments = dict(case["kwargs"])
    if "layer" in arguments:
        inner = dict(arguments["layer"])
        arguments["layer"] = CLASSES[inner.pop("class")](**inner)
    layer = CLASSES[case["class"]](**arguments)
    layer.build(arrays()[case["inputs"][0]].shape)
    return layer


def weights_of(layer: keras.layers.Layer, case: dict[str, Any]) -> dict[str, Any]:
    """By the key of the golden weight. Keras 2 says `depthwise_kernel`, and a step has no name."""
    if case["class"] == "QBidirectional":
        return {item["key"]: weight for item, weight in zip(case["weights"], layer.weights, strict=True)}
    named = {weight.path.rpartition("/")[2]: weight for weight in layer.weights}
    renamed = {"Variable": named.get("step"), "depthwise_kernel": named.get("kernel")}
    return {item["key"]: named.get(item["name"], renamed.get(item["name"])) for item in case["weights"]}


PORTED = {"QDepthwiseConv2DTranspose", "QSeparableConv2DTranspose", "QScaleShift"}
"""Layers that QKeras 0.9 has not; see test_ported_layers."""


def test_the_cases_are_there() -> None:
    assert len(CASES) == 89
    assert {case["class"] for case in CASES} == {*CLASSES} - {"QDenseBatchnorm", *CELLS, *PORTED}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_steps(case: dict[str, Any]) -> None:
    layer = built(case)
    weights = weights_of(layer, case)
    for item in case["weights"]:
        weights[item["key"]].assign(arrays()[item["key"]])
    for step in case["steps"]:
        if step["training"] and case["id"] in STOCHASTIC:
            continue
        x = tf.Variable(arrays()[case["inputs"][step.get("x", 0)]])
        with tf.GradientTape(persistent=True) as tape:
            outputs = tf.nest.flatten(layer(x, training=step["training"]))
            loss = sum(tf.reduce_sum(y * arrays()[r]) for y, r in zip(outputs, step["r"], strict=True))
        for output, expected in zip(outputs, step["outputs"], strict=True):
            numpy.testing.assert_allclose(output.numpy(), arrays()[expected], rtol=2e-5, atol=2e-5)
        if step.get("grad_x"):
            numpy.testing.assert_allclose(
                tape.gradient(loss, x).numpy(), arrays()[step["grad_x"]], rtol=2e-4, atol=2e-4
            )
        for key, gradient in (step.get("grad_w") or {}).items():
            if gradient is not None:
                found = tape.gradient(loss, weights[case["weights"][int(key[1:])]["key"]].value)
                numpy.testing.assert_allclose(found.numpy(), arrays()[gradient], rtol=5e-4, atol=5e-4)
        for key, after in (step.get("weights_after") or {}).items():
            found = weights[case["weights"][int(key[1:])]["key"]]
            numpy.testing.assert_allclose(found.numpy(), arrays()[after], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_constraints_and_initializers(case: dict[str, Any]) -> None:
    if case["class"] == "QBidirectional":
        return  # those of its two layers
    layer = built(case)
    for name, (kind, config) in case.get("constraints", {}).items():
        constraint = getattr(layer, f"{name}_constraint")
        assert (type(constraint).__name__, constraint.get_config()) == (kind, pytest.approx(config))
        assert isinstance(constraint, Clip)
    for name, kind in case.get("initializers", {}).items():
        found = getattr(layer, f"{name}_initializer", None)
        if found is not None and not (name == "kernel" and case["class"] == "QDepthwiseConv2D"):
            assert type(found).__name__ == kind
            assert isinstance(found, QInitializer) == (kind == "QInitializer")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_configs_read_back(case: dict[str, Any]) -> None:
    layer = built(case)
    config = json.loads(json.dumps(layer.get_config()))
    again = CLASSES[case["class"]].from_config(config)
    if case["class"] != "QBidirectional":  # its layers' configs also hold their build shapes
        assert again.get_config() == layer.get_config()
    assert again.plan == layer.plan


def test_integer_bits_of_adaptive_activations() -> None:
    rows = json.loads((GOLDEN / "golden_layers.json").read_text(encoding="utf-8"))["misc"]["get_integer_bits"]["rows"]
    assert len(rows) == 192
    for low, high, bits, symmetric, keep_negative, is_clipping, *expected in rows:
        found = integer_bits(tf.constant([low]), tf.constant([high]), bits, keep_negative, symmetric, is_clipping)
        assert found.numpy().tolist() == expected, (low, high, bits, symmetric, keep_negative, is_clipping)
