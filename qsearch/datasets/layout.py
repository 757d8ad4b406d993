"""What a model takes: its inputs and heads, and which arrays of the user's own are meant for each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy

from qsearch.datasets.dataset import Array
from qsearch.datasets.memory import converted
from qsearch.errors import DatasetError, reason_of

_FLOAT32 = numpy.dtype(numpy.float32)

Shape: TypeAlias = tuple[int | None, ...]
Labels: TypeAlias = Literal["classes", "categorical", "binary", "values", "own"]


@dataclass(frozen=True, kw_only=True)
class Head:
    """An output of a model, and what its loss compares it with.

    Attributes:
        shape: of the output, without the samples' axis.
        labels: class numbers; one-hot labels (class numbers become so); 0 to 1 for each unit; any numbers; or
            whatever a loss of the user's own takes, which is not looked into.
        ignored: a class number that the loss leaves out.
        floats: make float32 of labels; else they stay in their own type.
    """

    name: str
    shape: Shape
    labels: Labels
    ignored: int | None = None
    floats: bool = False

    @property
    def units(self) -> int:
        """Of the last axis; 0 where it is not known."""
        return (self.shape[-1] or 0) if self.shape else 1


@dataclass(frozen=True)
class Layout:
    """The inputs and heads of a model, in its order.

    Attributes:
        by_name: whether the model's outputs are a dictionary; where they are a list, Keras takes weights in a list.
    """

    model: str
    inputs: Mapping[str, Shape]
    heads: tuple[Head, ...]
    by_name: bool = False

    @property
    def head_names(self) -> list[str]:
        return [head.name for head in self.heads]


def is_array(value: Any) -> bool:
    """Whether something is an array of any library, or a table."""
    return hasattr(value, "shape") and not isinstance(value, type)


def named(given: Any, names: Sequence[str], model: str, what: str, kinds: tuple[str, str]) -> dict[str, Any]:
    """What is given for each name: a dictionary, a list in the model's order, or a single one.

    Args:
        what: how messages call it: "training set: samples".
        kinds: what the names are of, one and several: ("input", "inputs").

    Raises:
        DatasetError: they are not as many as the model has, or have other names.
    """
    several = ", ".join(names)
    has = f"{model} has {len(names)} {kinds[len(names) != 1]}: {several}"
    if isinstance(given, Mapping):
        by_name = {str(name): value for name, value in given.items()}
        if by_name.keys() != set(names):
            raise DatasetError(f"{what} are {', '.join(by_name) or 'none'}, expected {several}")
        return {name: by_name[name] for name in names}
    if isinstance(given, list | tuple) and (len(names) > 1 or (given and all(is_array(value) for value in given))):
        if len(given) != len(names):
            stack = "; make one array of a list of samples: numpy.stack" if len(given) > len(names) else ""
            raise DatasetError(f"{what} are a list of {len(given)} arrays, {has}{stack}")
        return dict(zip(names, given, strict=True))
    if len(names) > 1:
        raise DatasetError(f"{what} are one array, {has}; give a list of arrays in this order, or a dictionary by name")
    return {names[0]: given}


def numbers(given: Any, what: str) -> Array:
    """An array of numbers of whatever is given for one; floats are float32.

    Raises:
        DatasetError: it is none.
    """
    if isinstance(given, numpy.ma.MaskedArray) and given.mask.any():
        count = int(given.mask.sum())
        raise DatasetError(f"{what}: is a masked array with {count} masked values; fill them: .filled(0)")
    try:
        array = numpy.asarray(given)
    except Exception as error:  # rows of different lengths, or whatever a class of the user's own raises
        ragged = "; pad rows of different lengths to one" if "inhomogeneous" in str(error) else ""
        raise DatasetError(f"{what}: is no array ({reason_of(error, 120)}){ragged}") from None
    if array.ndim == 0 or array.dtype.kind not in "biuf":
        kind = "an array of Python objects" if array.dtype.kind == "O" and array.ndim else array.dtype
        raise DatasetError(
            f"{what}: is {kind} of shape {array.shape}, expected arrays of numbers{_way_out(array, given)}"
        )
    if array.dtype.kind != "f" or array.dtype == numpy.float32:
        return array
    if array.size and array.dtype.itemsize > _FLOAT32.itemsize:
        _check_range(array, what)
    return converted(array, numpy.float32)


def _check_range(array: Array, what: str) -> None:
    """Numbers that float32 does not hold become infinite, and would be told as such."""
    # NaN is told elsewhere; fmin and fmax pass it over
    least, greatest = float(numpy.fmin.reduce(array, None)), float(numpy.fmax.reduce(array, None))
    most = float(numpy.finfo(_FLOAT32).max)
    for value in (least, greatest):
        if most < abs(value) < math.inf:
            raise DatasetError(f"{what}: holds {value:.3g}, beyond what float32 holds ({most:.2g}); scale the data")


def _way_out(array: Array, given: Any) -> str:
    """How something that is no array of numbers becomes one."""
    if hasattr(given, "to_tensor"):
        return "; make a ragged tensor dense, padded to one length: .to_tensor()"
    if hasattr(given, "dense_shape"):
        return "; make a sparse tensor dense: tf.sparse.to_dense"
    if hasattr(given, "toarray"):
        return "; make a sparse matrix dense: .toarray()"
    if array.ndim == 0:
        return "; give one for each sample" if array.dtype.kind in "biuf" else ""
    if array.dtype.kind == "c":
        return "; give real and imaginary part (or magnitude) as channels"
    if array.dtype.kind in "Mm":
        return "; turn times into numbers"
    values = array.reshape(-1)[:10_000].tolist()
    text = next((value for value in values if isinstance(value, str | bytes)), None)
    if text is not None and all(isinstance(value, str | bytes) and _is_number(value) for value in values):
        return f"; make numbers of texts such as {text!r}: .astype('float32')"
    if text is not None:
        return f"; number texts such as {text!r}: numpy.unique(labels, return_inverse=True)[1]"
    if array.dtype.kind != "O":
        return ""
    if any(value is None for value in values):
        return "; turn what is missing (None) into numbers"
    if all(isinstance(value, int | float | numpy.generic) for value in values):
        return "; they are numbers: .astype('float32')"
    return "; pad rows of different lengths to one, turn what is missing into numbers"


def _is_number(text: str | bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def fits(found: Sequence[int | None], wanted: Sequence[int | None]) -> bool:
    """Whether shapes are the same where both are known."""
    return len(found) == len(wanted) and all(
        one is None or other is None or one == other for one, other in zip(found, wanted, strict=True)
    )


def shown(shape: Sequence[int | None]) -> str:
    """A shape as Python writes it."""
    return str(tuple(shape))
