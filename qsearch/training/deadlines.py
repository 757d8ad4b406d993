"""Training that is held against the clock."""

from __future__ import annotations

from typing import Any

import keras

from qsearch.search.time_limits import Deadlines


class Clock(keras.callbacks.Callback):  # type: ignore[misc]
    """Looks at the clock after every call of steps, in training and in evaluation, and raises what is over."""

    def __init__(self, deadlines: Deadlines) -> None:
        super().__init__()
        self.deadlines = deadlines
        self.done = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.done = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.deadlines.check(self._place)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.deadlines.check(self._place)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.done = epoch + 1
        self.deadlines.check(self._place)

    def _place(self) -> str:
        epochs = self.params["epochs"]
        return f"after epoch {self.done} of {epochs}" if self.done else f"in epoch 1 of {epochs}"
