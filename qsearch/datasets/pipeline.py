"""Data that is read batch by batch in every epoch, so that it may be larger than memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

from numpy.typing import NDArray

from qsearch.datasets.feeds import python_feed, sequence_feed, tensor_feed
from qsearch.datasets.inspection import Inspected, inspect, same_order
from qsearch.datasets.layout import Layout
from qsearch.datasets.streams import SequenceStream, Stream, TensorStream
from qsearch.datasets.trouble import Trouble, surfaced
from qsearch.errors import DatasetError


@dataclass(frozen=True)
class Pipeline:
    """A stream that was looked through once, and the part of it that counts.

    Attributes:
        what: how messages call it.
        found: what it holds.
        trouble: what went wrong in reading.
    """

    stream: Stream
    found: Inspected
    what: str
    trouble: Trouble = field(default_factory=list)

    @property
    def samples(self) -> int:
        return self.found.samples

    @property
    def weighted(self) -> bool:
        return self.found.example.weights is not None

    @property
    def extra(self) -> Mapping[str, NDArray[Any]]:
        """None: arrays for metrics come with arrays."""
        return {}

    def first(self, count: int | None) -> Pipeline:
        """The first `count` samples."""
        if count is None or count >= self.samples:
            return self
        window = self.found.window
        if not self.found.batched:
            return self._part(replace(window, stop=window.start + count), (), count)
        ends = list(accumulate(self.found.rows))
        elements = next(number for number, end in enumerate(ends, 1) if end >= count)
        rows = self.found.rows[:elements]
        last = count - sum(rows[:-1])
        return self._part(replace(window, stop=window.start + elements, last=last), (*rows[:-1], last), count)

    def held_out(self, share: float, layout: Layout) -> tuple[Pipeline, Pipeline]:
        """What is left to train on, and the last batches (of single samples: the last samples).

        Raises:
            DatasetError: nothing would be left of one, or the order changes from one reading to the next.
        """
        window, inspected = self.found.window, self.found
        total = len(inspected.rows) if inspected.batched else inspected.samples
        held = max(1, round(total * share)) if inspected.batched else round(total * share)
        unit = "batches" if inspected.batched else "samples"
        if not 0 < held < total:
            raise DatasetError(
                f"{self.what}: dataset.validation: {share} of {total} {unit} leaves {total - held} to train on and "
                f"{held} to select on; give smaller batches, another fraction, or validation: test"
            )
        if not same_order(self.stream, layout, self.what):
            raise DatasetError(
                f"{self.what}: dataset.validation: {share} of {self.stream.kind} whose order changes with every "
                "reading (shuffle, on_epoch_end), so that what is held out would be trained on; allowed: validation: "
                "test, or an order that stays: shuffle(reshuffle_each_iteration=False)"
            )
        cut = window.start + total - held
        kept, rest = inspected.rows[: total - held], inspected.rows[total - held :]
        left = sum(kept) if inspected.batched else total - held
        return (
            self._part(replace(window, stop=cut, last=None), kept, left),
            self._part(replace(window, start=cut), rest, inspected.samples - left),
        )

    def _part(self, window: Any, rows: tuple[int, ...], samples: int) -> Pipeline:
        return replace(self, found=replace(self.found, window=window, rows=rows, samples=samples))

    def steps(self, batch_size: int) -> int:
        return len(self.found.rows) if self.found.batched else math.ceil(self.samples / batch_size)

    def training(self, batch_size: int) -> dict[str, Any]:
        # tf.data is in the order that it gives; of a PyDataset, fit shuffles the batches
        return {"x": self.validation(batch_size), "shuffle": isinstance(self.stream, SequenceStream)}

    def evaluation(self, batch_size: int) -> dict[str, Any]:
        return {"x": self.validation(batch_size)}

    def validation(self, batch_size: int) -> Any:
        steps = self.steps(batch_size)
        if isinstance(self.stream, TensorStream):
            return tensor_feed(self.stream, self.found, batch_size, steps)
        if isinstance(self.stream, SequenceStream):
            return sequence_feed(self.stream, self.found, batch_size, steps, self.what, self.trouble)
        return python_feed(self.stream, self.found, batch_size, steps, self.what, self.trouble)

    def reading(self) -> AbstractContextManager[None]:
        return surfaced(self.trouble)

    def class_counts(self) -> NDArray[Any]:
        return self.found.counts


def pipeline_of(stream: Stream, layout: Layout, limit: int | None, what: str, key: str) -> Pipeline:
    """A pipeline of a stream that fits a model.

    Raises:
        DatasetError: it does not; see `inspect`.
    """
    return Pipeline(stream, inspect(stream, layout, limit, what, key), what)
