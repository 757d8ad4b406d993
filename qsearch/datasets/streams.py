"""What gives samples piece by piece: Python iterables, keras.utils.PyDataset, tf.data. Each can be read anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import Any, Protocol

from qsearch.errors import DatasetError, told

ENDLESS = -1
"""The length of a stream that never ends."""


@dataclass(frozen=True)
class Window:
    """The elements of a stream that count: from `start` up to `stop`, of the last one only the first `last` rows."""

    start: int = 0
    stop: int | None = None
    last: int | None = None


class Stream(Protocol):
    """Elements, each a batch or a sample of (x, y) or (x, y, sample_weight)."""

    @property
    def kind(self) -> str:
        """How messages call it."""
        ...

    @property
    def length(self) -> int | None:
        """Number of elements, ENDLESS, or None where it is not known."""
        ...

    @property
    def stable(self) -> bool:
        """Whether the order stays the same, as far as it can be known without reading."""
        ...

    def elements(self, start: int) -> Iterator[Any]:
        """Those from a place on, as arrays."""
        ...


@dataclass(frozen=True)
class IterableStream:
    """What Python iterates over; `open` gives it anew."""

    open: Callable[[], Iterable[Any]]
    kind: str
    length: int | None = None
    stable: bool = True

    def elements(self, start: int) -> Iterator[Any]:
        return islice(self.open(), start, None)


@dataclass(frozen=True)
class SequenceStream:
    """A keras.utils.PyDataset."""

    sequence: Any
    kind: str = "a keras.utils.PyDataset"

    @property
    def length(self) -> int | None:
        batches = self.sequence.num_batches
        return ENDLESS if batches is None else int(batches)

    @property
    def stable(self) -> bool:
        """Those that do something after an epoch shuffle, as a rule."""
        import keras

        base = keras.utils.PyDataset
        return type(self.sequence).on_epoch_end is base.on_epoch_end and (
            type(self.sequence).on_epoch_begin is base.on_epoch_begin
        )

    def elements(self, start: int) -> Iterator[Any]:
        length = self.length
        for index in count(start) if length == ENDLESS else range(start, length or 0):
            yield self.sequence[index]


@dataclass(frozen=True)
class TensorStream:
    """A tf.data.Dataset."""

    dataset: Any
    kind: str = "a tf.data.Dataset"
    stable: bool = True

    @property
    def length(self) -> int | None:
        import tensorflow

        count = int(self.dataset.cardinality())
        if count == tensorflow.data.INFINITE_CARDINALITY:
            return ENDLESS
        return None if count == tensorflow.data.UNKNOWN_CARDINALITY else count

    def elements(self, start: int) -> Iterator[Any]:
        return iter((self.dataset.skip(start) if start else self.dataset).as_numpy_iterator())


def read(stream: Stream, window: Window, what: str) -> Iterator[Any]:
    """The elements of a window, but for what is to be cut of the last one.

    Raises:
        DatasetError: the stream fails.
    """
    place = window.start
    try:
        length = None if window.stop is None else window.stop - window.start
        for element in islice(stream.elements(window.start), length):
            yield element
            place += 1
    except DatasetError:
        raise
    except (Exception, SystemExit) as error:  # the user's own code, or TensorFlow's
        announced = "" if stream.length in (None, ENDLESS) else f" of {stream.length}"
        raise DatasetError(f"{what}: {stream.kind} failed at element {place}{announced} with {told(error)}") from None


def stream_of(given: Any, again: Callable[[], Any]) -> Stream | None:
    """A stream of what a function gave, or None where it is none.

    Args:
        again: gives it anew; of generators, which can be read only once.
    """
    import keras
    import tensorflow

    if isinstance(given, tensorflow.data.Dataset):
        return TensorStream(given)
    if isinstance(given, keras.utils.PyDataset):
        return SequenceStream(given)
    if isinstance(given, Iterator):
        return IterableStream(again, "a generator")
    if isinstance(given, list) and given and all(isinstance(each, tuple) for each in given):
        return IterableStream(lambda: given, "a list of batches", len(given))
    if isinstance(given, tuple | list | dict | str) or hasattr(given, "shape"):
        return None
    name = f"a {type(given).__name__}"
    if isinstance(given, Iterable):
        sized = hasattr(given, "__len__")
        return IterableStream(lambda: given, name, len(given) if sized else None)  # type: ignore[arg-type]
    return IterableStream(given, "a function") if callable(given) else None
