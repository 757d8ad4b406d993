"""What is looked at when an epoch of a training ends: its loss, whether it is the best, whether training goes on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from qsearch.errors import SearchError
from qsearch.goal.target import Target
from qsearch.search.trials import Trained
from qsearch.training.progress import Progress
from qsearch.training.resizable import assign_all

EpochEnded = Callable[[int, int, Mapping[str, float]], None]


class DivergedError(SearchError):
    """Training gave no epoch with a finite target metric and loss.

    Attributes:
        of_loss: whether it was the loss; else the metric is no number where the loss is one.
    """

    def __init__(self, message: str, of_loss: bool) -> None:
        super().__init__(message)
        self.of_loss = of_loss


class EndsWithoutLoss(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends training with the first loss that is no number, as Keras' TerminateOnNaN, which prints that on its own."""

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            self.model.stop_training = True


class Patience(keras.callbacks.EarlyStopping):  # type: ignore[misc]
    """Early stopping that goes on counting where a training was stopped; Keras' own begins anew with every `fit`."""

    def __init__(self, patience: int, begun: Progress | None) -> None:
        super().__init__("val_loss", patience=patience, mode="min")
        self.before = {} if begun is None else begun.facts["patience"]

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        super().on_train_begin(logs)
        self.wait: int = self.before.get("wait", 0)
        self.best: float | None = self.before.get("best")

    def counted(self) -> dict[str, Any]:
        return {"wait": self.wait, "best": self.best}


class BestEpoch(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the weights of the best epoch in memory and tells the observer of each."""

    def __init__(
        self,
        target: Target,
        epochs: int,
        epoch_ended: EpochEnded,
        stop: Callable[[list[float]], str | None] | None,
        more: Callable[[], Mapping[str, float]] | None,
    ) -> None:
        super().__init__()
        self.more = more
        self.target = target
        self.epochs = epochs
        self.epoch_ended = epoch_ended
        self.stop = stop
        self.stopped: str | None = None
        self.seen = 0
        self.curve: list[float] = []
        self.last: dict[str, float] = {}
        self.best: tuple[float, float] | None = None
        self.kept: tuple[int, dict[str, float], Any] | None = None

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        if self.more is not None:
            metrics |= {f"val_{name}": value for name, value in self.more().items()}
        self.seen = epoch + 1
        self.last = metrics
        self.curve.append(metrics.get(self.target.name, math.nan))
        self.consider(self.seen, metrics)
        self.epoch_ended(self.seen, self.epochs, metrics)
        if self.stop is not None and self.seen < self.epochs:
            self.stopped = self.stop([value for value in self.curve if math.isfinite(value)])
            self.model.stop_training = self.model.stop_training or self.stopped is not None

    def consider(self, epoch: int, metrics: dict[str, float]) -> None:
        rank = (self.target.worth(metrics.get(self.target.name, math.nan)), -metrics.get("val_loss", math.nan))
        if all(math.isfinite(value) for value in rank) and (self.best is None or rank > self.best):
            self.best = rank
            self.kept = (epoch, metrics, self.model.get_weights())

    @property
    def weights(self) -> list[Any]:
        """Those of the best epoch; none where there is no such epoch yet."""
        return [] if self.kept is None else self.kept[2]

    def facts(self) -> dict[str, Any]:
        """All else, to `go_on` from."""
        return {
            "seen": self.seen,
            "curve": self.curve,
            "last": self.last,
            "stopped": self.stopped,
            "best": self.best,
            "kept": None if self.kept is None else self.kept[:2],
        }

    def go_on(self, facts: Mapping[str, Any], weights: Sequence[Any]) -> None:
        """Have seen what another process saw."""
        self.seen, self.curve, self.last = facts["seen"], list(facts["curve"]), facts["last"]
        self.stopped = facts["stopped"]
        self.best = None if facts["best"] is None else tuple(facts["best"])
        self.kept = None if facts["kept"] is None else (*facts["kept"], weights)

    def _diverged(self) -> DivergedError:
        wanted = dict.fromkeys((self.target.name, "val_loss"))
        broken = [name for name in wanted if not math.isfinite(self.last.get(name, math.nan))]
        finite = [f"{name} was {self.last[name]:.4g}" for name in wanted if name not in broken]
        told = f" ({finite[0]} at the end)" if finite else ""
        message = f"training diverged: no epoch of {self.seen} had a finite {' and '.join(broken or wanted)}{told}"
        return DivergedError(message, "val_loss" in broken)

    def restore(self) -> Trained:
        if self.kept is None:
            raise self._diverged()
        epoch, metrics, weights = self.kept
        assign_all(self.model.weights, weights)
        return Trained(
            metrics=metrics, epochs=self.seen, best_epoch=epoch, curve=tuple(self.curve), stopped=self.stopped
        )
