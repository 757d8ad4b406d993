"""Draws in training against those of the real QKeras, whose means follow from its formulas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import pytest
import tensorflow as tf

from qsearch.quantizers import SIGNATURES, get

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "golden_quantizers.json"
CASES = [
    case
    for case in json.loads(GOLDEN.read_text(encoding="utf-8"))["stochastic_train"]
    # stochastic_ternary without an automatic scale raises in QKeras (A4); it has a test of its own
    if case["string"].partition("(")[0] in SIGNATURES and "error" not in case
]
HALF_STEPS = ("quantized_relu(", "quantized_tanh(", "quantized_sigmoid(")
"""A8: QKeras rounds these to half their step; the mean is the same, the spread is not."""
DRAWS = 1000


def test_the_cases_are_there() -> None:
    assert len(CASES) == 26


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["string"])
def test_draws_have_the_mean_and_the_spread_of_qkeras(case: dict[str, Any]) -> None:
    tf.random.set_seed(11)
    quantizer, x = get(case["string"]), tf.constant(case["x"], tf.float32)
    assert quantizer is not None
    draw = tf.function(lambda: quantizer(x, training=True), autograph=False)
    drawn = numpy.stack([draw().numpy() for _ in range(DRAWS)])
    spread = numpy.array(case["std"])
    variance = spread**2 / DRAWS + (0.0 if "expected_mean" in case else spread**2 / case["n_draws"])
    if case["string"].startswith(HALF_STEPS):
        variance = variance + 0.0625**2 / DRAWS
    else:
        assert drawn.std(axis=0) == pytest.approx(spread, abs=0.12)
    mean = numpy.array(case.get("expected_mean", case["mean"]))
    # The last term is for outcomes so rare that none was drawn.
    assert (numpy.abs(drawn.mean(axis=0) - mean) <= 4.5 * numpy.sqrt(variance) + 2.0 / DRAWS).all()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["string"])
def test_every_call_draws_anew_in_training_and_none_at_inference(case: dict[str, Any]) -> None:
    quantizer, x = get(case["string"]), tf.random.stateless_normal((40, 30), (1, 2))
    assert quantizer is not None
    drawn = [quantizer(x, training=True).numpy() for _ in range(2)]
    rounds_to_nearest = case["string"].startswith(
        "quantized_bits(4,0,1,alpha='auto'"
    )  # A9: the option is ignored there
    assert numpy.array_equal(*drawn) == rounds_to_nearest
    assert numpy.array_equal(quantizer(x).numpy(), quantizer(x, training=False).numpy())
