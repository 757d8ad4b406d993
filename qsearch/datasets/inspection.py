"""Reading a stream once, before anything is trained: how much there is, and whether it fits the model."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import numpy
from numpy.typing import NDArray

from qsearch.datasets.dataset import Array
from qsearch.datasets.fitting import (
    Fitting,
    Inspection,
    Parts,
    arrays_of,
    cut,
    fitting_of,
    parts_of,
    same_weights,
    stacked,
)
from qsearch.datasets.labels import input_change
from qsearch.datasets.layout import Layout, Shape, fits, shown
from qsearch.datasets.streams import ENDLESS, Stream, Window, read
from qsearch.errors import DatasetError, told

GROUP = 256
"""Single samples that are looked at together."""

_LONGEST, _LONGEST_REPEATING = 5_000_000, 200_000
"""Elements after which a stream of unknown length counts as endless; fewer where it only repeats its beginning."""
_BATCHED = 100
"""Batches are taken for so many single samples in these."""
_PROBE = 32
"""Elements of the beginning that are looked for again."""
_ORDER = 8
"""Elements whose labels tell whether the order stays."""


@dataclass(frozen=True, kw_only=True)
class Inspected:
    """What a stream was found to hold.

    Attributes:
        rows: of each element; empty where elements are single samples.
        samples: all of them.
        counts: how often each class number is seen, of a model with one head.
        example: the first batch, which later ones are like.
    """

    fitting: Fitting
    batched: bool
    rows: tuple[int, ...]
    samples: int
    counts: NDArray[Any]
    example: Parts
    window: Window


def inspect(stream: Stream, layout: Layout, limit: int | None, what: str, key: str) -> Inspected:
    """Go through a stream once.

    Args:
        limit: samples that are wanted; None: all.
        key: of the configuration that sets it.

    Raises:
        DatasetError: it is empty, never ends, fails, cannot be read twice, or does not fit the model.
    """
    if _announced(stream, what) == ENDLESS and limit is None:
        raise DatasetError(f"{what}: {stream.kind} that never ends; say how many samples an epoch has: {key}")
    guard = _Endless(stream, limit, what, key)
    inspection = Inspection(layout, what)
    fitting: Fitting | None = None
    example: Parts | None = None
    batched = True
    rows: list[int] = []
    for number, arrays in enumerate(_batches(stream, layout, what, guard)):
        if fitting is None:
            batched = guard.batched
            fitting, example = fitting_of(layout, arrays, what), arrays
        else:
            with at_batch(number):
                check_like(layout, example, arrays, what)
        left = None if limit is None else limit - inspection.samples
        found = len(next(iter(arrays.inputs.values())))
        with at_batch(number if batched else 0):
            inspection.add(fitting, arrays if left is None or left >= found else cut(arrays, left))
        if batched:
            rows.append(found if left is None else min(found, left))
        if left is not None and found >= left:
            break
    if fitting is None or example is None:
        raise DatasetError(f"{what}: {stream.kind} that gives nothing; the factory has to give at least one sample")
    if limit is not None and inspection.samples < limit:
        raise DatasetError(
            f"{what}: {key}: found {limit}, allowed: 1 to {inspection.samples}, where {stream.kind} ends"
        )
    inspection.judge(fitting)
    counts = next(iter(inspection.labels.values())).counts
    stop = len(rows) if batched else inspection.samples
    last = rows[-1] if batched and limit is not None else None
    found_all = Inspected(
        fitting=fitting,
        batched=batched,
        rows=tuple(rows),
        samples=inspection.samples,
        counts=counts,
        example=example,
        window=Window(0, stop, last),
    )
    if next(read(stream, replace(found_all.window, stop=1), what), None) is None:
        raise DatasetError(
            f"{what}: {stream.kind} that can be read only once, and each epoch reads it again; make the factory give a "
            "fresh one with every call"
        )
    return found_all


def _announced(stream: Stream, what: str) -> int | None:
    """How many elements a stream says that it has."""
    try:
        return stream.length
    except (Exception, SystemExit) as error:  # the user's own code
        wanted = "__len__ (or num_batches) has to give the number of batches, a whole number >= 0"
        raise DatasetError(f"{what}: {stream.kind} that does not tell its length ({told(error)}); {wanted}") from None


def same_order(stream: Stream, layout: Layout, what: str) -> bool:
    """Whether two readings give the labels of the first elements in the same order."""

    def beginning() -> list[bytes]:
        elements = read(stream, Window(0, _ORDER), what)
        return [_digest(list(parts_of(layout, _given(element, what), what).labels.values())) for element in elements]

    return stream.stable and beginning() == beginning()


def element_parts(layout: Layout, element: Any, what: str) -> Parts:
    """The parts of one element.

    Raises:
        DatasetError: it is no (x, y) or (x, y, sample_weight).
    """
    return parts_of(layout, _given(element, what), what)


def _given(element: Any, what: str) -> Sequence[Any]:
    if isinstance(element, tuple | list) and len(element) in (2, 3):
        return element
    found = f"{len(element)} things" if isinstance(element, tuple | list) else f"a {type(element).__name__}"
    if isinstance(element, dict):
        found = f"a dictionary of {', '.join(map(str, element))}"
    raise DatasetError(f"{what}: an element is {found}, expected (x, y) or (x, y, sample_weight)")


def _batches(stream: Stream, layout: Layout, what: str, guard: _Endless) -> Iterator[Parts]:
    """The elements as batches of arrays; single samples are put together."""
    waiting: list[Parts] = []
    batched: bool | None = None
    for number, element in enumerate(read(stream, Window(), what)):
        parts = element_parts(layout, element, what)
        if batched is None:
            batched = guard.batched = _is_batch(layout, parts, what)
        guard.take(parts)
        if batched:
            with at_batch(number):
                arrays = arrays_of(parts, what)
            yield arrays
            continue
        waiting.append(parts)
        if len(waiting) == GROUP:
            yield arrays_of(stacked(waiting, what), what)
            waiting = []
    if waiting:
        yield arrays_of(stacked(waiting, what), what)


def _is_batch(layout: Layout, parts: Parts, what: str) -> bool:
    """Whether an element has a samples' axis before the shape of the model's first input."""
    name, wanted = next(iter(layout.inputs.items()))
    found: Shape = tuple(numpy.shape(parts.inputs[name]))
    if found and fits(found[1:], wanted):
        return True
    if fits(found, wanted):
        return False
    if len(found) <= len(wanted):
        try:
            input_change(found, wanted, what)
        except DatasetError:
            return True
        return not found or len(found) < len(wanted)
    return True


@contextmanager
def at_batch(number: int) -> Iterator[None]:
    """Add the number of a batch to what is wrong with it; what is wrong with the first is so with all, as a rule."""
    try:
        yield
    except DatasetError as error:
        raise DatasetError(f"{error} (batch {number})" if number else str(error)) from None


def check_like(layout: Layout, first: Parts | None, arrays: Parts, what: str) -> None:
    """Refuse a batch that is not like the first.

    Raises:
        DatasetError: it does not fit the model, or one has sample weights and the other has none.
    """
    fitting_of(layout, arrays, what)
    if first is not None:
        same_weights([first, arrays], what)
        _same_axes(first, arrays, what)


def _same_axes(first: Parts, arrays: Parts, what: str) -> None:
    """What is done to the first batch to make it the model's is done to all."""
    for one, other in ((first.inputs, arrays.inputs), (first.labels, arrays.labels)):
        for name, array in other.items():
            if array.ndim != one[name].ndim:
                found, expected = shown(array.shape[1:]), shown(one[name].shape[1:])
                raise DatasetError(
                    f"{what}: {name}: samples of shape {found}, and of shape {expected} in the first batch; give every "
                    "batch the same axes"
                )


