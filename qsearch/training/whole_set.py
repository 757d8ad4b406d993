"""Metrics of all labels and predictions at once, as scikit-learn has them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy

from qsearch.datasets import Source
from qsearch.datasets.extra import RESERVED
from qsearch.datasets.memory import shared
from qsearch.errors import ConfigError, did_you_mean, told
from qsearch.graph.walk import head_names
from qsearch.training.batches import single_steps


@dataclass(frozen=True)
class WholeSet:
    """Functions (y_true, y_pred) of arrays, by the name that they are reported by.

    Attributes:
        asks: the names of what each is given besides: x, sample_weight, or arrays that the data set has for metrics.
        head: the output that they look at, where a model has several; `place`: its place among the outputs.
    """

    functions: Mapping[str, Callable[..., Any]]
    asks: Mapping[str, tuple[str, ...]]
    head: str | None = None
    place: int = 0

    @property
    def asked(self) -> tuple[str, ...]:
        """What the data set must have for them."""
        names = dict.fromkeys(name for asks in self.asks.values() for name in asks)
        return tuple(name for name in names if name not in RESERVED)

    def check(self, source: Source, what: str) -> None:
        """Refuse a set of samples without what is asked for.

        Args:
            what: how messages call the set.

        Raises:
            ConfigError: naming what it has.
        """
        has = [*source.extra, "x", *(["sample_weight"] if source.weighted else [])]
        for metric, asks in self.asks.items():
            for name in asks:
                if name not in has:
                    raise ConfigError(
                        f"{metric} asks for {name!r}, which {what} does not have; it has: {', '.join(has)}"
                        f"{did_you_mean(name, has)}; {_ways(name)}"
                    )

    def values(self, model: keras.Model, source: Source, batch_size: int) -> dict[str, float]:
        """What they give for a model on a set of samples; NaN where its outputs are not finite.

        Raises:
            ConfigError: a function fails, or gives no number.
        """
        x, labels, outputs, weights = self._predicted(model, source, batch_size)
        more = {**source.extra, "x": x, "sample_weight": weights}
        prefix = "" if self.head is None else f"{self.head}_"
        finite = bool(numpy.isfinite(outputs).all())
        return {
            f"{prefix}{name}": _value(name, function, labels, outputs, {each: more[each] for each in self.asks[name]})
            if finite
            else math.nan
            for name, function in self.functions.items()
        }

    def _predicted(self, model: keras.Model, source: Source, batch_size: int) -> tuple[Any, Any, Any, Any]:
        """(inputs, labels, predictions, weights) of all samples; inputs and weights where they are asked for."""
        given = source.evaluation(batch_size)
        weighted = any("sample_weight" in asks for asks in self.asks.values())
        if "y" in given:
            with single_steps(model):
                outputs = model.predict(shared(given["x"]), batch_size=batch_size, verbose=0)
            weights = self._part(model, given["sample_weight"]) if weighted else None
            return given["x"], self._part(model, given["y"]), self._part(model, outputs), weights
        keeps = any("x" in asks for asks in self.asks.values())
        with source.reading():
            parts = [
                (
                    keras.tree.map_structure(numpy.asarray, x) if keeps else None,
                    self._part(model, y),
                    self._part(model, model.predict_on_batch(x)),
                    self._part(model, more[0]) if weighted else None,
                )
                for x, y, *more in _batches(given["x"])
            ]
        inputs, labels, predictions, parts_of_weights = zip(*parts, strict=True)
        return (
            keras.tree.map_structure(lambda *batches: numpy.concatenate(batches), *inputs) if keeps else None,
            numpy.concatenate(labels),
            numpy.concatenate(predictions),
            numpy.concatenate(parts_of_weights) if weighted else None,
        )

    def _part(self, model: keras.Model, arrays: Any) -> Any:
        if isinstance(arrays, Mapping):
            return numpy.asarray(arrays[head_names(model)[self.place]])
        return numpy.asarray(arrays[self.place] if isinstance(arrays, list | tuple) else arrays)


def _ways(name: str) -> str:
    if name == "sample_weight":
        return "give (x, y, sample_weight), or the parameter a default"
    return (
        f"give {name}_train and {name}_test in a .npz file, or arrays (x, y, sample_weight, {{{name!r}: ...}}) from a "
        "factory, for each set that models are judged on; or the parameter a default or an option"
    )


def _batches(feed: Any) -> Iterator[tuple[Any, ...]]:
    """(x, y) or (x, y, sample_weight) of a pipeline's batches in turn."""
    sequence = isinstance(feed, keras.utils.PyDataset)
    yield from (feed[index] for index in range(feed.num_batches)) if sequence else feed


def _value(name: str, function: Callable[..., Any], labels: Any, outputs: Any, more: Mapping[str, Any]) -> float:
    try:
        value = numpy.asarray(function(labels, outputs, **more))
    except (Exception, SystemExit) as error:  # the user's own code
        raise ConfigError(
            f"{name} fails on all labels {labels.shape} and predictions {outputs.shape}: {told(error)}"
        ) from None
    if value.size != 1 or value.dtype.kind not in "biuf":
        raise ConfigError(
            f"{name} gives {value.dtype} of shape {value.shape}, expected one number for all labels and predictions"
        )
    return float(value.reshape(()))
