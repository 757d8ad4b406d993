"""The registry of data sets, and how each is prepared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

import numpy

from qsearch.datasets.dataset import Dataset, Split
from qsearch.datasets.raw import Raw, digits, from_tfds
from qsearch.errors import DatasetError, did_you_mean

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
    validation: Literal["test"] | float = "test",
) -> Dataset:
    """A data set, prepared as the seed does.

    Pixels are divided by 256 (digits: by 16, their greatest value), the mean image of the whole training set is
    subtracted, labels become one-hot.

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
    train = _split(raw.train_x, raw.train_y, raw.scale, mean, classes, train_samples, f"{name}: train_samples")
    test = _split(raw.test_x, raw.test_y, raw.scale, mean, classes, test_samples, f"{name}: test_samples")
    if validation == "test":
        return Dataset(name, train, test)
    if not isinstance(validation, int | float) or not 0 < validation < 1:
        raise DatasetError(f"{name}: validation: found {validation!r}, allowed: 'test' or a fraction between 0 and 1")
    held_out = round(len(train.x) * validation)
    if not 0 < held_out < len(train.x):
        raise DatasetError(
            f"{name}: validation: {validation} of {len(train.x)} training samples leaves {len(train.x) - held_out} to "
            f"train on and {held_out} to select on; take more samples or another fraction"
        )
    cut = len(train.x) - held_out
    return Dataset(name, train.first(cut), test, Split(train.x[cut:], train.y[cut:]))


def _split(
    x: numpy.ndarray,
    y: numpy.ndarray,
    scale: float,
    mean: numpy.ndarray,
    classes: int,
    count: int | None,
    what: str,
) -> Split:
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= len(x)):
        raise DatasetError(f"{what}: found {count}, allowed: 1 to {len(x)}")
    images = x[:count].astype(numpy.float32) / numpy.float32(scale) - mean
    return Split(images, numpy.eye(classes, dtype=numpy.float32)[y[:count]])
