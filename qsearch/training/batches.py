"""Samples in memory as batches: one tf.data pipeline for a whole search, and many steps in one call.

The seed and the number of the epoch decide the order of samples, so that it is the same in whatever model they are
trained. Keras makes a new pipeline in every `fit`, two iterators in every epoch, and calls Python in every step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from qsearch.datasets import Source
from qsearch.datasets.dataset import Split
from qsearch.datasets.feeds import packed
from qsearch.datasets.memory import shared


class TrainingBatches(keras.callbacks.Callback):  # type: ignore[misc]
    """Batches in an order that is new in each epoch; a callback of `fit`, which tells the epoch."""

    def __init__(self, parts: tuple[Any, ...], batch_size: int, steps: int) -> None:
        """
        Args:
            parts: (x, y) or (x, y, sample_weight), arrays in whatever structure.
            steps: of an epoch.
        """
        super().__init__()
        self.steps = steps
        held = _tensors(parts)
        samples = keras.tree.flatten(held)[0].shape[0]
        self._place = tf.Variable([0, 0], trainable=False, dtype=tf.int64, name="seed_and_epoch")

        def ordered(epoch: Any) -> Any:
            place = tf.identity(self._place)
            order = tf.random.experimental.stateless_shuffle(tf.range(samples), [place[0], place[1] + epoch])
            return tf.data.Dataset.from_tensor_slices(order).batch(batch_size)

        def gathered(rows: Any) -> Any:
            return keras.tree.map_structure(lambda part: tf.gather(part, rows), held)

        self._epochs = _plain(tf.data.Dataset.range(1 << 62).flat_map(ordered).map(gathered).prefetch(1))
        self._endless = True

    def arguments(self, seed: int, epoch: int, steps_of_call: int) -> dict[str, Any]:
        """Of `fit`, from an epoch on. Where calls end with epochs, one iterator serves all of them."""
        self._place.assign([seed, epoch])
        self._endless = self.steps % steps_of_call == 0
        given = {"x": self._epochs, "steps_per_epoch": self.steps} if self._endless else {"x": self._one_epoch()}
        return {**given, "shuffle": False}

    def _one_epoch(self) -> Any:
        return self._epochs.take(self.steps).apply(tf.data.experimental.assert_cardinality(self.steps))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if not self._endless:
            self._place[1].assign(epoch)


class Feeds:
    """The pipelines of a search, each made once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], tuple[Source, Any]] = {}

    def training(self, source: Source, batch_size: int) -> TrainingBatches | None:
        """None for what is not in memory."""
        if not isinstance(source, Split):
            return None
        steps = source.steps(batch_size)
        made: TrainingBatches = self._once(
            "training", source, batch_size, lambda: TrainingBatches(packed(source), batch_size, steps)
        )
        return made

    def validation(self, source: Source, batch_size: int) -> Any:
        """What `fit` takes as validation data."""
        if not isinstance(source, Split):
            return shared(source.validation(batch_size))
        return self._once("validation", source, batch_size, lambda: _in_order(packed(source), batch_size))

    def _once(self, what: str, source: Source, batch_size: int, make: Any) -> Any:
        key = (what, id(source), batch_size)
        if key not in self._known:
            self._known[key] = (source, make())  # the source is held, so that its id is no other one's
        return self._known[key][1]


def take_steps(model: keras.Model, steps: int) -> None:
    """Let a call of training or evaluation be so many steps; a file of the model does not know of it."""
    if model.steps_per_execution != steps:
        model.steps_per_execution = steps
        model.train_function = model.test_function = None


@contextmanager
def single_steps(model: keras.Model) -> Iterator[None]:
    """Around `predict`, whose graph Keras makes as long as a call has steps."""
    steps = model.steps_per_execution
    model.steps_per_execution = 1
    try:
        yield
    finally:
        model.steps_per_execution = steps


def _in_order(parts: tuple[Any, ...], batch_size: int) -> Any:
    """A dataset of full batches, and one of what is left; no sample is copied before it is used."""
    held = _tensors(parts)
    samples = keras.tree.flatten(held)[0].shape[0]
    full = samples // batch_size

    def batches(part: Any) -> Any:
        return tf.reshape(part[: full * batch_size], [full, batch_size, *part.shape[1:]])

    dataset = tf.data.Dataset.from_tensor_slices(keras.tree.map_structure(batches, held))
    if samples % batch_size:
        rest = keras.tree.map_structure(lambda part: part[full * batch_size :], held)
        last = tf.data.Dataset.from_tensors(rest)
        dataset = dataset.concatenate(last) if full else last
    return _plain(dataset.prefetch(1))


def _tensors(parts: tuple[Any, ...]) -> Any:
    """Arrays as tensors, real numbers in Keras' type; lists become tuples, as tf.data wants it."""

    def tensor(part: Any) -> Any:
        found = tf.convert_to_tensor(part)
        return tf.cast(found, keras.config.floatx()) if found.dtype.is_floating else found

    return _tuples(keras.tree.map_structure(tensor, shared(parts)))


def _tuples(structure: Any) -> Any:
    if isinstance(structure, list | tuple):
        return tuple(_tuples(part) for part in structure)
    return {name: _tuples(part) for name, part in structure.items()} if isinstance(structure, dict) else structure


def _plain(dataset: Any) -> Any:
    """Without what makes large pipelines faster and small ones slower to start."""
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 1
    return dataset.with_options(options)
