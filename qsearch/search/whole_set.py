"""Metrics of all labels and predictions at once, as scikit-learn has them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy

from qsearch.datasets import Source
from qsearch.errors import ConfigError
from qsearch.graph.walk import head_names


@dataclass(frozen=True)
class WholeSet:
    """Functions (y_true, y_pred) of arrays, by the name that they are reported by.

    Attributes:
        head: the output that they look at, where a model has several; `place`: its place among the outputs.
    """

    functions: Mapping[str, Callable[[Any, Any], Any]]
    head: str | None = None
    place: int = 0

    def values(self, model: keras.Model, source: Source, batch_size: int) -> dict[str, float]:
        """What they give for a model on a set of samples; NaN where its outputs are not finite.

        Raises:
            ConfigError: a function fails, or gives no number.
        """
        labels, outputs = self._predicted(model, source, batch_size)
        prefix = "" if self.head is None else f"{self.head}_"
        finite = bool(numpy.isfinite(outputs).all())
        return {
            f"{prefix}{name}": _value(name, function, labels, outputs) if finite else math.nan
            for name, function in self.functions.items()
        }

    def _predicted(self, model: keras.Model, source: Source, batch_size: int) -> tuple[Any, Any]:
        """(labels, predictions) of all samples."""
        given = source.evaluation(batch_size)
        if "y" in given:
            outputs = model.predict(given["x"], batch_size=batch_size, verbose=0)
            return self._part(model, given["y"]), self._part(model, outputs)
        with source.reading():
            parts = [
                (self._part(model, y), self._part(model, model.predict_on_batch(x))) for x, y in _batches(given["x"])
            ]
        labels, predictions = zip(*parts, strict=True)
        return numpy.concatenate(labels), numpy.concatenate(predictions)

    def _part(self, model: keras.Model, arrays: Any) -> Any:
        if isinstance(arrays, Mapping):
            return numpy.asarray(arrays[head_names(model)[self.place]])
        return numpy.asarray(arrays[self.place] if isinstance(arrays, list | tuple) else arrays)


def _batches(feed: Any) -> Iterator[tuple[Any, Any]]:
    """(x, y) of a pipeline's batches in turn."""
    sequence = isinstance(feed, keras.utils.PyDataset)
    for batch in (feed[place] for place in range(feed.num_batches)) if sequence else feed:
        yield batch[0], batch[1]


def _value(name: str, function: Callable[[Any, Any], Any], labels: Any, outputs: Any) -> float:
    try:
        found = numpy.asarray(function(labels, outputs))
    except Exception as error:  # the user's own code
        reason = next((line for line in str(error).splitlines() if line.strip()), "")
        raise ConfigError(
            f"{name} fails on all labels {labels.shape} and predictions {outputs.shape}: "
            f"{type(error).__name__}: {reason}"
        ) from None
    if found.size != 1 or found.dtype.kind not in "biuf":
        raise ConfigError(
            f"{name} gives {found.dtype} of shape {found.shape}, expected one number for all labels and predictions"
        )
    return float(found.reshape(()))
