"""What goes wrong while TensorFlow reads Python code: it would come out as an error of TensorFlow's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

from qsearch.errors import DatasetError, told

Trouble: TypeAlias = list[DatasetError]
_FEEDING = ("[[IteratorGetNext]]", "Detected at node IteratorGetNext ")
"""What TensorFlow's message has where it is about the data, not about the model."""


@contextmanager
def noted(trouble: Trouble) -> Iterator[None]:
    """Around what reads data: keep the error for `surfaced`."""
    try:
        yield
    except DatasetError as error:
        trouble.append(error)
        raise


@contextmanager
def surfaced(trouble: Trouble) -> Iterator[None]:
    """Around `fit` and `evaluate`: what was noted comes out as it was raised."""
    try:
        yield
    except Exception:
        if trouble:
            raise trouble[0] from None
        raise


@contextmanager
def feeding(what: str) -> Iterator[None]:
    """Around `fit` and `evaluate`: errors in functions that TensorFlow itself calls for data are told as such.

    Args:
        what: how messages call the data.

    Raises:
        DatasetError: the data cannot be read.
    """
    try:
        yield
    except DatasetError:
        raise
    except Exception as error:
        if any(mark in str(error) for mark in _FEEDING):
            raise DatasetError(f"{what}: failed while a model was trained or judged on it: {told(error)}") from None
        raise
