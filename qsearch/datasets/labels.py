"""Labels as the loss takes them: their shape, and the values that they may have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy
from numpy.typing import NDArray

from qsearch.config.bounds import SIDE
from qsearch.datasets.dataset import Array, class_numbers, one_hot
from qsearch.datasets.layout import Head, Shape, fits, shown
from qsearch.datasets.memory import converted
from qsearch.errors import DatasetError

_CHUNK = 1 << 22
"""Numbers that are looked at at once."""


_ROUNDING = 1e-5
_MOST_CLASSES = 100_000
"""Greater numbers are none of classes."""


@dataclass(frozen=True)
class Change:
    """What is done to an array whose samples have another shape than the model's.

    Attributes:
        axis: add a last axis of 1, or drop it.
        classes: make class numbers one-hot over so many.
        floats: make float32 of them.
    """

    axis: Literal["keep", "add", "drop"] = "keep"
    classes: int | None = None
    floats: bool = False

    def apply(self, array: Array) -> Array:
        array = self.reshaped(array)
        if self.classes is not None:
            try:
                return one_hot(array.astype(numpy.int64), self.classes)
            except MemoryError:
                raise DatasetError(
                    f"one-hot labels of {array.size:,} samples and {self.classes:,} classes do not fit into memory; "
                    "keep class numbers and take loss: sparse_categorical_crossentropy"
                ) from None
        return converted(array, numpy.float32) if self.floats and array.dtype != numpy.float32 else array

    def reshaped(self, array: Any) -> Any:
        """The axis alone; of a tensor too."""
        return {"keep": lambda: array, "add": lambda: array[..., None], "drop": lambda: array[..., 0]}[self.axis]()


def input_change(found: Shape, wanted: Shape, what: str) -> Change:
    """As Keras does, a last axis of 1 is added or dropped.

    Raises:
        DatasetError: the shape does not fit.
    """
    change = _axis(found, wanted)
    if change is None:
        raise DatasetError(
            f"{what}: samples have shape {shown(found)}, expected {shown(wanted)}{_remedy(found, wanted)}"
        )
    return change


def _remedy(found: Shape, wanted: Shape) -> str:
    """How samples of a shape become those of another that holds the same."""
    if None in wanted or None in found or len(wanted) < 2:
        return ""
    if len(found) == len(wanted) and found[0] == wanted[-1] and found[1:] == wanted[:-1]:
        axes = ", ".join(map(str, (0, *range(2, len(found) + 1), 1)))
        return f"; put the channels last: x.transpose({axes})"
    if len(found) == len(wanted) and found[-1] == wanted[0] and found[:-1] == wanted[1:]:
        axes = ", ".join(map(str, (0, len(found), *range(1, len(found)))))
        return f"; put the channels first: x.transpose({axes})"
    if found in (wanted[:-1], (*wanted[:-1], 1)):
        grey = "x" if len(found) == len(wanted) else "x[..., None]"
        return f"; repeat the only channel: numpy.repeat({grey}, {wanted[-1]}, axis=-1)"
    flat = len(found) == 1 and found[0] == math.prod(side or 0 for side in wanted)
    return f"; x.reshape{shown((-1, *wanted))}" if flat else ""


def label_change(head: Head, found: Shape, what: str) -> Change:
    """What makes labels of a shape those that a head's loss takes.

    Raises:
        DatasetError: the shape does not fit.
    """
    return (
        Change(floats=head.floats) if head.labels == "own" else replace(_shaped(head, found, what), floats=head.floats)
    )


def _shaped(head: Head, found: Shape, what: str) -> Change:
    whole, places = head.shape, head.shape[:-1]
    if head.labels == "classes":
        change = Change() if fits(found, places) else Change("drop") if fits(found, (*places, 1)) else None
        if change is None:
            hot = "; one-hot labels are for loss: categorical_crossentropy" if fits(found, whole) else ""
            raise _misfit(head, found, f"class numbers of shape {shown(places)}{hot}", what)
        return change
    change = _axis(found, whole)
    if head.labels == "categorical" and not fits(found, whole):
        if fits(found, places):
            return Change(classes=head.units)
        if fits(found, (*places, 1)):
            return Change("drop", classes=head.units)
    if change is None:
        classes = f", or class numbers of shape {shown(places)}" if head.labels == "categorical" else ""
        sparse = head.labels in ("values", "binary") and head.units > 1 and fits(found, places)
        hint = "; class numbers are for loss: sparse_categorical_crossentropy" if sparse else ""
        if head.labels == "binary" and head.units == 1 and fits(found, (*places, 2)):
            hint = "; of two one-hot columns take the second: y[..., 1:]"
        raise _misfit(head, found, f"{shown(whole)}{classes}{hint}", what)
    return change


def _axis(found: Shape, wanted: Shape) -> Change | None:
    if fits(found, wanted):
        return Change()
    if fits((*found, 1), wanted):
        return Change("add")
    return Change("drop") if fits(found, (*wanted, 1)) else None


def _misfit(head: Head, found: Shape, expected: str, what: str) -> DatasetError:
    return DatasetError(f"{what}: labels {head.name} have shape {shown(found)}, expected {expected}")


@dataclass(kw_only=True)
class Seen:
    """What values an array has, taken in piece by piece.

    Attributes:
        broken: the first sample that is not finite, of the array in which it is.
    """

    least: float = float("inf")
    greatest: float = float("-inf")
    finite: bool = True
    broken: int = 0
    whole: bool = True
    fraction: float = 0.0
    counts: NDArray[Any] = field(default_factory=lambda: numpy.zeros(0, numpy.int64))

    def add(self, array: Array, ignored: int | None = None) -> None:
        """Take in more of it, without a copy of the whole."""
        rows = max(1, _CHUNK // max(1, int(numpy.prod(array.shape[1:]))))
        for start in range(0, len(array), rows):
            self._piece(array[start : start + rows], ignored, start)

    def _piece(self, array: Array, ignored: int | None, start: int) -> None:
        if array.dtype.kind == "f" and not numpy.isfinite(array).all():
            if self.finite:
                self.finite = False
                self.broken = start + int(numpy.argwhere(~numpy.isfinite(array))[0][0])
            return
        if ignored is not None:
            array = array[array != ignored]
        if not array.size:
            return
        if self.whole and array.dtype.kind == "f":
            broken = array[array != numpy.floor(array)]
            if broken.size:
                self.whole, self.fraction = False, float(broken[0])
        self.least = min(self.least, float(array.min()))
        self.greatest = max(self.greatest, float(array.max()))

    def count(self, labels: Array) -> None:
        """Take in class numbers, or one-hot labels, for `counts`; what is below 0 is left to `judge`."""
        numbers = class_numbers(labels)
        found = numpy.bincount(numbers[(numbers >= 0) & (numbers < SIDE)])
        size = max(len(found), len(self.counts))
        self.counts = numpy.pad(found, (0, size - len(found))) + numpy.pad(self.counts, (0, size - len(self.counts)))


def judge(head: Head, change: Change, seen: Seen, what: str) -> None:
    """Refuse labels that mean nothing to a head's loss.

    Raises:
        DatasetError: with what was found, what the head has, and the fix.
    """
    place = f"{what}: labels of output {head.name}"
    if not seen.finite:
        raise DatasetError(f"{place} hold numbers that are not finite (NaN or infinite); leave these samples out")
    if seen.least > seen.greatest:
        if head.ignored is not None:
            raise DatasetError(f"{place} are all {head.ignored}, which the loss leaves out (ignore_class)")
        return
    least, greatest = f"{seen.least:g}", f"{seen.greatest:g}"
    found = f"{place} are {least} to {greatest}" if least != greatest else f"{place} are all {least}"
    numbered = head.labels == "classes" or change.classes is not None
    if numbered:
        if not seen.whole:
            regression = (
                "class numbers are whole; for numbers to predict take loss: mse, for parts of classes one-hot labels "
                "and loss: categorical_crossentropy"
            )
            raise DatasetError(f"{place} hold {seen.fraction:g}, its classes are 0 to {head.units - 1}; {regression}")
        if seen.least < 0 or (head.units and seen.greatest >= head.units):
            classes = f"its classes are 0 to {head.units - 1}" if head.units > 1 else "its only class is 0"
            raise DatasetError(f"{found}, {classes}; {_numbering(seen, head)}")
    elif head.labels in ("binary", "categorical") and (seen.least < -_ROUNDING or seen.greatest > 1 + _ROUNDING):
        raise DatasetError(f"{found}, expected 0 to 1; {_scaling(seen)}")


def _numbering(seen: Seen, head: Head) -> str:
    units = head.units
    void = next((mark for mark, at in ((-1, seen.least), (255, seen.greatest)) if mark == at), None)
    if void is not None and head.labels == "classes" and head.ignored is None:
        loss = f"{{name: sparse_categorical_crossentropy, ignore_class: {void}}}"
        return f"number the classes from 0; where {void} marks what is to be left out, take loss: {loss}"
    if seen.least < 0:
        return "number the classes from 0 (a class to leave out needs weights of 0)"
    if seen.least >= 1 and seen.greatest == units:
        return "subtract 1"
    if units == 1 and (seen.least, seen.greatest) == (0, 1):
        return "for two classes and one unit take loss: binary_crossentropy, or give the output 2 units"
    more = f", or give the output {int(seen.greatest) + 1} units" if seen.greatest < _MOST_CLASSES else ""
    return f"number the classes from 0{more}"


def _scaling(seen: Seen) -> str:
    if (seen.least, seen.greatest) == (-1, 1):
        return "turn -1 into 0, or take loss: hinge"
    if (seen.least, seen.greatest) == (1, 2):
        return "subtract 1"
    if seen.least >= 0 and seen.greatest == 255:
        return "divide by 255"
    return "scale them, or for numbers to predict take loss: mse"


def lengths_agree(lengths: Sequence[tuple[str, int]], what: str) -> None:
    """Refuse arrays that do not have as many samples, or none.

    Raises:
        DatasetError: with all of the numbers.
    """
    found = {count for _, count in lengths}
    if len(found) != 1 or 0 in found:
        each = ", ".join(f"{name} {count}" for name, count in lengths)
        raise DatasetError(f"{what}: needs as many samples in every array, and at least one; found {each}")
