"""The bundled data set, and what every data set offers."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy
import pytest

from qsearch.config import names
from qsearch.datasets import DATASETS, Dataset, Split, load_dataset
from qsearch.errors import DatasetError


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


def same(a: Split, b: Split) -> bool:
    return numpy.array_equal(a.x, b.x) and numpy.array_equal(a.y, b.y)


def test_registry_holds_the_names_of_the_configuration() -> None:
    assert tuple(DATASETS) == names.DATASETS


def test_shapes_and_types(digits: Dataset) -> None:
    assert digits.name == "digits"
    assert digits.train.x.shape == (1437, 8, 8, 1)
    assert digits.test.x.shape == (360, 8, 8, 1)
    assert (digits.num_classes, digits.input_shape) == (10, (8, 8, 1))
    for split in (digits.train, digits.test):
        assert split.x.dtype == split.y.dtype == numpy.float32
        assert split.y.shape == (len(split.x), 10)
        assert set(numpy.unique(split.y)) == {0.0, 1.0}
        assert (split.y.sum(axis=1) == 1).all()


def test_pixels_are_sixteenths_less_the_mean_image_of_the_training_set(digits: Dataset) -> None:
    from sklearn.datasets import load_digits

    assert numpy.abs(digits.train.x.mean(axis=0)).max() < 1e-5
    # Two images differ by whole sixteenths: the mean image drops out.
    steps = (digits.test.x - digits.train.x[:1]) * 16
    assert numpy.abs(steps - steps.round()).max() < 1e-4
    both = numpy.concatenate([digits.train.x, digits.test.x])[..., 0]
    original = load_digits().images
    mean_image = original.mean(axis=0) / 16 - both.mean(axis=0)
    ours, theirs = numpy.round((both + mean_image) * 16), numpy.round(original)
    assert sorted(map(bytes, ours.astype(numpy.uint8))) == sorted(map(bytes, theirs.astype(numpy.uint8)))


def test_split_is_stratified(digits: Dataset) -> None:
    shares = digits.train.y.mean(axis=0), digits.test.y.mean(axis=0)
    assert numpy.abs(shares[0] - shares[1]).max() < 0.002


def test_labels_belong_to_their_images(digits: Dataset) -> None:
    """The nearest class mean already finds most digits; shuffled labels would find one in ten."""
    means = numpy.stack([digits.train.x[digits.train.y[:, c] == 1].mean(axis=0) for c in range(10)])
    distances = ((digits.test.x[:, None] - means[None]) ** 2).sum(axis=(2, 3, 4))
    assert (distances.argmin(axis=1) == digits.test.y.argmax(axis=1)).mean() > 0.85


def test_same_split_in_another_process(digits: Dataset) -> None:
    program = (
        "import zlib; from qsearch.datasets import load_dataset; d = load_dataset('digits'); "
        "print(*(zlib.crc32(a.tobytes()) for s in (d.train, d.test) for a in (s.x, s.y)))"
    )
    import zlib

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    expected = [zlib.crc32(a.tobytes()) for s in (digits.train, digits.test) for a in (s.x, s.y)]
    assert [int(word) for word in done.stdout.split()] == expected
    assert done.stderr == ""


def test_first_samples_keep_the_mean_image_of_the_whole_set(digits: Dataset) -> None:
    few = load_dataset("digits", train_samples=100, test_samples=1)
    assert same(few.train, Split(digits.train.x[:100], digits.train.y[:100]))
    assert same(few.test, Split(digits.test.x[:1], digits.test.y[:1]))
    assert few.num_classes == 10
    every = load_dataset("digits", train_samples=1437, test_samples=360)
    assert same(every.train, digits.train)
    assert same(every.test, digits.test)


def test_selection_on_the_test_set(digits: Dataset) -> None:
    assert digits.validation is None
    assert digits.selection is digits.test


@pytest.mark.parametrize(("samples", "part", "held_out"), [(None, 0.2, 287), (100, 0.1, 10), (2, 0.5, 1)])
def test_held_out_part_is_the_end_of_the_training_samples(
    digits: Dataset, samples: int | None, part: float, held_out: int
) -> None:
    cut = load_dataset("digits", train_samples=samples, validation=part)
    total = samples or 1437
    assert cut.validation is not None
    assert cut.selection is cut.validation
    assert same(cut.train, Split(digits.train.x[: total - held_out], digits.train.y[: total - held_out]))
    assert same(
        cut.validation, Split(digits.train.x[total - held_out : total], digits.train.y[total - held_out : total])
    )
    assert same(cut.test, digits.test)


def test_data_set_is_frozen(digits: Dataset) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        digits.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_samples": 1438}, "digits: train_samples: found 1438, allowed: 1 to 1437"),
        ({"train_samples": 0}, "digits: train_samples: found 0, allowed: 1 to 1437"),
        ({"train_samples": -3}, "digits: train_samples: found -3, allowed: 1 to 1437"),
        ({"train_samples": 1.5}, "digits: train_samples: found 1.5, allowed: 1 to 1437"),
        ({"train_samples": True}, "digits: train_samples: found True, allowed: 1 to 1437"),
        ({"test_samples": 361}, "digits: test_samples: found 361, allowed: 1 to 360"),
        (
            {"train_samples": 4, "validation": 0.1},
            "digits: validation: 0.1 of 4 training samples leaves 4 to train on and 0 to select on; "
            "take more samples or another fraction",
        ),
        (
            {"train_samples": 4, "validation": 0.9},
            "digits: validation: 0.9 of 4 training samples leaves 0 to train on and 4 to select on; "
            "take more samples or another fraction",
        ),
        *(
            (
                {"validation": value},
                f"digits: validation: found {value!r}, allowed: 'test' or a fraction between 0 and 1",
            )
            for value in (0, 1, 1.0, -0.1, float("nan"), "train", None)
        ),
    ],
)
def test_wrong_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(DatasetError) as caught:
        load_dataset("digits", **options)  # type: ignore[arg-type]
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "near"), [("minst", "; did you mean 'mnist'?"), ("CIFAR10", "; did you mean 'cifar10'?"), ("qqqq", "")]
)
def test_unknown_name(name: str, near: str) -> None:
    with pytest.raises(DatasetError) as caught:
        load_dataset(name)
    allowed = "mnist, fashion_mnist, cifar10, cifar100, digits"
    assert str(caught.value) == f"data set {name!r}: unknown, allowed: {allowed}{near}"


def test_a_split_unpacks_into_images_and_labels() -> None:
    images, labels = load_dataset("digits").test
    assert len(images) == len(labels) == 360
