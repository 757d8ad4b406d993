"""Samples, labels and weights of the user's own -> what Keras is given for a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy

from qsearch.datasets.dataset import Array, Split
from qsearch.datasets.labels import Change, Seen, input_change, judge, label_change, lengths_agree
from qsearch.datasets.layout import Head, Layout, fits, named, numbers, shown
from qsearch.errors import DatasetError

_INPUTS, _HEADS = ("input", "inputs"), ("output", "outputs")


@dataclass(frozen=True)
class Parts:
    """What is given for each input and head, by name; `weights` where samples have some."""

    inputs: Mapping[str, Any]
    labels: Mapping[str, Any]
    weights: Mapping[str, Any] | None


def parts_of(layout: Layout, given: Sequence[Any], what: str) -> Parts:
    """The parts of (x, y) or (x, y, sample_weight), not yet looked into; weights of the heads that have some.

    Raises:
        DatasetError: they are not as many as the model has.
    """
    x, y, weights = (*given, None)[:3]
    heads = layout.head_names
    if y is None:
        raise DatasetError(f"{what}: has no labels, expected (x, y) or (x, y, sample_weight)")
    known = None if weights is None else _weights(layout, weights, f"{what}: sample weights")
    return Parts(
        named(x, list(layout.inputs), layout.model, f"{what}: samples", _INPUTS),
        named(y, heads, layout.model, f"{what}: labels", _HEADS),
        known or None,
    )


def _weights(layout: Layout, given: Any, what: str) -> dict[str, Any]:
    """Sample weights by head; one array is for every head, as in Keras, and heads may have none."""
    heads = layout.head_names
    if len(heads) > 1 and not isinstance(given, list | tuple | Mapping):
        return dict.fromkeys(heads, given)
    if isinstance(given, Mapping) and {str(name) for name in given} < set(heads):
        given = {**dict.fromkeys(heads), **{str(name): value for name, value in given.items()}}
    weights = named(given, heads, layout.model, what, _HEADS)
    return {name: value for name, value in weights.items() if value is not None}


def arrays_of(parts: Parts, what: str) -> Parts:
    """The parts as arrays of numbers, of the same length.

    Raises:
        DatasetError: they are none, or do not belong together.
    """
    kinds: tuple[tuple[str, Mapping[str, Any] | None], ...] = (
        ("x", parts.inputs),
        ("y", parts.labels),
        ("sample weights", parts.weights),
    )
    found: list[dict[str, Array] | None] = []
    lengths: list[tuple[str, int]] = []
    for kind, arrays in kinds:
        if arrays is None:
            found.append(None)
            continue
        calls = {name: f"{kind} {name}" if len(arrays) > 1 else kind for name in arrays}
        known = {name: numbers(array, f"{what}: {calls[name]}") for name, array in arrays.items()}
        lengths += [(calls[name], len(array)) for name, array in known.items()]
        found.append(known)
    lengths_agree(lengths, what)
    inputs, labels, weights = found
    return Parts(inputs or {}, labels or {}, weights)


@dataclass(frozen=True)
class Fitting:
    """How arrays of some shapes become those of a model.

    Attributes:
        weights: axes of the weights to change, of the heads that have some; those of others are 1.
    """

    layout: Layout
    inputs: Mapping[str, Change]
    labels: Mapping[str, Change]
    weights: Mapping[str, Change]

    def split(self, arrays: Parts) -> Split:
        """Arrays as Keras takes them; inputs and class numbers stay in their own type."""
        x = {name: change.apply(arrays.inputs[name]) for name, change in self.inputs.items()}
        y = {name: change.apply(arrays.labels[name]) for name, change in self.labels.items()}
        if arrays.weights is None:
            return Split(single(x), single(y))
        weights = {name: change.apply(arrays.weights[name]) for name, change in self.weights.items()}
        count = len(next(iter(arrays.inputs.values())))
        missing = [name for name in self.layout.head_names if name not in weights]
        weights |= {name: numpy.ones(count, numpy.float32) for name in missing}
        weights = {name: weights[name] for name in self.layout.head_names}
        return Split(single(x), self.packed(y), self.packed(weights))

    def packed(self, heads: Mapping[str, Any]) -> Any:
        """Labels or weights where there are weights: Keras takes both in the structure of the outputs alone."""
        if len(heads) > 1 and not self.layout.by_name:
            return tuple(heads.values())
        return single(heads)


def single(arrays: Mapping[str, Any]) -> Any:
    """A dictionary of one array is that array."""
    return next(iter(arrays.values())) if len(arrays) == 1 else dict(arrays)


def fitting_of(layout: Layout, arrays: Parts, what: str) -> Fitting:
    """How arrays become those of the model.

    Raises:
        DatasetError: their shapes do not fit.
    """
    problems: list[str] = []
    inputs: dict[str, Change] = {}
    for name, array in arrays.inputs.items():
        inputs[name] = input_change(array.shape[1:], layout.inputs[name], f"{what}: {name}")
    labels = {head.name: label_change(head, arrays.labels[head.name].shape[1:], what) for head in layout.heads}
    weights: dict[str, Change] = {}
    for head in layout.heads:
        if head.name not in (arrays.weights or {}):
            continue
        found = (arrays.weights or {})[head.name].shape[1:]
        places = head.shape[:-1]
        allowed = found in ((), (1,)) or fits(found, places) or fits(found, (*places, 1)) or head.labels == "own"
        if not allowed:
            problems.append(
                f"{what}: sample weights {head.name} have shape {shown(found)}, expected one for each sample"
                + (f", or {shown(places)}" if places else "")
            )
        drop = found == (1,) or (len(found) > len(places) and head.labels != "own")
        weights[head.name] = Change("drop" if drop and not fits(found, places) else "keep", floats=True)
    if problems:
        raise DatasetError("; ".join(problems))
    return Fitting(layout, inputs, labels, weights)


class Inspection:
    """What is seen of a data set's values, piece by piece; wrong ones are refused when all are known."""

    def __init__(self, layout: Layout, what: str) -> None:
        self.layout = layout
        self.what = what
        self.labels = {head.name: Seen() for head in layout.heads}
        self.samples = 0
        self.weight = 0.0

    def add(self, fitting: Fitting, arrays: Parts) -> None:
        """Take in more samples.

        Raises:
            DatasetError: inputs or weights that are not finite.
        """
        several = len(arrays.inputs) > 1
        for name, array in arrays.inputs.items():
            self._finite(array, f"x {name}" if several else "x")
        for name, array in (arrays.weights or {}).items():
            called = f"sample weights {name}" if len(self.layout.heads) > 1 else "sample weights"
            self._finite(array, called)
            if array.size and array.min() < 0:
                raise DatasetError(
                    f"{self.what}: {called}: {array.min():g} to {array.max():g}, expected numbers >= 0; samples to "
                    "leave out have weights of 0"
                )
            self.weight += float(array.sum(dtype=numpy.float64))
        for head in self.layout.heads:
            found = fitting.labels[head.name].reshaped(arrays.labels[head.name])
            seen = self.labels[head.name]
            seen.add(found, head.ignored)
            if self._counts(head) and seen.finite:
                seen.count(found if head.ignored is None else found[found != head.ignored])
        self.samples += len(next(iter(arrays.inputs.values())))

    def _counts(self, head: Head) -> bool:
        """Whether class weights may be asked for: one class for each sample."""
        return (
            len(self.layout.heads) == 1 and len(head.shape) < 2 and head.labels in ("classes", "categorical", "binary")
        )

    def _finite(self, array: Array, name: str) -> None:
        seen = Seen()
        if array.dtype.kind == "f":
            seen.add(array)
        if not seen.finite:
            raise DatasetError(
                f"{self.what}: {name}: not finite (holds NaN or infinite numbers), first in sample {seen.broken}; "
                "clean the data first"
            )

    def judge(self, fitting: Fitting) -> None:
        """Refuse a whole set with labels that mean nothing to their head, or weights with which nothing counts.

        Raises:
            DatasetError: with what was found and the fix.
        """
        self.judge_labels(fitting)
        if fitting.weights.keys() == set(self.layout.head_names) and not self.weight:
            raise DatasetError(f"{self.what}: sample weights are all 0, so that no sample counts; leave them out")

    def judge_labels(self, fitting: Fitting) -> None:
        """Refuse labels that mean nothing to their head.

        Raises:
            DatasetError: with what was found and the fix.
        """
        for head in self.layout.heads:
            judge(head, fitting.labels[head.name], self.labels[head.name], self.what)


