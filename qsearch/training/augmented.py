"""Training samples that are changed batch by batch, before `fit` sees them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy

from qsearch.training.augmentation import Augmentation, OwnStep


def augmented(fed: Mapping[str, Any], change: Augmentation, seed: int, first_epoch: int = 0) -> dict[str, Any]:
    """Arguments of `fit` like the given ones, whose batches are changed.

    Args:
        fed: `x` and `y` as arrays, perhaps `sample_weight`, and `batch_size`; or `x` as a PyDataset or a
            tf.data.Dataset of batches.
        seed: of all draws, and of the order of arrays; the same seed gives the same batches.
        first_epoch: epochs that were trained before, whose draws are not repeated.
    """
    x, y = fed["x"], fed.get("y")
    if isinstance(x, keras.utils.PyDataset):
        return {**fed, "x": _Changed(x, change, seed, first_epoch)}
    if y is None:
        return {**fed, "x": _mapped(x, change, seed, first_epoch)}
    weights = fed.get("sample_weight")
    parts = [x, y] if weights is None else [x, y, weights]
    return {"x": _Batches(parts, fed["batch_size"], change, seed, first_epoch)}


def one_batch(fed: Mapping[str, Any]) -> tuple[Any, Any]:
    """The samples and labels of the first batch of arguments of `fit`, as arrays."""
    x, y = fed["x"], fed.get("y")
    if y is None:
        x, y, *_ = x[0] if isinstance(x, keras.utils.PyDataset) else next(iter(x.as_numpy_iterator()))
        return x, y
    rows = slice(fed["batch_size"])
    return tuple(keras.tree.map_structure(lambda array: array[rows], (x, y)))


def _changed(element: Sequence[Any], change: Augmentation, seed: tuple[int, ...]) -> tuple[Any, ...]:
    """(x, y) or (x, y, sample_weight) with the changes; the seed is that of this batch alone."""
    x, y, *weights = element
    return (*change(x, y, numpy.random.default_rng(seed)), *weights)


def _mapped(dataset: Any, change: Augmentation, seed: int, first_epoch: int) -> Any:
    """A tf.data.Dataset whose batches are changed, one after the other."""
    import tensorflow

    spec, numbers = dataset.element_spec, itertools.count()
    specs = tensorflow.nest.flatten(spec)
    kinds = tensorflow.nest.flatten(_kinds(spec, change))

    def arrays(*flat: Any) -> list[Any]:
        element = tensorflow.nest.pack_sequence_as(spec, flat)
        changed = tensorflow.nest.flatten(_changed(element, change, (seed, first_epoch, next(numbers))))
        return [
            numpy.asarray(array, tensorflow.as_dtype(kind).as_numpy_dtype)
            for array, kind in zip(changed, kinds, strict=True)
        ]

    def tensors(*element: Any) -> Any:
        changed = tensorflow.numpy_function(arrays, tensorflow.nest.flatten(element), kinds)
        shaped = [tensorflow.ensure_shape(tensor, like.shape) for tensor, like in zip(changed, specs, strict=True)]
        return tensorflow.nest.pack_sequence_as(spec, shaped)

    return dataset.map(tensors)


def _kinds(spec: Sequence[Any], change: Augmentation) -> tuple[Any, ...]:
    """The types of a changed element, in its structure."""
    x, y, *weights = keras.tree.map_structure(lambda like: like.dtype, spec)
    own = next((step for step in change.steps if isinstance(step, OwnStep)), None)
    if own is None:
        return (x, y, *weights)
    floats = dict.fromkeys(own.float_labels, "float32")
    if isinstance(y, Mapping):
        y = {name: floats.get(name, kind) for name, kind in y.items()}
    elif isinstance(y, list | tuple):
        y = tuple(floats.get(name, kind) for name, kind in zip(own.layout.head_names, y, strict=True))
    elif floats:
        y = "float32"
    return (keras.tree.map_structure(lambda kind: "float32", x), y, *weights)


class _Changed(keras.utils.PyDataset):  # type: ignore[misc]
    """The batches of another PyDataset, changed."""

    def __init__(self, inner: Any, change: Augmentation, seed: int, epoch: int) -> None:
        super().__init__(
            workers=inner.workers,
            use_multiprocessing=inner.use_multiprocessing,
            max_queue_size=inner.max_queue_size,
        )
        self.inner = inner
        self.change = change
        self.seed = seed
        self.epoch = epoch

    @property
    def num_batches(self) -> int | None:
        return self.inner.num_batches  # type: ignore[no-any-return]

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return _changed(self.inner[index], self.change, (self.seed, self.epoch, index))

    def on_epoch_begin(self) -> None:
        self.inner.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self.epoch += 1
        self.inner.on_epoch_end()


class _Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Shuffled batches of arrays; which they are depends on seed, epoch and number alone."""

    def __init__(self, parts: Sequence[Any], batch_size: int, change: Augmentation, seed: int, epoch: int) -> None:
        super().__init__()
        self.parts = parts
        self.batch_size = batch_size
        self.change = change
        self.seed = seed
        self.epoch = epoch
        self.samples = len(keras.tree.flatten(parts[0])[0])
        self.order = self._shuffled()

    @property
    def num_batches(self) -> int:
        return math.ceil(self.samples / self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        element = [keras.tree.map_structure(lambda array: array[rows], part) for part in self.parts]
        return _changed(element, self.change, (self.seed, self.epoch, index))

    def on_epoch_end(self) -> None:
        self.epoch += 1
        self.order = self._shuffled()

    def _shuffled(self) -> Any:
        return numpy.random.default_rng((self.seed, self.epoch)).permutation(self.samples)
