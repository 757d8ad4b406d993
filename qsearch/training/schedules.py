"""Learning rates over a training: Keras' schedules with lengths in epochs, and the rate that falls on a plateau."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from qsearch.config.schedules import ScheduleConfig

_FACTOR, _PATIENCE = 0.1, 10
"""Keras' defaults of a plateau."""
_LEAST_GAIN = 1e-4
"""What `val_loss` must fall by to count, as in Keras."""


@dataclass(frozen=True)
class RateSchedule:
    """A schedule over some epochs.

    Attributes:
        base: the learning rate that its rates are told for.
        epochs: what a falling rate falls over; training may stop before.
    """

    config: ScheduleConfig = field(default_factory=ScheduleConfig)
    base: float = 1.0
    epochs: int = 1

    def rate(self, learning_rate: float, steps: int) -> Any:
        """What an optimizer takes as its learning rate: a number, or one of Keras' schedules.

        Args:
            learning_rate: the rate to start from; the rates of a schedule are multiplied by learning_rate / base.
            steps: of one epoch.
        """
        config, schedules = self.config, keras.optimizers.schedules
        if config.name == "cosine":
            warmup = config.warmup_epochs or 0
            alpha = config.alpha or 0.0
            length = (self.epochs - warmup) * steps
            if not warmup:
                return schedules.CosineDecay(learning_rate, length, alpha=alpha)
            return schedules.CosineDecay(
                0.0, length, alpha=alpha, warmup_target=learning_rate, warmup_steps=warmup * steps
            )
        if config.name == "exponential":
            pace = (config.decay_epochs or 1.0) * steps
            return schedules.ExponentialDecay(learning_rate, pace, config.decay_rate, staircase=bool(config.staircase))
        if config.name == "piecewise":
            # Keras changes after the step with a boundary's number, and counts steps from 0
            boundaries = [boundary * steps - 1 for boundary in config.boundaries or ()]
            values = [value / self.base for value in config.values or ()] or list(config.factors or ())
            return schedules.PiecewiseConstantDecay(boundaries, [value * learning_rate for value in values])
        return learning_rate

    def callbacks(self, learning_rate: float, state: Mapping[str, float]) -> list[keras.callbacks.Callback]:
        """What changes the rate after an epoch.

        Args:
            state: where an earlier training of the same model left it; see `state_of`.
        """
        if self.config.name != "reduce_on_plateau":
            return []
        least = (self.config.min_learning_rate or 0.0) * learning_rate / self.base
        return [_Plateau(self.config.factor or _FACTOR, self.config.patience or _PATIENCE, least, state)]


def state_of(callbacks: list[Any]) -> dict[str, float]:
    """What the callbacks of a schedule need to go on from there."""
    plateau = next((callback for callback in callbacks if isinstance(callback, _Plateau)), None)
    return {} if plateau is None else {"best": plateau.best, "wait": plateau.wait}


class _Plateau(keras.callbacks.Callback):  # type: ignore[misc]
    """Lowers the rate after some epochs without a lower `val_loss`.

    Keras' own starts to count anew with every `fit`, and puts the rate among the metrics.
    """

    def __init__(self, factor: float, patience: int, least: float, state: Mapping[str, float]) -> None:
        super().__init__()
        self.factor = factor
        self.patience = patience
        self.least = least
        self.best = state.get("best", math.inf)
        self.wait = state.get("wait", 0)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        loss = float((logs or {}).get("val_loss", math.nan))
        if loss < self.best - _LEAST_GAIN:
            self.best, self.wait = loss, 0
            return
        self.wait += 1
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        if self.wait >= self.patience and rate > self.least:
            self.model.optimizer.learning_rate = max(rate * self.factor, self.least)
            self.wait = 0
