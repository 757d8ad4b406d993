"""Statistics of batch normalization taken anew, for weights that were trained together with other ones.

Weights that plans share have seen the batches of all plans; what a normalization has averaged over them is no plan's
own (Yu and Huang 2019, arXiv:1903.05134, section 3.2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy
import tensorflow as tf

from qsearch.datasets import Source
from qsearch.datasets.dataset import Split
from qsearch.datasets.memory import shared
from qsearch.training.resizable import assign_all

SAMPLES = 2048
"""Of the training set, that statistics are taken of."""
_BATCH = 512


def calibration_batches(source: Source, batch_size: int) -> list[Any]:
    """The first samples of a set, as a model is called with them."""
    if isinstance(source, Split):
        first = source.first(SAMPLES)
        count = -(-first.samples // _BATCH)
        rows = numpy.array_split(numpy.arange(first.samples), count)
        return [_tensors(first.part(one).x) for one in rows]
    found, seen = [], 0
    for batch in source.evaluation(batch_size)["x"]:
        x = batch[0] if isinstance(batch, tuple | list) else batch
        found.append(_tensors(x))
        seen += len(keras.tree.flatten(x)[0])
        if seen >= SAMPLES:
            break
    return found


def _tensors(x: Any) -> Any:
    def tensor(part: Any) -> Any:
        found = tf.convert_to_tensor(part)
        return tf.cast(found, keras.config.floatx()) if found.dtype.is_floating else found

    return keras.tree.map_structure(tensor, shared(x))


class BatchStatistics:
    """Takes the statistics of a model's batch normalizations anew, for the weights that it has.

    All batches are seen in training mode, and what is left of the averages a before them is taken out: after k batches
    with momentum m,

        mean of the batches = (average - m^k · a) / (1 - m^k)

    (with a = 0 the correction of Kingma and Ba 2015, arXiv:1412.6980, section 3). Dropout drops nothing, and all other
    variables stay as they are.

    Args:
        traced: whether the model is called often enough to be worth a trace.
    """

    def __init__(self, model: keras.Model, batches: Sequence[Any], traced: bool = True) -> None:
        self.model, self.batches = model, batches
        self._norms = [
            (layer, momentum) for layer in model._flatten_layers() if (momentum := _momentum(layer)) is not None
        ]
        averages = {id(average) for layer, _ in self._norms for average in (layer.moving_mean, layer.moving_variance)}
        self._others = [one for one in model.non_trainable_variables if id(one) not in averages]
        self._call: Callable[[Any], Any] = lambda x: model(x, training=True)
        if traced:
            self._call = tf.function(self._call, autograph=False, reduce_retracing=True)

    def renew(self) -> None:
        """Take them anew."""
        if not self._norms:
            return
        others = [one.numpy() for one in self._others]
        before = [(layer.moving_mean.numpy(), layer.moving_variance.numpy()) for layer, _ in self._norms]
        dropouts = [one for one in self.model._flatten_layers() if isinstance(one, keras.layers.Dropout)]
        rates = [one.rate for one in dropouts]
        try:
            for one in dropouts:
                one.rate = 0
            for batch in self.batches:
                self._call(batch)
        finally:
            for one, rate in zip(dropouts, rates, strict=True):
                one.rate = rate
        for (layer, momentum), (mean, variance) in zip(self._norms, before, strict=True):
            left = momentum ** len(self.batches)
            layer.moving_mean.assign((layer.moving_mean.numpy() - left * mean) / (1 - left))
            # rounding must not leave a variance below 0
            own = (layer.moving_variance.numpy() - left * variance) / (1 - left)
            layer.moving_variance.assign(numpy.maximum(own, 0))
        assign_all(self._others, others)


def _momentum(layer: Any) -> float | None:
    """Of a layer that keeps averages of its batches; None for others, and for one that keeps them as they are."""
    if not (hasattr(layer, "moving_mean") and hasattr(layer, "moving_variance")):
        return None
    if not getattr(layer, "trainable", True):
        return None
    norm = getattr(layer, "norm", None)
    momentum = norm["momentum"] if isinstance(norm, dict) else getattr(layer, "momentum", None)
    return float(momentum) if momentum is not None and momentum < 1 else None
