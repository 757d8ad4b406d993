"""Keras metrics on what a model really gives and is compared with: logits, class numbers, values per position."""

from __future__ import annotations

from typing import Any

import keras


def one_hot_labels(labels: Any, outputs: Any) -> Any:
    """Class numbers, with or without a last axis of 1, as one-hot labels of an output."""
    if len(labels.shape) == len(outputs.shape):
        labels = keras.ops.squeeze(labels, -1)
    return keras.ops.one_hot(keras.ops.cast(labels, "int32"), outputs.shape[-1], dtype="float32")


@keras.saving.register_keras_serializable(package="qsearch")
class Adapted(keras.metrics.Metric):  # type: ignore[misc]
    """A metric of probabilities and one-hot labels, where a model gives or is given something else.

    Args:
        metric: the metric; reports go by its name.
        classes: labels are class numbers, to be made one-hot.
        logits: "sigmoid" or "softmax": what makes probabilities of the outputs; None: they are some.
        flat: every position counts as a sample, as the metric takes (samples, units) only.
        ignored: a class number; what is labelled so does not count.
        greatest: the metric gets 1 for the first greatest output and 0 for the others. Of outputs that tie, as those of
            quantized models often do, Keras' F scores count every one.
        numbers: labels are one-hot, to be made class numbers.
        signs: labels are -1 and 1 (or 0 and 1), to be made 0 and 1.
    """

    def __init__(
        self,
        metric: Any,
        classes: bool = False,
        logits: str | None = None,
        flat: bool = False,
        ignored: int | None = None,
        greatest: bool = False,
        numbers: bool = False,
        signs: bool = False,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        metric = metric if isinstance(metric, keras.metrics.Metric) else keras.saving.deserialize_keras_object(metric)
        super().__init__(name=name or metric.name, dtype=dtype)
        self.metric = metric
        self.classes = classes
        self.logits = logits
        self.flat = flat
        self.ignored = ignored
        self.greatest = greatest
        self.numbers = numbers
        self.signs = signs

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        labels, outputs = keras.ops.convert_to_tensor(y_true), keras.ops.convert_to_tensor(y_pred)
        if self.classes:
            sample_weight = self._counting(labels, outputs, sample_weight)
            labels = one_hot_labels(labels, outputs)
        elif self.numbers:
            labels = keras.ops.argmax(labels, axis=-1)
        elif len(labels.shape) == len(outputs.shape) - 1 and outputs.shape[-1] == 1:
            labels = keras.ops.expand_dims(labels, -1)
        if self.signs:
            labels = keras.ops.cast(labels > 0, "float32")
        if self.logits is not None:
            outputs = keras.activations.get(self.logits)(outputs)
        if self.greatest:
            outputs = keras.ops.one_hot(keras.ops.argmax(outputs, axis=-1), outputs.shape[-1], dtype="float32")
        if self.flat and len(outputs.shape) > 2:
            labels = keras.ops.reshape(labels, (-1, outputs.shape[-1]))
            outputs = keras.ops.reshape(outputs, (-1, outputs.shape[-1]))
            sample_weight = None if sample_weight is None else keras.ops.reshape(sample_weight, (-1,))
        return self.metric.update_state(labels, outputs, sample_weight)

    def _counting(self, labels: Any, outputs: Any, sample_weight: Any) -> Any:
        """Weights of the positions (of the samples, if there are none), 0 where labels are to be left out."""
        if self.ignored is None:
            return sample_weight
        if len(labels.shape) == len(outputs.shape):
            labels = keras.ops.squeeze(labels, -1)
        counting = keras.ops.cast(keras.ops.cast(labels, "int32") != self.ignored, "float32")
        if sample_weight is None:
            return counting
        weights = keras.ops.cast(sample_weight, "float32")
        # of the samples alone: the same for every position
        missing = len(counting.shape) - len(weights.shape)
        return counting * keras.ops.reshape(weights, (*keras.ops.shape(weights), *[1] * missing))

    def result(self) -> Any:
        return self.metric.result()

    def reset_state(self) -> None:
        self.metric.reset_state()

    def get_config(self) -> dict[str, Any]:
        own: dict[str, Any] = {"classes": self.classes, "logits": self.logits, "flat": self.flat}
        own |= {"ignored": self.ignored, "greatest": self.greatest, "numbers": self.numbers, "signs": self.signs}
        return {**super().get_config(), "metric": keras.saving.serialize_keras_object(self.metric), **own}


@keras.saving.register_keras_serializable(package="qsearch")
class SmoothedSparseCategoricalCrossentropy(keras.losses.Loss):  # type: ignore[misc]
    """Crossentropy with class numbers and label smoothing, which Keras has for one-hot labels only.

    Args:
        label_smoothing: the part of every label that is spread over all classes.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        from_logits: bool = False,
        name: str = "sparse_categorical_crossentropy",
        reduction: str = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.label_smoothing = label_smoothing
        self.from_logits = from_logits

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        # before Keras gives labels the outputs' rank
        return super().__call__(one_hot_labels(keras.ops.convert_to_tensor(y_true), y_pred), y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return keras.losses.categorical_crossentropy(
            y_true, y_pred, from_logits=self.from_logits, label_smoothing=self.label_smoothing
        )

    def get_config(self) -> dict[str, Any]:
        own = {"label_smoothing": self.label_smoothing, "from_logits": self.from_logits}
        return {**super().get_config(), **own}
