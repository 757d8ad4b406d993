"""Spare a model the second trace of its first step.

TensorFlow traces a function again when its first trace has made variables, and Keras makes those of an optimizer, of a
loss and of metrics in the first step. A step of a quantized network takes seconds to trace.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import keras
import tensorflow as tf

from qsearch.datasets import Source
from qsearch.datasets.dataset import Split
from qsearch.datasets.feeds import packed
from qsearch.datasets.memory import shared

_OWN = ("train_step", "test_step", "compute_loss", "compute_metrics")
"""What a model may do in its own way."""


def make_variables(model: keras.Model, source: Source, training: bool) -> None:
    """Make the variables that the first step of a compiled model would make; all values stay as they are.

    Models with steps of their own, samples that are not in memory and several devices are left to their first step.

    Args:
        source: samples like those of the step.
        training: whether the optimizer's are made too.
    """
    own = any(getattr(type(model), name) is not getattr(keras.Model, name) for name in _OWN)
    if own or not isinstance(source, Split) or tf.distribute.has_strategy():
        return
    if training and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    if any(part is not None and not part.built for part in (model._compile_loss, model._compile_metrics)):
        with suppress(Exception):  # what is wrong with a loss or a metric is told of the step itself
            _trace_figures(model, source)


def _trace_figures(model: keras.Model, source: Split) -> None:
    """Trace loss and metrics by themselves: TensorFlow makes their variables at once."""
    y, weight = (*shared(packed(source)), None)[1:3]

    def spec(part: Any) -> Any:
        dtype = keras.config.floatx() if part.dtype.kind == "f" else part.dtype
        return tf.TensorSpec([None, *part.shape[1:]], dtype)

    def figures(y: Any, answers: Any, weight: Any) -> None:
        model.compute_loss(None, y, answers, weight, training=False)
        model.compute_metrics(None, y, answers, weight)

    tf.function(figures, autograph=False).get_concrete_function(
        keras.tree.map_structure(spec, y),
        keras.tree.map_structure(lambda answer: tf.TensorSpec(answer.shape, answer.dtype), model.output),
        None if weight is None else keras.tree.map_structure(spec, weight),
    )
