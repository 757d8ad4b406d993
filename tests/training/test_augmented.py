"""Augmentation: moves of images, functions of the user's own, and how batches come to `fit`."""

from __future__ import annotations

from typing import Any

import keras
import numpy
import pytest
import tensorflow

from qsearch.config.augment import AugmentConfig
from qsearch.datasets.augment import Moves
from qsearch.datasets.layout import Head, Layout
from qsearch.errors import DatasetError
from qsearch.training.augmentation import Augmentation, OwnStep
from qsearch.training.augmented import augmented

X = numpy.arange(6 * 4 * 5, dtype="float32").reshape(6, 4, 5, 1)


def moved(x: Any, y: Any = None, seed: int = 0, **moves: Any) -> tuple[Any, Any]:
    given = x.copy()
    found = Moves(AugmentConfig(**moves))(x, y, numpy.random.default_rng(seed))
    numpy.testing.assert_array_equal(x, given)
    return found


def test_flips() -> None:
    found, _ = moved(X, flip="horizontal")
    flipped = [bool((new == old[:, ::-1]).all()) for new, old in zip(found, X, strict=True)]
    same = [bool((new == old).all()) for new, old in zip(found, X, strict=True)]
    assert all(one != other for one, other in zip(flipped, same, strict=True))
    assert 0 < sum(flipped) < 6
    found, _ = moved(X, flip="vertical")
    assert all((new == old).all() or (new == old[::-1]).all() for new, old in zip(found, X, strict=True))
    assert not (found == X).all()


