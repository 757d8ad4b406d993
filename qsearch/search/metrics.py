"""Losses and metrics as Keras takes them, and the target among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qsearch.config.names import METRICS
from qsearch.errors import ConfigError, did_you_mean
from qsearch.goal.target import Target
from qsearch.imports import imported


@dataclass(frozen=True)
class Objective:
    """What a model is trained and judged by.

    Attributes:
        loss: a Keras name or an import path; or one for each head.
        metrics: names or import paths; the first is the target.
        head: the head that the metrics are of, where a model has several.
        direction: whether more ("max") or less ("min") of the target is better; None where its name tells.
        class_weight: by class number.
    """

    loss: str | Mapping[str, str]
    metrics: tuple[str, ...]
    head: str | None = None
    direction: str | None = None
    loss_weights: Mapping[str, float] | None = None
    class_weight: Mapping[int, float] | None = None

    def compiled(self) -> dict[str, Any]:
        """Fresh arguments for `compile`: metrics keep a state, so that no two models share them."""
        loss = self.loss if isinstance(self.loss, str) else dict(self.loss)
        losses = _loss(loss) if isinstance(loss, str) else {head: _loss(name) for head, name in loss.items()}
        metrics = [_metric(name) for name in self.metrics if name != "loss"]
        return {
            "loss": losses,
            "metrics": metrics if self.head is None else {self.head: metrics},
            "loss_weights": None if self.loss_weights is None else dict(self.loss_weights),
        }

    def target(self, reported: Mapping[str, float]) -> Target:
        """The target, under the name that training reports it by.

        Args:
            reported: what an evaluation of the compiled model gave.

        Raises:
            ConfigError: the metric is not among these, or its direction is not known.
        """
        text = self.metrics[0]
        direction, limit = METRICS.get(text, (None, None))
        if self.direction is not None and self.direction != direction:
            direction, limit = self.direction, None
        if direction is None:
            raise ConfigError(f"reference.direction: is missing, and whether more of {text} is better is not known")
        name = _name(text)
        key = next((key for key in (f"{self.head}_{name}", name) if key in reported), None)
        if key is None:
            found = ", ".join(reported)
            raise ConfigError(
                f"reference.metrics: {text} is not reported; reported are: {found}{did_you_mean(name, reported)}"
            )
        return Target(f"val_{key}", direction == "max", limit)


def _name(text: str) -> str:
    if text == "loss" or ":" not in text:
        return text
    metric = _metric(text)
    return str(getattr(metric, "name", None) or getattr(metric, "__name__", text))


def _metric(text: str) -> Any:
    """A metric of the user's own: a class is made without arguments, anything else taken as it is."""
    if ":" not in text:
        return text
    found = imported(text, ConfigError)
    return found() if isinstance(found, type) else found


def _loss(text: str) -> Any:
    return _metric(text)
