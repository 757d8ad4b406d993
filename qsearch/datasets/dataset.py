"""What a data set is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy
from numpy.typing import NDArray

from qsearch.datasets.memory import rows_of
from qsearch.datasets.source import Source

Array: TypeAlias = NDArray[Any]
Arrays: TypeAlias = Array | Mapping[str, Array] | tuple[Array, ...]
"""One array, or one for each input or head of a model: by its name, or in the model's order."""


@dataclass(frozen=True, eq=False)
class Split:
    """Samples and labels in memory; `x, y = split` works too.

    Attributes:
        x: (samples, ...); of the built-in data sets float32 (samples, height, width, channels), the training set's
            mean image subtracted; of the user's own in their own type, of which float32 is made batch by batch.
        y: (samples, classes) one-hot, (samples,) class numbers, or whatever a model of the user's own is trained on.
        weights: of the samples in the loss; None where all count the same.
        extra: what only metrics look at, by the name that they ask for.
    """

    x: Arrays
    y: Arrays
    weights: Arrays | None = None
    extra: Mapping[str, Array] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Arrays]:
        yield self.x
        yield self.y

    @property
    def samples(self) -> int:
        return len(leaves(self.x)[0])

    @property
    def weighted(self) -> bool:
        return self.weights is not None

    def first(self, count: int | None) -> Split:
        """The first `count` samples."""
        return self.part(slice(count))

    def part(self, which: slice | NDArray[numpy.int64]) -> Split:
        """Some of the samples."""
        return self.changed(lambda array: rows_of(array, which))

    def changed(self, change: Callable[[Array], Array]) -> Split:
        """The same change made to every array."""
        weights = None if self.weights is None else _each(self.weights, change)
        extra = {name: change(array) for name, array in self.extra.items()}
        return Split(_each(self.x, change), _each(self.y, change), weights, extra)

    def steps(self, batch_size: int) -> int:
        return math.ceil(self.samples / batch_size)

    def training(self, batch_size: int) -> dict[str, Any]:
        return self.evaluation(batch_size)

    def evaluation(self, batch_size: int) -> dict[str, Any]:
        return {"x": self.x, "y": self.y, "sample_weight": self.weights, "batch_size": batch_size}

    def validation(self, batch_size: int) -> Any:
        return (self.x, self.y) if self.weights is None else (self.x, self.y, self.weights)

    def reading(self) -> AbstractContextManager[None]:
        return nullcontext()

    def class_counts(self) -> NDArray[Any]:
        return numpy.bincount(class_numbers(leaves(self.y)[0]))


@dataclass(frozen=True)
class Dataset:
    """Training and test data; `validation` is the part of the training set held out for selection, or None."""

    name: str
    train: Source
    test: Source
    validation: Source | None = None

    @property
    def selection(self) -> Source:
        """What a search compares models on: the held-out part, or the test set where nothing is held out."""
        return self.test if self.validation is None else self.validation


@dataclass(frozen=True)
class ArrayDataset(Dataset):
    """A data set in memory, as the built-in ones are."""

    train: Split
    test: Split
    validation: Split | None = None

    @property
    def num_classes(self) -> int:
        """Of one-hot labels."""
        return int(leaves(self.train.y)[0].shape[1])

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of the first input."""
        return tuple(int(side) for side in leaves(self.train.x)[0].shape[1:])

    @property
    def selection(self) -> Split:
        return self.test if self.validation is None else self.validation


def leaves(arrays: Arrays) -> list[Array]:
    """The arrays, without their names."""
    if isinstance(arrays, Mapping):
        return list(arrays.values())
    return list(arrays) if isinstance(arrays, tuple) else [arrays]


def _each(arrays: Arrays, change: Callable[[Array], Array]) -> Arrays:
    if isinstance(arrays, Mapping):
        return {name: change(array) for name, array in arrays.items()}
    return tuple(change(array) for array in arrays) if isinstance(arrays, tuple) else change(arrays)


def class_numbers(labels: Array) -> NDArray[numpy.int64]:
    """One-hot labels, or class numbers of any shape -> (samples,) class numbers."""
    hot = labels.ndim > 1 and labels.shape[-1] > 1
    numbers = labels.argmax(axis=-1) if hot else labels
    return numbers.reshape(-1).astype(numpy.int64)


def one_hot(labels: Array, classes: int) -> NDArray[numpy.float32]:
    """(...) class numbers -> (..., classes)."""
    hot = numpy.zeros((*labels.shape, classes), numpy.float32)
    numpy.put_along_axis(hot, labels[..., None], 1.0, axis=-1)
    return hot