@pytest.mark.parametrize("moves", [{"shift": 1}, {"shift": 0.25}, {"crop": 1}])
def test_shifts_repeat_the_border(moves: dict[str, Any]) -> None:
    found, _ = moved(X, **moves)
    padded = numpy.pad(X, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    for number, image in enumerate(found):
        windows = [padded[number, row : row + 4, column : column + 5] for row in range(3) for column in range(3)]
        assert any((image == window).all() for window in windows)
    assert not (found == X).all()


def test_labels_of_pixels_move_along_and_series_shift() -> None:
    labels = X[..., 0].astype(int)
    found, moved_labels = moved(X, labels, flip="both", crop=2)
    numpy.testing.assert_array_equal(found[..., 0], moved_labels)
    classes = numpy.eye(3)
    assert moved(X[:3], classes, crop=1)[1] is classes
    series, _ = moved(X[..., 0], shift=1)
    assert series.shape == (6, 4, 5)
    assert all(set(new[:, 0]) <= set(old[:, 0]) for new, old in zip(series, X[..., 0], strict=True))
    for x, moves, message in (
        (X[:, 0, 0], {"crop": 1}, r"found samples of shape \(1,\); name a function instead"),
        (X[..., 0], {"flip": "horizontal"}, r"dataset.augment.flip: is for images, found samples of shape \(4, 5\)"),
    ):
        with pytest.raises(DatasetError, match=message):
            moved(x, **moves)


def noisy(x: Any, y: Any, random: numpy.random.Generator) -> tuple[Any, Any]:
    return x + random.normal(size=x.shape).astype("float32"), y


class Rows(keras.utils.PyDataset):  # type: ignore[misc]
    @property
    def num_batches(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return X[2 * index : 2 * index + 2], numpy.arange(2) + 2 * index


def batches(feed: Any, epochs: int = 2) -> list[tuple[Any, ...]]:
    """The batches of some epochs, as `fit` takes them."""
    if not isinstance(feed, keras.utils.PyDataset):
        return [tuple(map(numpy.asarray, batch)) for _ in range(epochs) for batch in feed]
    found = []
    for _ in range(epochs):
        feed.on_epoch_begin()
        found += [feed[index] for index in range(feed.num_batches)]
        feed.on_epoch_end()
    return found


FEEDS: dict[str, Any] = {
    "arrays": lambda: {"x": X, "y": numpy.arange(6), "batch_size": 2},
    "weighted": lambda: {"x": X, "y": numpy.arange(6), "sample_weight": numpy.arange(6) / 6, "batch_size": 4},
    "sequence": lambda: {"x": Rows()},
    "tensors": lambda: {
        "x": tensorflow.data.Dataset.from_tensor_slices((X, numpy.arange(6))).batch(2),
        "shuffle": False,
    },
}


@pytest.mark.parametrize("kind", FEEDS)
def test_batches_are_changed_the_same_way_for_the_same_seed(kind: str) -> None:
    change = Augmentation((noisy,))
    first, again, other = (batches(augmented(FEEDS[kind](), change, seed)["x"]) for seed in (1, 1, 2))
    for one, two in zip(first, again, strict=True):
        for part, same in zip(one, two, strict=True):
            numpy.testing.assert_array_equal(part, same)
    assert not (first[0][0] == other[0][0]).all()
    half = len(first) // 2
    assert not (first[0][0] == first[half][0]).all()  # another epoch
    for epoch in (first[:half], first[half:]):
        labels = numpy.concatenate([batch[1] for batch in epoch])
        assert sorted(labels.tolist()) == list(range(6))
        changed = numpy.concatenate([batch[0] for batch in epoch])
        assert 0.5 < numpy.abs(changed - X[labels]).mean() < 1.1
        if kind == "weighted":
            numpy.testing.assert_array_equal(numpy.concatenate([batch[2] for batch in epoch]), labels / 6)


def test_fit_takes_them() -> None:
    model = keras.Sequential([keras.Input((4, 5, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile(loss="mse")
    for kind in FEEDS:
        fed = augmented(FEEDS[kind](), Augmentation((Moves(AugmentConfig(flip="both")),)), 0)
        history = model.fit(**fed, epochs=2, verbose=0)
        assert len(history.history["loss"]) == 2


def mixed(x: Any, y: Any, random: numpy.random.Generator) -> tuple[Any, Any]:
    x *= 0.25  # in place, as such functions may
    return x, mix(y)


def mix(y: Any) -> Any:
    return {name: each * 0.5 + 0.25 for name, each in y.items()} if isinstance(y, dict) else y * 0.5 + 0.25


@pytest.mark.parametrize("heads", [1, 2])
def test_functions_of_ones_own_give_floats_in_every_feed(heads: int) -> None:
    names = ("out", "more")[:heads]
    layout = Layout("net", {"in": (4, 5, 1)}, tuple(Head(name=name, shape=(1,), labels="binary") for name in names))
    images = numpy.arange(120, dtype="uint8").reshape(6, 4, 5, 1)
    kept = images.copy()
    hot = numpy.arange(6).reshape(6, 1) % 2
    labels: Any = hot if heads == 1 else dict.fromkeys(names, hot)
    change = Augmentation((OwnStep("own:mixed", lambda x, y, random: mixed(x * 1.0, y, random), 3, layout),))
    tensors = tensorflow.data.Dataset.from_tensor_slices((images, labels)).batch(2)
    for fed in ({"x": images, "y": labels, "batch_size": 2}, {"x": tensors}):
        feed = augmented(fed, change, 0)["x"]
        found = [feed[index] for index in range(3)] if isinstance(feed, keras.utils.PyDataset) else list(feed)
        x = numpy.concatenate([numpy.asarray(batch[0]) for batch in found])
        assert x.dtype == numpy.float32
        assert sorted(x[:, 0, 0, 0]) == [20 * 0.25 * place for place in range(6)]
        for name in names:
            y = numpy.concatenate([numpy.asarray(batch[1] if heads == 1 else batch[1][name]) for batch in found])
            assert y.dtype == numpy.float32
            assert sorted(y[:, 0]) == [0.25] * 3 + [0.75] * 3
    assert (images == kept).all()


def test_a_function_may_change_what_it_is_given() -> None:
    layout = Layout("net", {"in": (4, 5, 1)}, (Head(name="out", shape=(6,), labels="classes"),))

    def cleared(x: Any) -> Any:
        x[:] = 0
        return x

    samples = X.copy()
    x, y = Augmentation((OwnStep("own:cleared", cleared, 1, layout),))(
        samples, numpy.arange(6), numpy.random.default_rng(0)
    )
    assert not x.any()
    assert (samples == X).all()
    assert (y == numpy.arange(6)).all()