def checked(inspected: Inspected, arrays: Parts, what: str) -> Parts:
    """A batch of a later reading, which may be another than that of the first.

    Raises:
        DatasetError: it is not like the first, or its values are none that the model can be trained on.
    """
    layout = inspected.fitting.layout
    check_like(layout, inspected.example, arrays, what)
    inspection = Inspection(layout, what)
    inspection.add(inspected.fitting, arrays)
    inspection.judge_labels(inspected.fitting)
    return arrays


class _Endless:
    """Refuses a stream of unknown length that gives more and more."""

    def __init__(self, stream: Stream, limit: int | None, what: str, key: str) -> None:
        self.watches = stream.length is None and limit is None
        self.message = f"{what}: {stream.kind} that has not ended after"
        self.way_out = f"say how many samples an epoch has: {key}"
        self.batched = True
        self.first: list[bytes] = []
        self.latest: deque[bytes] = deque(maxlen=_PROBE)
        self.repeats = False
        self.seen = 0

    def take(self, parts: Parts) -> None:
        if not self.watches:
            return
        self.seen += 1
        if not self.repeats:
            self._compare(_digest([*parts.inputs.values(), *parts.labels.values()]))
        longest = _LONGEST_REPEATING if self.repeats else _LONGEST
        if self.seen > (longest // _BATCHED if self.batched else longest):
            repeats = ", and repeats what it gave at first" if self.repeats else ""
            raise DatasetError(f"{self.message} {self.seen - 1} elements{repeats}; {self.way_out}")

    def _compare(self, digest: bytes) -> None:
        if len(self.first) < _PROBE:
            self.first.append(digest)
            return
        self.latest.append(digest)
        self.repeats = list(self.latest) == self.first


def _digest(arrays: Sequence[Any]) -> bytes:
    digest = blake2b(digest_size=8)
    for array in arrays:
        whole: Array = numpy.ascontiguousarray(array)
        # the beginning tells: hashing gigabytes would take longer than reading them
        digest.update(whole.reshape(-1)[:256].tobytes())
    return digest.digest()
