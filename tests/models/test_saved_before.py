"""Model files of earlier commits load, wherever the classes have moved since.

The file is of commit 08a1043: quantize_model of a convolution (quantized_po2, bias quantized_bits), batch
normalization, quantized_relu, a depthwise convolution (ternary), quantized_tanh and a dense layer (stochastic_ternary).
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy
import pytest

import qsearch

SAVED = Path(__file__).resolve().parents[1] / "golden" / "saved"


@pytest.mark.parametrize("load", [qsearch.load_model, keras.saving.load_model])
def test_a_model_of_an_earlier_version(load: object) -> None:
    assert callable(load)
    model = load(SAVED / "november_2026.keras")
    x = numpy.random.default_rng(0).normal(size=(5, 8, 8, 2)).astype("float32")
    expected = numpy.load(SAVED / "november_2026.npy")
    numpy.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)
    assert [type(layer).__name__ for layer in model.layers if type(layer).__name__.startswith("Q")] == [
        "QConv2D",
        "QBatchNormalization",
        "QActivation",
        "QDepthwiseConv2D",
        "QActivation",
        "QDense",
    ]
