"""The registry of data sets, and how each is prepared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, TypeAlias

import numpy

from qsearch.datasets.dataset import Array, ArrayDataset, Split, one_hot
from qsearch.datasets.memory import converted
from qsearch.datasets.raw import Raw, digits, from_tfds
from qsearch.errors import DatasetError, did_you_mean

Validation: TypeAlias = Literal["test", "given"] | float
"""What models are compared on: the test set, a set of its own, or a part of the training set."""

DATASETS: Mapping[str, Callable[[], Raw]] = {
    "mnist": partial(from_tfds, "mnist"),
    "fashion_mnist": partial(from_tfds, "fashion_mnist"),
    "cifar10": partial(from_tfds, "cifar10"),
    "cifar100": partial(from_tfds, "cifar100"),
    "digits": digits,
}


def load_dataset(
    name: str,
    train_samples: int | None = None,
    test_samples: int | None = None,
    validation: Validation = "test",
    labels: Literal["one_hot", "sparse"] = "one_hot",
) -> ArrayDataset:
    """A data set, prepared as in AutoQKeras' notebook.

    Pixels are divided by 256 (digits: by 16, their greatest value), the mean image of the whole training set is
    subtracted, labels become one-hot or stay class numbers.

    Args:
        name: one of DATASETS.
        train_samples, test_samples: take the first so many; None takes all.
        validation: "test" selects on the test set; a fraction is held out of the end of the training samples taken.
            The data sets come shuffled, so no classes are missing there.

    Raises:
        DatasetError: unknown name, data that cannot be had, more samples asked for than there are, or a held-out part
            that leaves one side empty.
    """
    if name not in DATASETS:
        raise DatasetError(f"data set {name!r}: unknown, allowed: {', '.join(DATASETS)}{did_you_mean(name, DATASETS)}")
    raw = DATASETS[name]()
    classes = int(raw.train_y.max()) + 1
    mean = (raw.train_x.astype(numpy.float32) / numpy.float32(raw.scale)).mean(axis=0)

    def split(x: Array, y: Array, count: int | None, what: str) -> Split:
        check_count(count, len(x), name, what)
        images = converted(x[:count], numpy.float32)
        images /= numpy.float32(raw.scale)
        images -= mean
        return Split(images, one_hot(y[:count], classes) if labels == "one_hot" else y[:count].astype(numpy.int32))

    train = split(raw.train_x, raw.train_y, train_samples, "train_samples")
    test = split(raw.test_x, raw.test_y, test_samples, "test_samples")
    return hold_out(ArrayDataset(name, train, test), validation)


def hold_out(data: ArrayDataset, validation: Validation) -> ArrayDataset:
    """A data set with the end of its training samples held out, or as it is for "test".

    Raises:
        DatasetError: a fraction that leaves one side empty.
    """
    name, count = data.name, data.train.samples
    if validation == "test":
        return data
    check_fraction(validation, name)
    held_out = round(count * float(validation))
    if not 0 < held_out < count:
        raise DatasetError(
            f"{name}: validation: {validation} of {count} training samples leaves {count - held_out} to "
            f"train on and {held_out} to select on; take more samples or another fraction",
            "validation",
        )
    cut = count - held_out
    return ArrayDataset(name, data.train.first(cut), data.test, data.train.part(slice(cut, None)))


def check_fraction(validation: object, name: str) -> None:
    """Refuse what says nothing about a held-out part.

    Raises:
        DatasetError: it is neither "test" nor a fraction.
    """
    if validation != "test" and (not isinstance(validation, int | float) or not 0 < validation < 1):
        raise DatasetError(
            f"{name}: validation: found {validation!r}, allowed: 'test' or a fraction between 0 and 1", "validation"
        )


def check_count(count: int | None, most: int, name: str, key: str) -> None:
    """Refuse a number of samples that is not there.

    Raises:
        DatasetError: it is none of 1 to `most`.
    """
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= most):
        raise DatasetError(f"{name}: {key}: found {count}, allowed: 1 to {most}", key)
