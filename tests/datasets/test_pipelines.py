"""Pipelines: tf.data, keras.utils.PyDataset, generators and other iterables."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy
import pytest
import tensorflow

from qsearch.datasets import Dataset, load_custom
from qsearch.datasets.layout import Head, Layout, Shape
from qsearch.datasets.trouble import feeding
from qsearch.errors import DatasetError

CLASSES = Layout("net", {"in": (4,)}, (Head(name="out", shape=(3,), labels="classes"),))
X = numpy.arange(160, dtype=numpy.float64).reshape(40, 4)
Y = (numpy.arange(40) % 3).astype(numpy.float64)


class Batches(keras.utils.PyDataset):
    def __init__(self, x: Any, y: Any, size: int = 8, **options: Any) -> None:
        super().__init__(**options)
        self.x, self.y, self.size = x, y, size

    def __len__(self) -> int:
        return -(-len(self.x) // self.size)

    def __getitem__(self, index: int) -> Any:
        rows = slice(index * self.size, (index + 1) * self.size)
        return self.x[rows], self.y[rows]


class Shuffling(Batches):
    def on_epoch_end(self) -> None:
        self.x = self.x[::-1]


class Iterable:
    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


def batches(x: Any = X, y: Any = Y, size: int = 8) -> list[Any]:
    return [(x[start : start + size], y[start : start + size]) for start in range(0, len(x), size)]


def rows(x: Any = X, y: Any = Y) -> list[Any]:
    return list(zip(x, y, strict=True))


def tensors(x: Any = X, y: Any = Y) -> Any:
    return tensorflow.data.Dataset.from_tensor_slices((x, y))


KINDS: dict[str, Callable[[], Any]] = {
    "tf.data": lambda: tensors().batch(8),
    "tf.data of samples": tensors,
    "tf.data of unknown length": lambda: tensors().filter(lambda *_: True).batch(8),
    "tf.data of a generator": lambda: tensorflow.data.Dataset.from_generator(
        lambda: iter(batches()), output_types=("float64", "float64")
    ),
    "PyDataset": lambda: Batches(X, Y),
    "PyDataset with workers": lambda: Batches(X, Y, workers=2),
    "generator": lambda: (batch for batch in batches()),
    "generator of samples": lambda: (row for row in rows()),
    "function": lambda: lambda: iter(batches()),
    "list": batches,
    "iterable": lambda: Iterable(batches()),
    "iterable of samples": lambda: Iterable(rows()),
    "iterable of lists": lambda: Iterable([list(batch) for batch in batches()]),
}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Dataset]:
    """Load a data set that a function gives."""

    def loaded(train: Any, test: Any = None, layout: Layout = CLASSES, **options: Any) -> Dataset:
        module = ModuleType("given")
        module.data = lambda: (train(), (test or train)())  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "given", module)
        monkeypatch.setattr(sys, "path", [*sys.path])
        return load_custom(layout, factory="given:data", **options)

    return loaded


def everything(source: Any, batch_size: int = 16) -> list[Any]:
    """What Keras would be given in one epoch."""
    feed = source.validation(batch_size)
    read = (feed[index] for index in range(feed.num_batches)) if isinstance(feed, keras.utils.PyDataset) else feed
    return [keras.tree.map_structure(numpy.asarray, batch) for batch in read]


def joined(source: Any) -> tuple[Any, Any]:
    found = everything(source)
    return numpy.concatenate([batch[0] for batch in found]), numpy.concatenate([batch[1] for batch in found])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_samples(load: Callable[..., Dataset], kind: str) -> None:
    data = load(KINDS[kind])
    assert (data.train.samples, data.test.samples) == (40, 40)
    for _ in range(2):  # as often as there are epochs
        x, y = joined(data.train)
        assert x.dtype == numpy.float32
        assert numpy.array_equal(x, X)
        assert numpy.array_equal(y, Y)
    single = "samples" in kind
    assert data.train.steps(16) == len(everything(data.train)) == (3 if single else 5)
    assert data.train.class_counts().tolist() == [14, 13, 13]


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_samples_and_the_last_batches(load: Callable[..., Dataset], kind: str) -> None:
    data = load(KINDS[kind], train_samples=30, test_samples=9, validation=0.25)
    kept = 22 if "samples" in kind else 24
    assert data.validation is data.selection
    assert [source.samples for source in (data.train, data.selection, data.test)] == [kept, 30 - kept, 9]
    for source, start, stop in ((data.train, 0, kept), (data.selection, kept, 30), (data.test, 0, 9)):
        assert numpy.array_equal(joined(source)[0], X[start:stop])
        assert numpy.array_equal(joined(source.first(3))[1], Y[start : start + 3])
        assert source.first(3).samples == 3


ENDLESS: dict[str, Callable[[], Any]] = {
    "tf.data": lambda: tensors().batch(8).repeat(),
    "tf.data of samples": lambda: tensors().repeat(),
    "function": lambda: _forever,
    "generator": lambda: _forever(),
}


def _forever() -> Iterator[Any]:
    while True:
        yield from batches()


@pytest.mark.parametrize("kind", ENDLESS)
def test_what_never_ends_needs_a_number_of_samples(load: Callable[..., Dataset], kind: str) -> None:
    with pytest.raises(DatasetError) as caught:
        load(ENDLESS[kind], lambda: Batches(X, Y))
    assert str(caught.value).startswith("given:data: training set: a ")
    assert "end" in str(caught.value)
    assert str(caught.value).endswith("say how many samples an epoch has: dataset.train_samples")
    data = load(ENDLESS[kind], train_samples=50, test_samples=16)
    assert numpy.array_equal(joined(data.train)[0], numpy.concatenate([X, X[:10]]))
    assert data.test.samples == 16


def once() -> Callable[[], Any]:
    shared = iter(batches())
    return lambda: shared


def fails() -> Iterator[Any]:
    yield from batches()[:2]
    raise RuntimeError("disk gone\nmore")


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (lambda: iter([]), "a generator that gives nothing"),
        (lambda: tensors(X[:0], Y[:0]).batch(8), "a tf.data.Dataset that gives nothing"),
        (lambda: Batches(X[:0], Y[:0]), "a keras.utils.PyDataset that gives nothing"),
        (once(), "a generator that can be read only once"),
        (fails, "a generator failed at element 2 with RuntimeError: disk gone"),
        (lambda: iter([(X, Y), (X[:, :3], Y)]), "in: samples have shape (3,), expected (4,) (batch 1)"),
        (lambda: iter([(X, Y[:7])]), "found x 40, y 7"),
        (lambda: iter([X]), "an element is a ndarray, expected (x, y) or (x, y, sample_weight)"),
        (lambda: tensors().batch(8).map(lambda x, y: {"x": x, "y": y}), "an element is a dictionary of x, y, expected"),
        (lambda: Batches(X, Y + 1), "labels of output out are 1 to 3, its classes are 0 to 2; subtract 1"),
        (lambda: Batches(X * numpy.nan, Y), "training set: x: not finite"),
        (lambda: iter([(X[0], 1), (X[0, :2], 1)]), "samples in differ in shape"),
        (lambda: iter([(X, Y), (X, None)]), "has no labels"),
        (
            lambda: iter([(X, Y), (X, Y, X[:, 0] ** 2)]),
            "sample weights that the first has not; give them in every element",
        ),
        (lambda: iter([(X, Y, X[:, 0] ** 2), (X, Y)]), "the first element has sample weights that others have not"),
        (lambda: iter([(X[0], 1, 1.0), (X[1], 1)]), "the first element has sample weights that others have not"),
        (lambda: iter([(X[0], 1), (X[1], 1, 1.0)]), "some elements have sample weights that the first has not"),
        (lambda: iter([(X, Y), (X[:0], Y[:0])]), "found x 0, y 0 (batch 1)"),
        (
            lambda: iter([(X, Y), ((X + 1) * numpy.inf, Y)]),
            "x: not finite (holds NaN or infinite numbers), first in sample 0; clean the data first (batch 1)",
        ),
        (
            lambda: iter([(X, Y, 0 * X[:, 0]), (X, Y, 0 * X[:, 0])]),
            "sample weights are all 0, so that no sample counts",
        ),
        (lambda: iter([(X, Y, Y, Y)]), "an element is 4 things, expected (x, y) or (x, y, sample_weight)"),
        (lambda: "text", "training set: expected (x, y), (x, y, sample_weight) or a pipeline; found a str"),
        (lambda: (X,), "found 1 things: ndarray"),
    ],
)
def test_bad_pipelines(load: Callable[..., Dataset], train: Callable[[], Any], message: str) -> None:
    with pytest.raises(DatasetError) as caught:
        load(train)
    assert message in str(caught.value)
    assert "given:data" in str(caught.value)


LATER: dict[str, tuple[Callable[[], Any], str]] = {
    "weights": (lambda: (X, Y, Y), "sample weights that the first has not; give them in every element, or in none"),
    "shape": (lambda: (X[:, :3], Y), r"in: samples have shape \(3,\), expected \(4,\)"),
    "structure": (lambda: [X, Y, Y, Y], "an element is 4 things"),
    "NaN": (lambda: (X * numpy.nan, Y), "training set: x: not finite"),
    "labels": (lambda: (X, Y + 3), "labels of output out are 3 to 5, its classes are 0 to 2"),
    "an exception": (lambda: {}["no"], r"failed at element 1( of 2)? with KeyError: 'no' \(test_pipelines.py:\d+\)"),
}


@pytest.mark.parametrize("kind", ["generator", "PyDataset"])
@pytest.mark.parametrize("change", LATER)
def test_a_later_reading_that_is_another(load: Callable[..., Dataset], kind: str, change: str) -> None:
    first, (give, message) = [True], LATER[change]

    def batch(index: int) -> Any:
        return give() if index and not first[0] else (X, Y)

    class Given(keras.utils.PyDataset):  # type: ignore[misc]
        num_batches = 2

        def __getitem__(self, index: int) -> Any:
            return batch(index)

    data = load(Given if kind == "PyDataset" else lambda: lambda: map(batch, range(2)))
    first[0] = False
    with pytest.raises(DatasetError, match=message), data.train.reading():
        everything(data.train)


def test_a_function_of_tf_data_that_fails_in_training(load: Callable[..., Dataset]) -> None:
    broken = [False]

    def row(x: Any) -> Any:
        if broken[0]:
            raise KeyError("no such file")
        return x

    def mapped(x: Any, y: Any) -> Any:
        return tensorflow.ensure_shape(tensorflow.numpy_function(row, [x], x.dtype), (None, 4)), y

    data = load(lambda: tensors().batch(8).map(mapped))
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model.compile(loss="sparse_categorical_crossentropy")
    broken[0] = True
    with (
        pytest.raises(DatasetError, match=r"given:data: failed while .*: KeyError: 'no such file'"),
        feeding(data.name),
        data.train.reading(),
    ):
        model.fit(**data.train.training(8), verbose=0)


def test_more_samples_than_there_are(load: Callable[..., Dataset]) -> None:
    for kind in ("tf.data", "PyDataset", "generator", "iterable of samples"):
        with pytest.raises(DatasetError, match=r"dataset\.test_samples: found 41, allowed: 1 to 40"):
            load(KINDS[kind], test_samples=41)


@pytest.mark.parametrize(
    "train", [lambda: tensors().shuffle(40).batch(4), lambda: Shuffling(X, Y), lambda: tensors().shuffle(40)]
)
def test_nothing_is_held_out_of_an_order_that_changes(load: Callable[..., Dataset], train: Callable[[], Any]) -> None:
    assert load(train).train.samples == 40
    with pytest.raises(DatasetError, match=r"whose order changes with every reading .* allowed: validation: test"):
        load(train, validation=0.2)


def test_an_order_that_stays_may_be_shuffled(load: Callable[..., Dataset]) -> None:
    data = load(lambda: tensors().shuffle(40, seed=1, reshuffle_each_iteration=False).batch(4), validation=0.2)
    both = numpy.concatenate([joined(data.train)[0], joined(data.selection)[0]])
    assert sorted(both[:, 0]) == sorted(X[:, 0])
    with pytest.raises(DatasetError, match=r"0\.1 of 1 batches leaves 0 to train on and 1 to select on; give smaller"):
        load(lambda: tensors().batch(64), validation=0.1)


def test_pipelines_and_arrays_together(load: Callable[..., Dataset]) -> None:
    data = load(KINDS["generator"], lambda: (X, Y))
    assert data.test.x.shape == (40, 4)
    data = load(lambda: (X, Y), KINDS["tf.data"], validation=0.25)
    assert [source.samples for source in (data.train, data.selection, data.test)] == [30, 10, 40]


TWO = Layout(
    "two",
    {"a": (4,), "b": (1,)},
    (Head(name="kind", shape=(3,), labels="categorical"), Head(name="size", shape=(1,), labels="values")),
    by_name=True,
)


@pytest.mark.parametrize("kind", ["tf.data", "tf.data of samples", "PyDataset", "generator", "samples"])
def test_several_inputs_heads_and_weights(load: Callable[..., Dataset], kind: str) -> None:
    x, y, w = (X, X[:, 0]), (Y, Y), numpy.ones(40)
    whole = tensorflow.data.Dataset.from_tensor_slices((x, y, w))
    batched = [((X[:20], X[:20, 0]), (Y[:20], Y[:20]), w[:20]), ((X[20:], X[20:, 0]), (Y[20:], Y[20:]), w[20:])]

    class Two(Batches):
        def __getitem__(self, index: int) -> Any:
            return batched[index]

    given: dict[str, Callable[[], Any]] = {
        "tf.data": lambda: whole.batch(20),
        "tf.data of samples": lambda: whole,
        "PyDataset": lambda: Two(X, Y, 20),
        "generator": lambda: iter(batched),
        "samples": lambda: iter([((X[i], X[i, 0]), [Y[i], Y[i]], 1.0) for i in range(40)]),
    }
    data = load(given[kind], layout=TWO)
    assert data.train.weighted
    (inputs, labels, weights), *_ = everything(data.train, 20)
    assert inputs["a"].shape == (20, 4)
    assert inputs["b"].shape == (20, 1)
    assert numpy.array_equal(labels["kind"], numpy.eye(3)[Y[:20].astype(int)])
    assert labels["size"].shape == (20, 1)
    assert {name: array.shape for name, array in weights.items()} == {"kind": (20,), "size": (20,)}


@pytest.mark.parametrize("axes", [(), (1,)])
@pytest.mark.parametrize("channel", [(), (1,)])
def test_labels_for_each_pixel(load: Callable[..., Dataset], axes: Shape, channel: Shape) -> None:
    layout = Layout("net", {"in": (None, None, 1)}, (Head(name="out", shape=(None, None, 3), labels="classes"),))
    pixels = numpy.arange(40 * 6).reshape(40, 2, 3) % 3
    x, y = pixels.reshape(40, 2, 3, *channel) * 0.5, pixels.reshape(40, 2, 3, *axes)
    for given in (lambda: tensors(x, y).batch(8), lambda: iter(batches(x, y)), lambda: Batches(x, y)):
        images, labels = joined(load(given, layout=layout).train)
        assert images.shape == (40, 2, 3, 1)
        assert numpy.array_equal(labels, pixels)


def test_a_feed_that_gives_less_than_at_first(load: Callable[..., Dataset]) -> None:
    left = [2]

    def shrinking() -> Iterator[Any]:
        left[0] -= 1
        return iter(batches()[: None if left[0] >= 0 else 3])

    data = load(lambda: shrinking, lambda: Batches(X, Y))
    with (
        pytest.raises(DatasetError, match="a function that gave 5 batches at first, and 3 this time"),
        data.train.reading(),
    ):
        everything(data.train)


@pytest.mark.parametrize("later", [2, 7])
def test_a_generator_inside_tensorflow_with_another_length_later(later: int) -> None:
    readings = iter([5, *[later] * 9])

    def batches() -> Iterator[Any]:
        yield from ((X[:8], Y[:8]) for _ in range(next(readings)))

    signature = tensorflow.TensorSpec((None, 4)), tensorflow.TensorSpec((None,))
    inner = tensorflow.data.Dataset.from_generator(batches, output_signature=signature)
    fixed = inner.apply(tensorflow.data.experimental.assert_cardinality(5))
    assert len(list(fixed)) == 5
    said = f"^d: had 5 batches when it was read first, and {min(later, 6)} in a later"
    with pytest.raises(DatasetError, match=said), feeding("d"):
        list(fixed)
