"""What errors of other people's code are told as."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy
import pytest
import tensorflow

from qsearch.errors import ConfigError, layer_of, place_of, plain, reason_of, told


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


class Raising(keras.layers.Layer):  # type: ignore[misc]
    def __init__(self, error: Exception) -> None:
        super().__init__(name="mine")
        self.error = error

    def call(self, inputs: Any) -> Any:
        raise self.error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("first line\nsecond line"), "first line"),
        (KeyError("no such"), "no such"),
        (MemoryError(), "MemoryError"),
        (RuntimeError(), "RuntimeError"),
        (MemoryError("Unable to allocate 5 TiB"), "Unable to allocate 5 TiB"),
        (ConfigError("elements_per_scale: no multiple of 4"), "elements_per_scale: no multiple of 4"),
        (tensorflow.errors.ResourceExhaustedError(None, None, "OOM when allocating"), "OOM when allocating"),
    ],
)
def test_what_a_layer_raises(error: Exception, reason: str) -> None:
    found = caught(lambda: Raising(error)(numpy.zeros((2, 3))))
    assert reason_of(found) == reason
    assert layer_of(found) == "layer mine (Raising)"
    if isinstance(found, ConfigError):
        assert plain(found) == f"layer mine (Raising): {reason}"


def test_no_layer() -> None:
    assert layer_of(caught(broken)) == ""
    assert plain(ConfigError("as it is\nin two lines")) == "as it is\nin two lines"
    assert layer_of(ValueError("Graph execution error:\n\nDetected at node net_1/conv_1/Mul defined at")) == (
        "node net_1/conv_1/Mul"
    )


def test_hints_of_tensorflow_are_no_reason() -> None:
    text = (
        "Graph execution error:\n\nDetected at node net_1/a/MatMul defined at (most recent call last):\n"
        "OOM when allocating tensor with shape[5,5] and type float on cpu\n\t [[{{node net_1/a/MatMul}}]]\n"
        "Hint: If you want to see a list of allocated tensors when OOM happens, add report_tensor_allocations\n"
        " [Op:__inference_one_step_on_data_17]"
    )
    assert reason_of(RuntimeError(text)) == "OOM when allocating tensor with shape[5,5] and type float on cpu"
    bare = 'Graph execution error:\n\nDetected at node a/b defined at:\n  File "x.py", line 1\n [Op:__inference_1]'
    assert reason_of(MemoryError(bare)) == "MemoryError"


class SpeechlessError(Exception):
    def __str__(self) -> str:
        raise ValueError("no")


def test_an_error_that_cannot_say_anything() -> None:
    assert reason_of(SpeechlessError()) == "SpeechlessError"
    assert told(SpeechlessError()) == "SpeechlessError"
    assert "\n" not in told(type("a\nb", (Exception,), {})("c"))
