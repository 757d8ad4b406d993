"""What training and evaluation need of samples, whatever is behind them: arrays in memory, or a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from numpy.typing import NDArray


class Source(Protocol):
    """Samples with their labels, that can be gone through again and again."""

    @property
    def samples(self) -> int:
        """How many there are in one epoch."""
        ...

    @property
    def weighted(self) -> bool:
        """Whether samples have weights."""
        ...

    @property
    def extra(self) -> Mapping[str, NDArray[Any]]:
        """Arrays for metrics alone."""
        ...

    def first(self, count: int | None) -> Source:
        """The first `count` samples; None: all."""
        ...

    def steps(self, batch_size: int) -> int:
        """The batches of one epoch; a pipeline that comes in batches keeps its own."""
        ...

    def training(self, batch_size: int) -> dict[str, Any]:
        """Arguments of Keras' `fit`."""
        ...

    def evaluation(self, batch_size: int) -> dict[str, Any]:
        """Arguments of Keras' `evaluate`."""
        ...

    def validation(self, batch_size: int) -> Any:
        """What `fit` takes as validation data."""
        ...

    def reading(self) -> AbstractContextManager[None]:
        """Around `fit` and `evaluate`: what goes wrong in reading comes out as a DatasetError."""
        ...

    def class_counts(self) -> NDArray[Any]:
        """How often each class number is seen among the labels of a model with one head."""
        ...
