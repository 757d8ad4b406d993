"""Copies of other widths, saved and loaded again."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy
from keras import layers, ops

import qsearch
from qsearch.plan import LayerPlan, QuantizationPlan
from qsearch.quantize.apply import apply_plan


def test_a_raw_reshape_of_another_width_is_saved(tmp_path: Path) -> None:
    inputs = keras.Input((5, 4), name="in")
    x = layers.Dense(8, name="d")(inputs)
    scale = ops.reshape(ops.mean(x, axis=1), (-1, 1, 8))
    copy = apply_plan(keras.Model(inputs, x * scale), QuantizationPlan({"d": LayerPlan(filters=6)}))
    path = tmp_path / "m.keras"
    copy.save(path)
    values = numpy.random.default_rng(0).normal(size=(2, 5, 4)).astype("float32")
    numpy.testing.assert_allclose(qsearch.load_model(path)(values), copy(values), rtol=1e-6)
