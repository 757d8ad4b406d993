"""Batch normalizations whose statistics do not move are not folded into layers whose would."""

from __future__ import annotations

import keras
import pytest
from keras import layers

from qsearch.quantize.fold import foldable


@pytest.mark.parametrize(
    ("form", "reason"),
    [("frozen", "it is frozen"), ("called", "it is called with training=False"), ("free", None)],
)
def test_a_normalization_at_rest(form: str, reason: str | None) -> None:
    inputs = keras.Input((4,), name="in")
    norm = layers.BatchNormalization(name="n", trainable=form != "frozen")
    x = layers.Dense(3, name="d")(inputs)
    model = keras.Model(inputs, norm(x, training=False) if form == "called" else norm(x))
    pairs, reasons = foldable(model)
    assert reasons.get("n") == reason
    assert pairs == ({} if reason else {"d": "n"})
