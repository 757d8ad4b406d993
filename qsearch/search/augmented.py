"""Training samples that are changed batch by batch, before `fit` sees them."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy

from qsearch.config.augment import AugmentConfig
from qsearch.datasets.augment import Moves
from qsearch.errors import ConfigError, DatasetError, shown
from qsearch.imports import imported

Step = Callable[[Any, Any, numpy.random.Generator], tuple[Any, Any]]


@dataclass(frozen=True)
class Augmentation:
    """Changes of a batch of training samples, one after the other."""

    steps: tuple[Step, ...]

    def __call__(self, x: Any, y: Any, random: numpy.random.Generator) -> tuple[Any, Any]:
        """A batch with all changes.

        Raises:
            DatasetError: a change does not fit the samples, or fails.
        """
        for step in self.steps:
            x, y = step(x, y, random)
        return x, y


def augmentation(steps: Sequence[AugmentConfig | str]) -> Augmentation | None:
    """The changes that a configuration names; None where it names none.

    Raises:
        ConfigError: an import path that leads nowhere.
    """
    made = tuple(Moves(step) if isinstance(step, AugmentConfig) else _own(step) for step in steps)
    return Augmentation(made) if made else None


def _own(path: str) -> Step:
    """A function of the user's own: f(x), f(x, y) or f(x, y, random); or a Keras layer."""
    found = imported(path, ConfigError)
    if not callable(found) or isinstance(found, type):
        raise ConfigError(f"{path}: found {shown(found)}, expected a function of a batch (x), (x, y) or (x, y, random)")
    layer = isinstance(found, keras.layers.Layer)
    taken = 1 if layer else _positions(found)
    more = {"training": True} if layer else {}

    def step(x: Any, y: Any, random: numpy.random.Generator) -> tuple[Any, Any]:
        try:
            given = found(*(x, y, random)[:taken], **more)
            new_x, new_y = (given, y) if taken == 1 else given
            return _arrays(new_x), _arrays(new_y)
        except Exception as error:  # the user's own code
            reason = str(error).strip().partition("\n")[0]
            expected = "x" if taken == 1 else "(x, y)"
            raise DatasetError(
                f"dataset.augment: {path} did not give {expected} for a batch ({type(error).__name__}: {reason})"
            ) from None

    return step


def _positions(function: Any) -> int:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # not written in Python
        return 1
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [one for one in parameters if one.kind in kinds]
    return min(3, max(1, sum(one.default is inspect.Parameter.empty for one in needed)))


def _arrays(given: Any) -> Any:
    if isinstance(given, Mapping):
        return {name: numpy.asarray(array) for name, array in given.items()}
    if isinstance(given, list | tuple):
        return tuple(numpy.asarray(array) for array in given)
    return numpy.asarray(given)


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


def _changed(element: Sequence[Any], change: Augmentation, seed: tuple[int, ...]) -> tuple[Any, ...]:
    """(x, y) or (x, y, sample_weight) with the changes; the seed is that of this batch alone."""
    x, y, *weights = element
    return (*change(x, y, numpy.random.default_rng(seed)), *weights)


def _mapped(dataset: Any, change: Augmentation, seed: int, first_epoch: int) -> Any:
    """A tf.data.Dataset whose batches are changed, one after the other."""
    import tensorflow

    spec, numbers = dataset.element_spec, itertools.count()
    specs = tensorflow.nest.flatten(spec)

    def arrays(*flat: Any) -> list[Any]:
        element = tensorflow.nest.pack_sequence_as(spec, flat)
        changed = tensorflow.nest.flatten(_changed(element, change, (seed, first_epoch, next(numbers))))
        return [numpy.asarray(array, like.dtype.as_numpy_dtype) for array, like in zip(changed, specs, strict=True)]

    def tensors(*element: Any) -> Any:
        found = tensorflow.numpy_function(arrays, tensorflow.nest.flatten(element), [like.dtype for like in specs])
        shaped = [tensorflow.ensure_shape(tensor, like.shape) for tensor, like in zip(found, specs, strict=True)]
        return tensorflow.nest.pack_sequence_as(spec, shaped)

    return dataset.map(tensors)


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
