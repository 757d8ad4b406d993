"""Models whose weights cannot be trained from."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy
import pytest
from tiny_run import tiny

from qsearch.config import load_config
from qsearch.errors import ModelError
from qsearch.runner.experiment import _check_finite, read_experiment


def dense(dtype: str) -> keras.Model:
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="d", dtype=dtype)], name="model")


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64", "mixed_bfloat16"])
@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_numbers_that_are_not_finite(dtype: str, value: float) -> None:
    model = dense(dtype)
    _check_finite(model, "m.keras")
    model.layers[-1].bias.assign(numpy.array([0.0, value]))
    with pytest.raises(ModelError, match=r"m\.keras: the weights 'model/d/bias' hold numbers that are not finite"):
        _check_finite(model, "m.keras")


def test_of_a_file(tmp_path: Path) -> None:
    model = dense("float32")
    model.layers[-1].kernel.assign(numpy.full((4, 2), numpy.nan))
    model.save(tmp_path / "m.keras")
    loaded = load_config(tiny(tmp_path, tmp_path / "out"), [f"model={{path: {tmp_path / 'm.keras'}}}"])
    with pytest.raises(ModelError, match=r"model\.path: .*m\.keras: the weights '(model/)?d/kernel' hold numbers"):
        read_experiment(loaded)
