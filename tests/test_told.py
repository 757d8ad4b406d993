"""What errors of other people's code are told as."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy
import pytest
import tensorflow

from qsearch.errors import place_of, reason_of, told


def caught(function: Callable[[], Any]) -> Exception:
    with pytest.raises(Exception) as found:
        function()
    return found.value


def broken() -> None:
    raise ValueError("first line\nsecond line")


def silent() -> None:
    raise ValueError


def deep() -> None:
    numpy.zeros(3).reshape(2, 2)


def test_the_innermost_line_of_the_users() -> None:
    line = {one: one.__code__.co_firstlineno + 1 for one in (broken, silent, deep)}
    assert told(caught(broken)) == f"ValueError: first line (test_told.py:{line[broken]})"
    assert told(caught(silent)) == f"ValueError (test_told.py:{line[silent]})"
    assert place_of(caught(deep)) == f"test_told.py:{line[deep]}"  # not numpy's
    assert place_of(ValueError("never raised")) == ""


def test_errors_of_tensorflow() -> None:
    def row(x: Any) -> Any:
        return {}["no such file"]

    rows = tensorflow.data.Dataset.range(3).map(lambda x: tensorflow.numpy_function(row, [x], tensorflow.int64))
    assert reason_of(caught(lambda: list(rows))) == "KeyError: 'no such file'"
    assert told(caught(lambda: list(rows))).startswith("KeyError: 'no such file'")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Identity()])
    model.compile(loss=lambda y, x: keras.ops.mean(x[:, :2] - y))
    error = caught(lambda: model.evaluate(numpy.zeros((4, 3)), numpy.zeros((4, 1, 4)), verbose=0))
    assert "Graph execution error" in str(error) or "shapes" in str(error)
    assert "shapes" in reason_of(error)
