"""Optimizers in a configuration: a name, or a mapping with a name and options."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, Strict, model_validator

from qsearch.config import bounds
from qsearch.config.fields import (
    AsNamed,
    Bool,
    Count,
    Decay,
    Momentum,
    NotNegative,
    OrName,
    PlacedError,
    Positive,
    Real,
    Text,
    is_import_path,
    named,
    one_of,
)
from qsearch.config.names import OPTIMIZERS
from qsearch.config.section import Section
from qsearch.errors import shown


def _name(value: Any) -> str:
    """A name in any case, as Keras takes it: AdamW is a class, adamw its name."""
    if is_import_path(value):
        raise ValueError(
            f"found {shown(value)}, expected the name of one of Keras' optimizers: {', '.join(OPTIMIZERS)}; one of "
            "your own would have to be made anew for every trial"
        )
    known = isinstance(value, str) and value.lower() in OPTIMIZERS
    return value.lower() if known else one_of(tuple(OPTIMIZERS))(value)


class OptimizerConfig(Section):
    """One of Keras' optimizers; options that are None have its defaults."""

    name: Annotated[Text, named((*OPTIMIZERS,), _name, any_case=True)] = "adam"
    learning_rate: Positive = 0.001
    weight_decay: NotNegative | None = None
    clipnorm: Positive | None = None
    global_clipnorm: Positive | None = None
    clipvalue: Positive | None = None
    beta_1: Decay | None = None
    beta_2: Decay | None = None
    epsilon: Positive | None = None
    amsgrad: Bool | None = None
    momentum: Momentum | None = None
    nesterov: Bool | None = None
    rho: Decay | None = None
    centered: Bool | None = None
    initial_accumulator_value: NotNegative | None = None
    use_ema: Bool | None = None
    """Judge and keep moving averages of the weights."""
    ema_momentum: Decay | None = None
    ema_overwrite_frequency: Count | None = None
    loss_scale_factor: Annotated[Positive, Field(le=bounds.FACTOR)] | None = None
    gradient_accumulation_steps: Annotated[int, Strict(), Field(ge=2, le=bounds.COUNT)] | None = None
    beta_2_decay: Annotated[Real, Field(ge=-10, lt=0)] | None = None
    epsilon_1: Positive | None = None
    epsilon_2: Positive | None = None
    clip_threshold: Positive | None = None
    relative_step: Bool | None = None

    @model_validator(mode="after")
    def _options_of_its_own(self) -> Self:
        allowed = OPTIMIZERS[self.name]
        for option in self.options():
            if option not in allowed:
                raise ValueError(f"{self.name} has no option '{option}', allowed: {', '.join(allowed)}")
        clips = [option for option in ("clipnorm", "global_clipnorm", "clipvalue") if getattr(self, option) is not None]
        if len(clips) > 1:
            raise ValueError(f"found {' and '.join(clips)}, expected at most one of them")
        shrink = (self.weight_decay or 0.0) * self.learning_rate
        if shrink >= 1:
            text = f"found {shown(self.weight_decay)}; times learning_rate it is what each step takes of every weight"
            raise PlacedError(f"{text}, {shrink:.3g}, must be below 1", ("weight_decay",))
        for option in ("ema_momentum", "ema_overwrite_frequency"):
            if getattr(self, option) is not None and not self.use_ema:
                raise ValueError(f"{option} is for use_ema: true")
        return self

    def options(self) -> dict[str, Any]:
        """What the optimizer is made with, its name aside."""
        return self.model_dump(exclude={"name"}, exclude_none=True)


Optimizer = Annotated[OptimizerConfig, AsNamed, OrName]
