"""Data of the user's own: a file of arrays, or a function that makes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy

from qsearch.datasets.dataset import Array, Arrays, Dataset, Split, one_hot
from qsearch.datasets.load import check_count, hold_out
from qsearch.errors import DatasetError
from qsearch.imports import imported

_PARTS = ("x_train", "y_train", "x_test", "y_test")


def load_own(
    npz: str | None = None,
    factory: str | None = None,
    train_samples: int | None = None,
    test_samples: int | None = None,
    validation: Literal["test"] | float = "test",
    one_hot_heads: frozenset[str] = frozenset(),
) -> Dataset:
    """A data set from a file or a function; numbers become float32 and are otherwise taken as they are.

    Args:
        npz: a file with the arrays x_train, y_train, x_test and y_test, as `numpy.savez` and Keras' mnist.npz have
            them; of several inputs or heads, x_train_NAME and so on for each.
        factory: import path of a function without arguments that gives ((x_train, y_train), (x_test, y_test)), arrays
            or dictionaries of them.
        one_hot_heads: heads (of a single one: "") whose labels, where they are class numbers, become one-hot.
        validation: "test", or the fraction of the training set to hold out; it is shuffled before, with a fixed seed.

    Raises:
        DatasetError: no such file or function, or arrays that do not belong together.
    """
    name = str(npz or factory)
    parts = _from_file(npz) if npz is not None else _from_function(str(factory))
    classes = {head: _classes(parts["y_train"], head) for head in one_hot_heads}
    train = _split(parts["x_train"], parts["y_train"], classes, f"{name}: training set")
    test = _split(parts["x_test"], parts["y_test"], classes, f"{name}: test set")
    if validation != "test":
        train = _shuffled(train)
    check_count(train_samples, train.samples, f"{name}: train_samples")
    check_count(test_samples, test.samples, f"{name}: test_samples")
    return hold_out(Dataset(name, train.first(train_samples), test.first(test_samples)), validation)


def _from_file(npz: str) -> dict[str, Arrays]:
    path = Path(npz).expanduser()
    if not path.is_file():
        raise DatasetError(f"{npz}: no such file")
    try:
        with numpy.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except Exception as error:  # whatever a broken file makes zip and numpy stumble over
        reason = str(error).strip().partition("\n")[0]
        raise DatasetError(f"{npz}: cannot be read as a .npz file of plain arrays ({reason})") from None
    parts: dict[str, Arrays] = {}
    for part in _PARTS:
        several = {name.removeprefix(f"{part}_"): value for name, value in found.items() if name.startswith(f"{part}_")}
        if part not in found and not several:
            holds = ", ".join(found) or "nothing"
            raise DatasetError(f"{npz}: has no array {part} (nor {part}_NAME for each input or head); it holds {holds}")
        parts[part] = found.get(part, several)
    return parts


def _from_function(factory: str) -> dict[str, Arrays]:
    function = imported(factory, DatasetError)
    try:
        (x_train, y_train), (x_test, y_test) = function()
    except Exception as error:  # the user's own code
        reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        raise DatasetError(
            f"{factory}: did not give ((x_train, y_train), (x_test, y_test)) when called without arguments ({reason})"
        ) from None
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


def _named(arrays: Any) -> dict[str, Array]:
    if isinstance(arrays, Mapping):
        return {str(name): numpy.asarray(array) for name, array in arrays.items()}
    return {"": numpy.asarray(arrays)}


def _split(x: Any, y: Any, classes: Mapping[str, int], what: str) -> Split:
    inputs, labels = _named(x), _named(y)
    lengths: dict[str, int] = {}
    for kind, arrays in (("x", inputs), ("y", labels)):
        for name, array in arrays.items():
            shown = f"{kind} {name}".strip()
            if array.ndim == 0 or array.dtype.kind not in "biuf":
                raise DatasetError(
                    f"{what}: {shown} is {array.dtype} of shape {array.shape}, expected arrays of numbers"
                )
            if array.dtype.kind == "f" and not numpy.isfinite(array).all():
                raise DatasetError(f"{what}: {shown} holds numbers that are not finite; clean the data first")
            lengths[shown] = len(array)
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        shown = ", ".join(f"{name} {count}" for name, count in lengths.items())
        raise DatasetError(f"{what}: needs as many samples in every array, and at least one; found {shown}")
    for head, count in classes.items():
        if count and head in labels:
            numbers = labels[head].reshape(len(labels[head]), -1)[:, 0].astype(int)
            if numbers.min() < 0 or numbers.max() >= count:
                raise DatasetError(f"{what}: class {int(numbers.max())} is not in the training set (0 to {count - 1})")
            labels[head] = one_hot(numbers, count)
    return Split(_plain(inputs), _plain(labels))


def _plain(arrays: dict[str, Array]) -> Arrays:
    changed = {name: array.astype(numpy.float32) for name, array in arrays.items()}
    return changed[""] if list(changed) == [""] else changed


def _classes(labels: Any, head: str) -> int:
    """How many classes a head's class numbers have; 0 where its labels are none."""
    array = _named(labels).get(head)
    if array is None or array.dtype.kind not in "biu" or array.size == 0 or array.ndim > 2 or array[0].size != 1:
        return 0
    return int(array.max()) + 1


def _shuffled(split: Split) -> Split:
    order = numpy.random.default_rng(0).permutation(split.samples)

    def change(arrays: Arrays) -> Arrays:
        if isinstance(arrays, Mapping):
            return {name: array[order] for name, array in arrays.items()}
        return arrays[order]

    return Split(change(split.x), change(split.y))
