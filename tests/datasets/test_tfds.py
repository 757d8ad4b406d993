"""Data sets of tensorflow-datasets: the real MNIST where it is prepared, and what happens where nothing is."""

from __future__ import annotations

import logging
import os
import re
import shutil
import socket
from pathlib import Path

import numpy
import pytest

from qsearch.datasets import Dataset, Split, load_dataset, raw
from qsearch.errors import DatasetError

PREPARED = Path(os.environ.get("TFDS_DATA_DIR") or Path("~/tensorflow_datasets")).expanduser() / "mnist" / "3.0.1"
needs_mnist = pytest.mark.skipif(
    not (PREPARED / "dataset_info.json").exists(), reason="no prepared MNIST; point TFDS_DATA_DIR at one"
)


@pytest.fixture(scope="module")
def mnist() -> Dataset:
    return load_dataset("mnist")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every connection fails at once; gives the hosts that were tried."""
    tried: list[tuple[str, int]] = []

    def refuse(address: tuple[str, int], timeout: float) -> socket.socket:
        tried.append(address)
        assert 0 < timeout <= 10
        raise OSError("no route")

    monkeypatch.setattr(raw, "getproxies", dict)
    monkeypatch.setattr(socket, "create_connection", refuse)
    return tried


@needs_mnist
def test_real_mnist(mnist: Dataset) -> None:
    assert mnist.train.x.shape == (60000, 28, 28, 1)
    assert mnist.test.x.shape == (10000, 28, 28, 1)
    assert mnist.train.x.dtype == mnist.test.y.dtype == numpy.float32
    assert (mnist.num_classes, mnist.input_shape) == (10, (28, 28, 1))
    assert mnist.train.y.sum(axis=0).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert mnist.test.y.sum(axis=0).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@needs_mnist
def test_real_mnist_is_divided_by_256_less_the_mean_image(mnist: Dataset) -> None:
    assert numpy.abs(mnist.train.x.mean(axis=0, dtype=numpy.float64)).max() < 1e-5
    # A pixel that is 0 in some image and 255 in another spans 255/256; division by 255 would give 1.
    spans = mnist.train.x.max(axis=0) - mnist.train.x.min(axis=0)
    assert spans.max() == pytest.approx(255 / 256, abs=1e-6)
    # Every pixel is 0 in some image, so the least value is minus the mean image; MNIST's mean is 0.1307 of 255.
    mean_image = -mnist.train.x.min(axis=0)
    assert mean_image.mean() == pytest.approx(0.1307 * 255 / 256, abs=2e-4)
    steps = (mnist.test.x[:200] + mean_image) * 256
    assert numpy.abs(steps - steps.round()).max() < 1e-3


@needs_mnist
def test_few_samples_of_real_mnist(mnist: Dataset) -> None:
    few = load_dataset("mnist", train_samples=50, test_samples=20, validation=0.2)
    assert few.validation is not None
    both = Split(numpy.concatenate([few.train.x, few.validation.x]), numpy.concatenate([few.train.y, few.validation.y]))
    assert len(few.validation.x) == 10
    assert numpy.array_equal(both.x, mnist.train.x[:50])
    assert numpy.array_equal(both.y, mnist.train.y[:50])
    assert numpy.array_equal(few.test.x, mnist.test.x[:20])
    with pytest.raises(DatasetError, match=r"^mnist: train_samples: found 60001, allowed: 1 to 60000$"):
        load_dataset("mnist", train_samples=60001)


@needs_mnist
def test_damaged_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: list[tuple[str, int]]) -> None:
    copy = tmp_path / "mnist" / "3.0.1"
    shutil.copytree(PREPARED, copy)
    for file in copy.glob("mnist-train*"):
        os.truncate(file, 5000)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(DatasetError) as caught:
        load_dataset("mnist")
    message = str(caught.value)
    assert message.startswith(f"data set 'mnist': the copy in {copy} cannot be read (DataLossError: ")
    assert message.endswith("); remove that folder to prepare it again, or point TFDS_DATA_DIR at a whole copy")
    assert "{{" not in message
    assert caught.value.__suppress_context__
    assert no_network == []


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100"])
def test_nothing_prepared_and_no_network(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_network: list[tuple[str, int]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    import tensorflow_datasets  # noqa: F401  TensorFlow greets on the standard error when first imported

    capfd.readouterr()
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(logging.INFO)
    with pytest.raises(DatasetError) as caught:
        load_dataset(name)
    assert str(caught.value) == (
        f"data set {name!r}: not in {tmp_path}, and it could not be downloaded (OSError: no route); "
        f"point TFDS_DATA_DIR at a folder with a prepared copy, which holds {name}/<version>/dataset_info.json"
    )
    assert caught.value.__suppress_context__
    assert len(no_network) == 1
    assert capfd.readouterr() == ("", "")
    assert logger.level == logging.INFO
    logger.setLevel(before)
    assert list(tmp_path.iterdir()) == []


def test_default_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: list[tuple[str, int]]
) -> None:
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(DatasetError, match=re.escape(f"not in {tmp_path}/tensorflow_datasets, ")):
        load_dataset("cifar10")
    assert no_network == [("www.cs.toronto.edu", 443)]
