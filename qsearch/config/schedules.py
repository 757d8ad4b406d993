"""How the learning rate changes over the epochs: a name, or a mapping with a name and options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeAlias

from pydantic import PlainSerializer, model_validator

from qsearch.config.fields import (
    AsNamed,
    Bool,
    Count,
    Fraction,
    NotNegative,
    OrName,
    PlacedError,
    Positive,
    Text,
    Whole,
    named,
)
from qsearch.config.section import Section
from qsearch.errors import did_you_mean, shown

_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "constant": (),
    "cosine": ("warmup_epochs", "alpha"),
    "exponential": ("decay_rate", "decay_epochs", "staircase"),
    "piecewise": ("boundaries", "values", "factors"),
    "reduce_on_plateau": ("factor", "patience", "min_learning_rate"),
}


class ScheduleConfig(Section):
    """A schedule and its options; those that are None have the default of their schedule.

    Lengths are in epochs. Rates are those of an optimizer at its own `learning_rate`: where a search multiplies it,
    they are multiplied too.

    Attributes:
        alpha: of cosine, the part of the rate that is left at the end.
        decay_rate: of exponential, the factor of the rate every `decay_epochs`.
        boundaries: of piecewise, the numbers of epochs after which the next of `values` (rates) or `factors` counts.
        factor: of reduce_on_plateau, what the rate is multiplied by after `patience` epochs without a lower val_loss.
    """

    name: Annotated[Text, named(tuple(_OPTIONS))] = "constant"
    warmup_epochs: Whole | None = None
    alpha: Fraction | None = None
    decay_rate: Positive | None = None
    decay_epochs: Positive | None = None
    staircase: Bool | None = None
    boundaries: tuple[Count, ...] | None = None
    values: tuple[Positive, ...] | None = None
    factors: tuple[Positive, ...] | None = None
    factor: Positive | None = None
    patience: Count | None = None
    min_learning_rate: NotNegative | None = None

    @model_validator(mode="after")
    def _options_of_its_own(self) -> Self:
        allowed = _OPTIONS[self.name]
        for option in self.options():
            if option not in allowed:
                near = did_you_mean(option, allowed)
                listed = ", ".join(allowed) or "none"
                raise PlacedError(
                    f"{self.name} has no option {shown(option)}, allowed: {listed}{near}", (option,), key=True
                )
        if self.name == "exponential" and self.decay_rate is None:
            raise ValueError("exponential needs the option 'decay_rate', as in {name: exponential, decay_rate: 0.9}")
        if self.name == "piecewise":
            self._check_pieces()
        if self.factor is not None and self.factor >= 1:
            raise PlacedError(f"found {shown(self.factor)}, must be < 1", ("factor",))
        return self

    def _check_pieces(self) -> None:
        example = "{name: piecewise, boundaries: [10, 20], factors: [1, 0.1, 0.01]}"
        if self.boundaries is None or (self.values is None) == (self.factors is None):
            raise ValueError(f"piecewise needs 'boundaries' and either 'values' or 'factors', as in {example}")
        if not self.boundaries or list(self.boundaries) != sorted(set(self.boundaries)):
            raise PlacedError(f"found {list(self.boundaries)}, expected rising numbers of epochs", ("boundaries",))
        key = "values" if self.factors is None else "factors"
        found = len(self.values or self.factors or ())
        if found != len(self.boundaries) + 1:
            raise PlacedError(
                f"found {found}, expected one more than boundaries: {len(self.boundaries) + 1}, as in {example}", (key,)
            )

    def options(self) -> dict[str, Any]:
        """Its options that are given."""
        return self.model_dump(exclude={"name"}, exclude_none=True)

    @property
    def needs_its_epochs(self) -> bool:
        """Whether stopping early would leave out what the schedule is for."""
        return self.name != "constant"


def check_warmup(schedule: ScheduleConfig, epochs: int) -> None:
    """A warm-up must leave something to fall over.

    Raises:
        PlacedError: it does not.
    """
    warmup = schedule.warmup_epochs or 0
    if epochs and warmup >= epochs:
        where = ("learning_rate_schedule", "warmup_epochs")
        raise PlacedError(f"found {warmup}, must be below the number of epochs, {epochs}", where)


def _short(value: ScheduleConfig) -> Any:
    return (
        value.name if not value.options() else {"name": value.name, **value.model_dump(mode="json", exclude_none=True)}
    )


Schedule: TypeAlias = Annotated[ScheduleConfig, AsNamed, OrName, PlainSerializer(_short, return_type=Any)]
