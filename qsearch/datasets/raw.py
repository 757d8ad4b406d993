"""Images and labels as their sources give them."""

from __future__ import annotations

import io
import logging
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import getproxies

import numpy
from numpy.typing import NDArray

from qsearch.errors import DatasetError, reason_of
from qsearch.paths import expanded

DIGITS_TEST_SAMPLES = 360

_HOSTS = {
    "mnist": ("storage.googleapis.com", 443),
    "fashion_mnist": ("fashion-mnist.s3-website.eu-central-1.amazonaws.com", 80),
    "cifar10": ("www.cs.toronto.edu", 443),
    "cifar100": ("www.cs.toronto.edu", 443),
}
"""Where tensorflow-datasets downloads each data set from."""

_CONNECT_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Raw:
    """Images (samples, height, width, channels) with values 0 to `scale`, and class numbers."""

    train_x: NDArray[Any]
    train_y: NDArray[Any]
    test_x: NDArray[Any]
    test_y: NDArray[Any]
    scale: float


def digits() -> Raw:
    """scikit-learn's bundled 8x8 digits: 1,437 to train, 360 to test, the same stratified shuffle every time."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    images = bunch.images[..., numpy.newaxis]
    train_x, test_x, train_y, test_y = train_test_split(
        images, bunch.target, test_size=DIGITS_TEST_SAMPLES, random_state=0, stratify=bunch.target
    )
    return Raw(train_x=train_x, train_y=train_y, test_x=test_x, test_y=test_y, scale=16.0)


def from_tfds(name: str) -> Raw:
    """A data set of tensorflow-datasets, from `TFDS_DATA_DIR` or its default folder, downloaded where it is missing.

    Raises:
        DatasetError: it is not there and cannot be downloaded.
    """
    folder = expanded(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")
    try:
        with _silent():
            (train_x, train_y), (test_x, test_y) = _load(name, folder)
    except DatasetError:
        raise
    except Exception as error:  # tfds, its downloader and TensorFlow's file system raise errors of many kinds
        raise DatasetError(
            f"data set {name!r}: not in {folder}, and it could not be downloaded ({_said(error)}); "
            f"point TFDS_DATA_DIR at a folder with a prepared copy, which holds {name}/<version>/dataset_info.json"
        ) from None
    return Raw(train_x=train_x, train_y=train_y, test_x=test_x, test_y=test_y, scale=256.0)


def _load(name: str, folder: Path) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    import tensorflow_datasets

    tensorflow_datasets.disable_progress_bar()
    builder = tensorflow_datasets.builder(name, data_dir=str(folder))
    if not builder.is_prepared():
        _check_network(name)
        builder.download_and_prepare()
    try:
        return [_arrays(builder, split) for split in ("train", "test")]
    except Exception as error:
        raise DatasetError(
            f"data set {name!r}: the copy in {builder.data_dir} cannot be read ({_said(error)}); "
            "remove that folder to prepare it again, or point TFDS_DATA_DIR at a whole copy"
        ) from None


def _arrays(builder: Any, split: str) -> tuple[NDArray[Any], NDArray[Any]]:
    import tensorflow_datasets

    arrays = tensorflow_datasets.as_numpy(builder.as_dataset(split=split, batch_size=-1))
    images = arrays["image"]
    return (images if images.ndim == 4 else images[..., numpy.newaxis]), arrays["label"]


def _check_network(name: str) -> None:
    """Without a network tensorflow-datasets retries for minutes; one short connection says it at once."""
    if not getproxies():
        socket.create_connection(_HOSTS[name], _CONNECT_SECONDS).close()


@contextmanager
def _silent() -> Iterator[None]:
    """tensorflow-datasets announces downloads on the standard output and logs what it tries; both are put back."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {reason_of(error)}"
