"""Losses and metrics as Keras takes them, and the target among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qsearch.config.chosen import Chosen
from qsearch.config.names import LOSSES, METRICS, SIGNED_LOSSES
from qsearch.errors import ConfigError, did_you_mean
from qsearch.goal.target import Target
from qsearch.training.losses import Output, asked_arrays, custom_name, custom_object, keras_name, made_loss, made_metric
from qsearch.training.whole_set import WholeSet

_LOSS = "loss"


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What a model is trained and judged by.

    Attributes:
        loss: one, or one for each head.
        metrics: the first is the target.
        output: what the metrics look at.
        head: the name of that output, where a model has several.
        direction: whether more ("max") or less ("min") of the target is better; None where its name tells.
        class_weight: by class number.
        place: that of the head among the outputs.
    """

    loss: Chosen | Mapping[str, Chosen]
    metrics: tuple[Chosen, ...]
    output: Output
    head: str | None = None
    direction: str | None = None
    loss_weights: Mapping[str, float] | None = None
    class_weight: Mapping[int, float] | None = None
    place: int = 0

    def losses(self, heads: Sequence[str]) -> dict[str, Chosen]:
        """The loss of each head that has one."""
        return dict(self.loss) if isinstance(self.loss, Mapping) else dict.fromkeys(heads, self.loss)

    @property
    def names(self) -> tuple[str, ...]:
        """What the metrics are reported by; of several with the same name, later ones have a number."""
        found: list[str] = []
        for metric in self.metrics:
            name = custom_name(metric.name) if metric.custom else metric.name
            same = sum(other == name or other.startswith(f"{name}_") for other in found)
            found.append(f"{name}_{same + 1}" if name in found else name)
        return tuple(found)

    def compiled(self, heads: Sequence[str] = ()) -> dict[str, Any]:
        """Fresh arguments for `compile`: metrics keep a state, so that no two models share them.

        Args:
            heads: all of the model's; those without a loss are told to Keras as such.

        Raises:
            ConfigError: import paths that lead nowhere, or options that a class does not take.
        """
        loss = self.loss
        named = zip(self.metrics, self.names, strict=True)
        metrics = [
            made_metric(metric, self.output, name)
            for metric, name in named
            if metric.name != _LOSS and not metric.whole_set
        ]
        return {
            "loss": made_loss(loss)
            if isinstance(loss, Chosen)
            else {**dict.fromkeys(heads), **{head: made_loss(own) for head, own in loss.items()}},
            "metrics": metrics if self.head is None else {self.head: metrics},
            "loss_weights": None if self.loss_weights is None else dict(self.loss_weights),
        }

    @property
    def whole_set(self) -> WholeSet | None:
        """The metrics of all predictions at once, if there are any."""
        named = {name: metric for metric, name in zip(self.metrics, self.names, strict=True) if metric.whole_set}
        functions = {name: custom_object(metric, None) for name, metric in named.items()}
        asks = {name: asked_arrays(metric) for name, metric in named.items()}
        return WholeSet(functions, asks, self.head, self.place) if functions else None

    def target(self, reported: Mapping[str, float]) -> Target:
        """The target, under the name that training reports it by.

        Args:
            reported: what an evaluation of the compiled model gave.

        Raises:
            ConfigError: the metric is not among these, or its direction is not known.
        """
        metric, name = self.metrics[0], self.names[0]
        known = keras_name(metric.name) if metric.custom else metric.name
        direction, limit = METRICS.get(known or "", (None, None))
        losses = (self.loss,) if isinstance(self.loss, Chosen) else self.loss.values()
        if known == _LOSS and any(loss.name not in LOSSES or loss.name in SIGNED_LOSSES for loss in losses):
            limit = None  # it may fall below 0
        if self.direction is not None and self.direction != direction:
            direction, limit = self.direction, None
        if direction is None:
            raise ConfigError(
                f"whether more of {metric} is better is not known; write reference.direction: max, or min"
            )
        key = next((key for key in (f"{self.head}_{name}", name) if key in reported), None)
        if key is None:
            found = ", ".join(reported)
            raise ConfigError(
                f"{metric} is not reported as one number; reported are: {found}{did_you_mean(name, reported)}"
            )
        return Target(f"val_{key}", direction == "max", limit)