def split_of(layout: Layout, given: Sequence[Any], what: str) -> Split:
    """Arrays of the user's own as a split that fits a model.

    Raises:
        DatasetError: they do not.
    """
    arrays = arrays_of(parts_of(layout, given, what), what)
    fitting = fitting_of(layout, arrays, what)
    inspection = Inspection(layout, what)
    inspection.add(fitting, arrays)
    inspection.judge(fitting)
    return fitting.split(arrays)


def stacked(samples: Sequence[Parts], what: str) -> Parts:
    """Single samples as a batch.

    Raises:
        DatasetError: they have different shapes.
    """

    def stack(name: str, kind: str, pieces: Sequence[Any]) -> Array:
        try:
            return numpy.stack([numpy.asarray(piece) for piece in pieces])
        except ValueError as error:
            raise DatasetError(f"{what}: {kind} {name} differ in shape ({error}); pad them to one") from None

    first = samples[0]
    same_weights(samples, what)
    weights = None
    if first.weights is not None:
        found = [sample.weights or {} for sample in samples]
        weights = {name: stack(name, "sample weights", [piece[name] for piece in found]) for name in first.weights}
    return replace(
        first,
        inputs={name: stack(name, "samples", [one.inputs[name] for one in samples]) for name in first.inputs},
        labels={name: stack(name, "labels", [one.labels[name] for one in samples]) for name in first.labels},
        weights=weights,
    )


def same_weights(pieces: Sequence[Parts], what: str) -> None:
    """Refuse batches or samples of which some have weights that others lack.

    Raises:
        DatasetError: naming what differs.
    """
    found = [set(piece.weights or ()) for piece in pieces]
    first = found[0]
    for names in found:
        if names != first:
            heads = f" for {', '.join(sorted(first ^ names))}" if first and names else ""
            has = (
                "some elements have sample weights that the first has not"
                if names - first
                else ("the first element has sample weights that others have not")
            )
            raise DatasetError(f"{what}: {has}{heads}; give them in every element, or in none")


def cut(arrays: Parts, rows: int) -> Parts:
    """The first rows of a batch."""
    weights = None if arrays.weights is None else {name: array[:rows] for name, array in arrays.weights.items()}
    return Parts(
        {name: array[:rows] for name, array in arrays.inputs.items()},
        {name: array[:rows] for name, array in arrays.labels.items()},
        weights,
    )
