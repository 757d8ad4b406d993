"""Statistics of batch normalizations taken anew, without training: what they see changes with every quantizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import numpy
import tensorflow as tf

from qsearch.datasets import Source
from qsearch.datasets.dataset import Split
from qsearch.datasets.feeds import packed
from qsearch.layers.folded import FoldedLayer

Batch = tuple[Any, ...]
"""(x, y) or (x, y, sample_weight)."""

SAMPLES = 1024
"""Of a calibration set."""
BATCH = 256
"""Samples of a batch: enough that its moments are those of the data."""


def calibration_batches(source: Source, samples: int, seed: int) -> list[Batch]:
    """Batches of one size for measuring, of samples by chance; of a pipeline its first ones.

    Args:
        source: the training set, so that what models are compared on stays unseen.
    """
    count = min(samples, source.samples)
    size = min(BATCH, count)
    if isinstance(source, Split):
        order = numpy.random.default_rng(seed).permutation(source.samples)[: count - count % size]
        some = packed(source.part(numpy.sort(order)[numpy.random.default_rng(seed).permutation(len(order))]))
        return [
            keras.tree.map_structure(lambda array, at=start: tf.convert_to_tensor(array[at : at + size]), some)
            for start in range(0, len(order), size)
        ]
    with source.reading():
        found = [tuple(batch) for batch in source.first(count).evaluation(size)["x"]]
    whole = length_of(found[0])
    return [batch for batch in found if length_of(batch) == whole]


def samples_in(batches: Sequence[Batch]) -> int:
    return sum(length_of(batch) for batch in batches)


def length_of(batch: Batch) -> int:
    """Its samples."""
    return int(keras.tree.flatten(batch[0])[0].shape[0])


class Calibrator:
    """Takes a model's moving averages anew, and tells its loss with them: nothing else of the model is trained.

    Batch normalizations, also those that are folded into their layers, use the moments of each batch and average them
    over the batches; all other layers work as in inference, dropout and quantizers that draw among them. (Statistics
    after training, for networks that were never trained as they are: Yu and Huang 2019, arXiv:1903.05134.)
    """

    def __init__(self, model: keras.Model, traced: bool = True, with_loss: bool = True) -> None:
        """
        Args:
            model: compiled, where its loss is computed.
            traced: for many calls; else each is eager.
            with_loss: without it, a call returns 0.
        """
        self.model = model
        self._norms = [layer for layer in model._flatten_layers(include_self=False) if _takes_averages(layer)]
        self._kept = tf.Variable(0.0, trainable=False, name="kept_of_averages")
        step = partial(_loss if with_loss else _answers, model, training=False)
        self._step: Callable[..., Any] = tf.function(step, autograph=False, reduce_retracing=True) if traced else step

    def __call__(self, batches: Sequence[Batch]) -> float:
        """The mean loss per sample; moving averages become the mean of the batches' moments."""
        losses = []
        with self._taking_averages():
            for number, batch in enumerate(batches):
                self._kept.assign(number / (number + 1))
                losses.append(float(self._step(batch)))
        return float(numpy.mean(losses))

    @contextmanager
    def _taking_averages(self) -> Iterator[None]:
        """Let normalizations, and no other layer, work as in training; with a momentum that makes means of averages."""
        before = [(layer.norm, layer.iteration.numpy()) if _folds(layer) else layer.momentum for layer in self._norms]
        for layer in self._norms:
            if _folds(layer):  # which follows its batches as long as they are counted
                layer.norm = {**layer.norm, "momentum": self._kept, "ema_freeze_delay": None}
            else:
                layer.momentum = self._kept
            layer.call = partial(_as_in_training, type(layer).call, layer)
        try:
            yield
        finally:
            for layer, kept in zip(self._norms, before, strict=True):
                del layer.call
                if _folds(layer):
                    layer.norm = kept[0]
                    layer.iteration.assign(kept[1])
                else:
                    layer.momentum = kept


def _folds(layer: Any) -> bool:
    return isinstance(layer, FoldedLayer)


def _takes_averages(layer: Any) -> bool:
    """Whether it averages over batches; one that is frozen stays as it is."""
    return isinstance(layer, keras.layers.BatchNormalization | FoldedLayer) and layer.trainable


def _as_in_training(call: Any, layer: Any, inputs: Any, training: bool | None = None, **given: Any) -> Any:
    return call(layer, inputs, training=True, **given)


def _answers(model: keras.Model, batch: Batch, training: bool) -> float:
    model(batch[0], training=training)
    return 0.0


def _loss(model: keras.Model, batch: Batch, training: bool) -> Any:
    x, y, *weights = batch
    answers = model(x, training=training)
    return model.compute_loss(x=x, y=y, y_pred=answers, sample_weight=weights[0] if weights else None, training=False)


def plain_loss(model: keras.Model, batch: Batch) -> Any:
    """The loss of a compiled model in inference, with the averages that it has."""
    return _loss(model, batch, training=False)


def loss_of_one_answer(model: keras.Model, batches: Sequence[Batch]) -> float:
    """The loss per sample of a compiled model, were the mean of its answers its answer to all samples.

    Where a loss is convex in the answers, answers that know nothing of the labels are no better than their mean
    (Jensen's inequality).
    """
    answer = tf.function(partial(model, training=False), autograph=False)
    answers = [answer(batch[0]) for batch in batches]
    mean = keras.tree.map_structure(lambda *parts: tf.reduce_mean(tf.concat(parts, 0), 0, keepdims=True), *answers)
    losses = []
    for (x, y, *weights), own in zip(batches, answers, strict=True):
        same = keras.tree.map_structure(lambda one, many: tf.broadcast_to(one, tf.shape(many)), mean, own)
        weight = weights[0] if weights else None
        losses.append(float(model.compute_loss(x=x, y=y, y_pred=same, sample_weight=weight, training=False)))
    return float(numpy.mean(losses))


def mixed_up(batches: Sequence[Batch], seed: int) -> list[Batch]:
    """The same samples with labels of others."""
    rng = numpy.random.default_rng(seed)

    def mixed(batch: Batch) -> Batch:
        order = rng.permutation(length_of(batch))
        return (batch[0], keras.tree.map_structure(lambda array: tf.gather(array, order), batch[1]), *batch[2:])

    return [mixed(batch) for batch in batches]
