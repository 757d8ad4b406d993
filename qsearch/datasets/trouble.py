"""What goes wrong while TensorFlow reads Python code: it would come out as an error of TensorFlow's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

from qsearch.errors import DatasetError, text_of, told

Trouble: TypeAlias = list[DatasetError]
_FEEDING = ("[[IteratorGetNext]]", "Detected at node IteratorGetNext ")
"""What TensorFlow's message has where it is about the data, not about the model."""
_LENGTH = re.compile(r"expected to contain (\d+) elements? but contained (?:only|at least) (\d+) element")
"""TensorFlow's words for a pipeline whose length is not the one of its first reading."""


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
        length = _LENGTH.search(text_of(error))
        if length is not None:
            raise DatasetError(
                f"{what}: had {length[1]} batches when it was read first, and {length[2]} in a later epoch; give as "
                "many in every epoch, or never end and set train_samples (and test_samples)"
            ) from None
        if any(mark in text_of(error) for mark in _FEEDING):
            raise DatasetError(f"{what}: failed while a model was trained or judged on it: {told(error)}") from None
        raise
