"""What a data set is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Arrays: TypeAlias = Array | Mapping[str, Array]
"""One array, or one for each input or head of a model, by its name."""


class Split(NamedTuple):
    """Samples and labels; `x, y = split` works too.

    Attributes:
        x: (samples, ...), float32; of the built-in data sets (samples, height, width, channels), the training set's
            mean image subtracted.
        y: (samples, classes) one-hot, (samples,) class numbers, or whatever a model of the user's own is trained on.
    """

    x: Arrays
    y: Arrays

    @property
    def samples(self) -> int:
        return len(_leaves(self.x)[0])

    def first(self, count: int | None) -> Split:
        """The first `count` samples."""
        return self.part(slice(count))

    def part(self, which: slice) -> Split:
        """Some of the samples."""
        return Split(_each(self.x, lambda array: array[which]), _each(self.y, lambda array: array[which]))


@dataclass(frozen=True)
class Dataset:
    """Training and test data; `validation` is the part of the training set held out for selection, or None."""

    name: str
    train: Split
    test: Split
    validation: Split | None = None

    @property
    def num_classes(self) -> int:
        """Of one-hot labels."""
        return int(_leaves(self.train.y)[0].shape[1])

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of the first input."""
        return tuple(int(side) for side in _leaves(self.train.x)[0].shape[1:])

    @property
    def selection(self) -> Split:
        """What a search compares models on: the held-out part, or the test set where nothing is held out."""
        return self.test if self.validation is None else self.validation


def shapes(arrays: Arrays) -> dict[str, tuple[int, ...]]:
    """Shapes without the samples' axis, by name; that of a single array has the name ""."""
    named = arrays if isinstance(arrays, Mapping) else {"": arrays}
    return {name: tuple(int(side) for side in array.shape[1:]) for name, array in named.items()}


def _leaves(arrays: Arrays) -> list[Array]:
    return list(arrays.values()) if isinstance(arrays, Mapping) else [arrays]


def _each(arrays: Arrays, change: Callable[[Array], Array]) -> Arrays:
    if isinstance(arrays, Mapping):
        return {name: change(array) for name, array in arrays.items()}
    return change(arrays)


def one_hot(labels: Array, classes: int) -> NDArray[numpy.float32]:
    """(samples,) class numbers -> (samples, classes)."""
    return numpy.eye(classes, dtype=numpy.float32)[labels]
