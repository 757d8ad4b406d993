"""Moving averages of the weights (`use_ema`): models are judged, and kept, by these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy


class Averages(keras.callbacks.Callback):  # type: ignore[misc]
    """Puts the averages that an optimizer keeps into the model whenever it is judged.

    Keras' SwapEMAWeights adds and subtracts to exchange them, so that weights drift, and loses the weights that
    training goes on from. It has to come before callbacks that read weights at the end of an epoch.

    Attributes:
        end: the model's weights and the optimizer's variables after the last epoch, to go on from.
    """

    def __init__(self) -> None:
        super().__init__()
        self.raw: list[Any] | None = None
        self.end: tuple[list[Any], list[Any]] | None = None

    def on_test_begin(self, logs: Mapping[str, float] | None = None) -> None:
        self._put()

    def on_test_end(self, logs: Mapping[str, float] | None = None) -> None:
        self._take_back()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self._take_back()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        optimizer = self.model.optimizer
        self.end = self.model.get_weights(), [numpy.asarray(value) for value in optimizer.variables]
        self._put()

    @contextmanager
    def out(self) -> Iterator[None]:
        """For a while, the model has the weights that training goes on from."""
        were_in = self.raw is not None
        self._take_back()
        yield
        if were_in:
            self._put()

    def _pairs(self) -> list[tuple[Any, Any]]:
        optimizer = self.model.optimizer
        pairs = zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True)
        return [(variable, average) for variable, average in pairs if average is not None]

    def _put(self) -> None:
        pairs = self._pairs()
        self.raw = [numpy.array(variable) for variable, _ in pairs]
        for variable, average in pairs:
            variable.assign(average)

    def _take_back(self) -> None:
        if self.raw is None:
            return
        for (variable, _), value in zip(self._pairs(), self.raw, strict=True):
            variable.assign(value)
        self.raw = None
