"""What a data set is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[numpy.float32]


class Split(NamedTuple):
    """Images and labels; `x, y = split` works too.

    Attributes:
        x: (samples, height, width, channels), float32, the training set's mean image subtracted.
        y: (samples, classes), float32, one-hot.
    """

    x: Floats
    y: Floats

    def first(self, count: int | None) -> Split:
        """The first `count` samples."""
        return self if count is None else Split(self.x[:count], self.y[:count])


@dataclass(frozen=True)
class Dataset:
    """Training and test data; `validation` is the part of the training set held out for selection, or None."""

    name: str
    train: Split
    test: Split
    validation: Split | None = None

    @property
    def num_classes(self) -> int:
        return int(self.train.y.shape[1])

    @property
    def input_shape(self) -> tuple[int, ...]:
        return tuple(int(side) for side in self.train.x.shape[1:])

    @property
    def selection(self) -> Split:
        """What a search compares models on: the held-out part, or the test set where nothing is held out."""
        return self.test if self.validation is None else self.validation
