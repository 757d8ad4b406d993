"""Data that cannot be trained on: what is found and what to do about it is told, whatever was given."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import keras
import numpy
import pytest
import tensorflow

from qsearch.datasets import Dataset, labels, load_custom
from qsearch.datasets.fitting import split_of
from qsearch.datasets.layout import Head, Labels, Layout, Shape, numbers
from qsearch.errors import DatasetError

X = numpy.arange(24, dtype=numpy.float32).reshape(6, 4)
Y = numpy.array([0, 1, 2, 0, 1, 2])
BATCHES = [(X, Y), (X, Y), (X, Y)]
NET = Layout("net", {"in": (4,)}, (Head(name="out", shape=(3,), labels="classes"),))


def refusal(call: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(DatasetError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class Failing:
    shape = (6, 4)

    def __array__(self, *args: Any, **options: Any) -> Any:
        raise MemoryError("too big\nfor this machine")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "y: is int64 of shape (), expected arrays of numbers; give one for each sample"),
        (numpy.array(["1", "2.5"]), "make numbers of texts such as '1': .astype('float32')"),
        (numpy.array([b"1", b"2"]), "make numbers of texts such as b'1': .astype('float32')"),
        (numpy.array(["1", "cow"]), "number texts such as '1': numpy.unique"),
        ([[1], [1, 2]], "; pad rows of different lengths to one"),
        (Failing(), "y: is no array (too big)"),
        (X.astype(float) * 1e300, "y: holds 2.3e+301, beyond what float32 holds (3.4e+38); scale the data"),
        (X.astype(float) * -1e300, "y: holds -2.3e+301, beyond"),
    ],
)
def test_what_is_no_array_of_numbers(given: Any, message: str) -> None:
    assert message in refusal(numbers, given, "y")


def test_numbers_that_are_not_finite_are_told_elsewhere() -> None:
    assert not numpy.isfinite(numbers(numpy.array([1.0, numpy.nan, numpy.inf]), "x")[1:]).any()
    assert numpy.isnan(numbers(numpy.full((2, 2), numpy.nan), "x")).all()
    assert numbers(numpy.zeros((0, 3)), "x").dtype == numpy.float32


@pytest.mark.parametrize(
    ("shape", "kind", "y", "message"),
    [
        ((1,), "classes", Y % 2, "its only class is 0; for two classes and one unit take loss: binary_crossentropy"),
        ((1,), "binary", numpy.eye(2)[Y % 2], "expected (1,); of two one-hot columns take the second: y[..., 1:]"),
        ((3,), "classes", Y + 10**12, "its classes are 0 to 2; number the classes from 0"),
    ],
)
def test_labels(shape: Shape, kind: Labels, y: Any, message: str) -> None:
    found = refusal(
        split_of, Layout("net", {"in": (4,)}, (Head(name="out", shape=shape, labels=kind),)), (X, y), "train"
    )
    assert message in found
    assert "000000" not in found  # no advice to give an output a million units


@pytest.mark.parametrize(
    ("found", "wanted", "message", "mended"),
    [
        ((3, 8, 9), (8, 9, 3), "; put the channels last: x.transpose(0, 2, 3, 1)", lambda x: x.transpose(0, 2, 3, 1)),
        ((8, 9, 3), (3, 8, 9), "; put the channels first: x.transpose(0, 3, 1, 2)", lambda x: x.transpose(0, 3, 1, 2)),
        ((3, 8), (8, 3), "; put the channels last: x.transpose(0, 2, 1)", lambda x: x.transpose(0, 2, 1)),
        ((72,), (8, 9, 1), "; x.reshape(-1, 8, 9, 1)", lambda x: x.reshape(-1, 8, 9, 1)),
        ((8, 9, 1), (8, 9, 3), "channel: numpy.repeat(x, 3, axis=-1)", lambda x: numpy.repeat(x, 3, axis=-1)),
        ((8, 9), (8, 9, 3), ": numpy.repeat(x[..., None], 3, axis=-1)", lambda x: numpy.repeat(x[..., None], 3, -1)),
        ((7, 9, 1), (8, 9, 1), "expected (8, 9, 1)", None),
        ((5,), (4,), "expected (4,)", None),
        ((3, 8, 9), (None, None, 3), "expected (None, None, 3)", None),
    ],
)
def test_shapes_of_samples_and_what_mends_them(
    found: Shape, wanted: Shape, message: str, mended: Callable[[Any], Any] | None
) -> None:
    one = Layout("net", {"in": wanted}, (Head(name="out", shape=(3,), labels="classes"),))
    x = numpy.zeros((6, *(side or 1 for side in found)), numpy.float32)
    assert refusal(split_of, one, (x, Y), "train").endswith(message)
    if mended is not None:
        assert split_of(one, (mended(x), Y), "train").samples == 6


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Dataset]:
    module = ModuleType("bad_data")
    monkeypatch.setitem(sys.modules, "bad_data", module)

    def loaded(function: Any) -> Dataset:
        module.load = function  # type: ignore[attr-defined]
        return load_custom(NET, factory="bad_data:load")

    return loaded


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: (X, Y), "did not give ((x_train, y_train), (x_test, y_test)), or two pipelines, but 2 arrays; a test"),
        (lambda: ((X, X[:3]), (Y, Y[:3])), "gave ((x_train, x_test), (y_train, y_test)), as it seems; expected ((x_t"),
        (lambda: ((X, Y), None), "; found nothing (None)"),
        (lambda: None, "but nothing (None)"),
        (lambda: {"train": (X, Y), "test": (X, Y)}, "but a dictionary of train, test"),
    ],
)
def test_functions_that_give_something_else(load: Callable[[Any], Dataset], function: Any, message: str) -> None:
    assert message in refusal(load, function)


def test_as_many_for_training_as_for_test(load: Callable[[Any], Dataset]) -> None:
    assert load(lambda: ((X, Y), (X, Y))).test.samples == 6


def _exit() -> Any:
    yield X, Y
    raise SystemExit("no disk")


def test_a_generator_that_exits(load: Callable[[Any], Dataset]) -> None:
    found = refusal(load, lambda: (_exit, (X, Y)))
    assert "a function failed at element 1 with SystemExit: no disk" in found


class Sequence(keras.utils.PyDataset):
    """Three batches; `now` there may be less of them."""

    now = 3

    def __len__(self) -> int:
        return self.now

    def __getitem__(self, index: int) -> Any:
        return BATCHES[index]


@pytest.mark.parametrize("length", [-3, 2.5, "4", KeyError("no list")])
def test_lengths_that_are_none(load: Callable[[Any], Dataset], length: Any) -> None:
    class Odd(Sequence):
        def __len__(self) -> int:
            if isinstance(length, Exception):
                raise length
            return length  # type: ignore[no-any-return]

    found = refusal(load, lambda: (Odd(), (X, Y)))
    assert "training set: a keras.utils.PyDataset that does not tell its length (" in found
    assert found.endswith("__len__ (or num_batches) has to give the number of batches, a whole number >= 0")


def test_a_sequence_that_gets_shorter(load: Callable[[Any], Dataset]) -> None:
    sequence = Sequence()
    train = load(lambda: (sequence, (X, Y))).train
    feed = train.validation(8)
    sequence.now = 2
    assert feed[1][0].shape == (6, 4)
    assert "that gave 3 batches at first, and 2 this time" in refusal(feed.__getitem__, 2)


def test_what_fails_between_epochs(load: Callable[[Any], Dataset]) -> None:
    class Ending(Sequence):
        def on_epoch_end(self) -> None:
            raise OSError("disk is full")

    feed = load(lambda: (Ending(), (X, Y))).train.validation(8)
    assert "a keras.utils.PyDataset: on_epoch_end failed with OSError: disk is full" in refusal(feed.on_epoch_end)


def test_batches_with_other_axes(load: Callable[[Any], Dataset]) -> None:
    def batches() -> Any:
        return iter([(X, Y), (X[..., None], Y)])

    tensors = tensorflow.data.Dataset.from_generator(batches, output_types=(tensorflow.float32, tensorflow.int64))
    for given in (batches, tensors):
        found = refusal(load, lambda given=given: (given, (X, Y)))
        assert "in: samples of shape (4, 1), and of shape (4,) in the first batch; give every batch the same" in found
        assert found.endswith("(batch 1)")


MANY = 100_000


def test_a_hundred_thousand_classes_make_no_table_of_their_squares() -> None:
    layout = Layout("net", {"in": (4,)}, (Head(name="out", shape=(MANY,), labels="categorical"),))
    found = split_of(layout, (X, Y + MANY - 3), "data")
    assert found.y.shape == (6, MANY)
    assert found.y.sum(axis=1).tolist() == [1.0] * 6
    assert found.y.argmax(axis=1).tolist() == (Y + MANY - 3).tolist()


def test_classes_beyond_two_bytes_are_counted() -> None:
    layout = Layout("net", {"in": (4,)}, (Head(name="out", shape=(MANY,), labels="classes"),))
    counts = split_of(layout, (X, Y + MANY - 3), "data").class_counts()
    assert counts[-3:].tolist() == [2, 2, 2]


def test_one_hot_labels_larger_than_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(labels, "one_hot", full)
    layout = Layout("net", {"in": (4,)}, (Head(name="out", shape=(3,), labels="categorical"),))
    assert "take loss: sparse_categorical_crossentropy" in refusal(split_of, layout, (X, Y), "data")
