"""Losses and metrics in a configuration: a name, or a mapping with a name and the options of its class."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Annotated, Any, TypeAlias

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from qsearch.config import bounds
from qsearch.config.chosen_schema import losses_schema, metric_schema
from qsearch.config.fields import PlacedError, is_import_path, one_of
from qsearch.config.keras_options import (
    AXES,
    CHOICES,
    CLASS_NUMBERS,
    COUNTS,
    LISTS,
    LOSS_CLASSES,
    METRIC_CLASSES,
    NUMBERS,
    POSITIVE,
    SHARES,
    SHORT,
    SWITCHES,
    WHOLE,
    KerasClass,
)
from qsearch.config.names import LOSSES, METRICS
from qsearch.errors import did_you_mean, printable, shown

_WHOLE_SET = "whole_set"


@dataclass(frozen=True)
class Chosen:
    """A loss or a metric.

    Attributes:
        name: Keras' name of it, or an import path.
        options: what its class is made with, or its function is called with; empty for Keras' defaults.
        whole_set: a function of all labels and predictions at once, not of batches.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    whole_set: bool = False

    @property
    def custom(self) -> bool:
        """Whether it is of the user's own."""
        return ":" in self.name

    @property
    def ignored(self) -> int | None:
        """The class number that it leaves out."""
        label = self.options.get("ignore_class")
        return label if isinstance(label, int) else None

    @property
    def meaning(self) -> str:
        """A text that all spellings of the same loss or metric share, and no other one has."""
        return repr((SHORT.get(self.name, self.name), sorted(self.options.items()), self.whole_set))

    def same_as(self, other: Chosen) -> bool:
        """Whether both are the same, by any of its names."""
        return self.meaning == other.meaning

    @property
    def plain(self) -> Any:
        """As a file has it."""
        if self.whole_set:
            return {_WHOLE_SET: self.name, **self.options}
        return {"name": self.name, **self.options} if self.options else self.name

    def __str__(self) -> str:
        return self.name


def _squashed(name: str) -> str:
    return re.sub(r"[_\s]", "", name).lower()


def _keras_name(value: Any, names: Sequence[str], classes: Mapping[str, KerasClass]) -> str:
    """The name in the tables of a name, a class name, or Keras' spelling of it (mean_io_u)."""
    if isinstance(value, str) and value not in names:
        spelt = {_squashed(name): name for name in reversed(names)}
        spelt |= {_squashed(known.class_name): name for name, known in classes.items()}
        value = spelt.get(_squashed(value), value)
    return one_of(names)(value)


def _chosen(value: Any, names: Sequence[str], classes: Mapping[str, KerasClass]) -> Chosen:
    if isinstance(value, Chosen):
        return value
    given = dict(value) if isinstance(value, Mapping) else {"name": value}
    whole = given.pop("whole_set", None)
    if isinstance(whole, str) and "name" not in given:
        if not is_import_path(whole):
            raise PlacedError(
                f"found {shown(whole)}, expected an import path such as 'my_module:function'", (_WHOLE_SET,)
            )
        given["name"], whole = whole, True
    if whole not in (None, True, False):
        raise PlacedError(f"found {shown(whole)}, expected an import path such as 'my_module:function'", (_WHOLE_SET,))
    name, options = given.pop("name", None), given
    if name is None:
        near = did_you_mean(str(next(iter(given), "")), ("name", _WHOLE_SET))
        raise ValueError(f"found no 'name', expected one and the options of its class{near}")
    if is_import_path(name):
        return Chosen(name, options, bool(whole))
    try:
        known = _keras_name(name, names, classes)
        if whole:
            raise ValueError(f"found {shown(name)}, expected an import path such as 'my_module:function'")
    except ValueError as error:
        raise PlacedError(str(error), ("name",) if isinstance(value, Mapping) else ()) from None
    return Chosen(known, _options(known, options, classes))


def _options(name: str, options: Mapping[str, Any], classes: Mapping[str, KerasClass]) -> dict[str, Any]:
    """Options of a Keras class, checked; those that are null are its defaults."""
    known = classes.get(SHORT.get(name, name), KerasClass(""))
    for option, value in options.items():
        if option not in known.options:
            allowed = ", ".join(known.options) or "none"
            raise PlacedError(
                f"{name} has no option {shown(option)}, allowed: {allowed}{did_you_mean(option, known.options)}",
                (option,),
                key=True,
            )
        wrong = _wrong(option, value)
        if wrong is not None:
            raise PlacedError(wrong, (option,))
    for option in known.required if options or known.required else ():
        if options.get(option) is None:
            example = ", ".join(f"{one}: {_EXAMPLES.get(one, 0.9)}" for one in known.required)
            raise ValueError(f"{name} needs the option {shown(option)}, as in {{name: {name}, {example}}}")
    return {option: value for option, value in options.items() if value is not None}


_EXAMPLES: Mapping[str, Any] = {"num_classes": 3, "target_class_ids": [1]}


def _wrong(option: str, value: Any) -> str | None:
    """Why an option cannot have a value."""
    if option in CHOICES:
        if value is None and option in ("average", "class_aggregation"):
            each = "class" if option == "average" else "output"
            return f"null gives one value per {each}, expected one number: {option}: {CHOICES[option][0]}"
        if value is not None and value not in CHOICES[option]:
            near = did_you_mean(value, CHOICES[option]) if isinstance(value, str) else ""
            return f"found {shown(value)}, allowed: {', '.join(CHOICES[option])}{near}"
    if value is None:
        return None
    if option in SWITCHES and not isinstance(value, bool):
        return f"found {shown(value)}, expected true or false"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if option in WHOLE and (not number or isinstance(value, float)):
        return f"found {shown(value)}, expected a whole number"
    if option in COUNTS and (not number or isinstance(value, float) or value < COUNTS[option]):
        return f"found {shown(value)}, expected a whole number >= {COUNTS[option]}"
    if option in COUNTS and value > bounds.TABLE:
        return f"found {shown(value)}, must be <= {bounds.TABLE}"
    if option in SHARES and (not number or not 0 <= value <= 1):
        return f"found {shown(value)}, expected a number from 0 to 1"
    if option in LISTS and not _is_list(value, LISTS[option]):
        return f"found {shown(value)}, expected {LISTS[option]}"
    if option in AXES and not all(_is_whole(each) for each in (value if isinstance(value, list) else [value])):
        return f"found {shown(value)}, expected a whole number, as -1 for the last axis"
    if option in POSITIVE and (not number or not value > 0):
        return f"found {shown(value)}, expected a number > 0"
    return None


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_list(value: Any, expected: str) -> bool:
    """Whether a value is what one of the texts of LISTS says."""
    if expected == CLASS_NUMBERS:
        return isinstance(value, list | tuple) and bool(value) and all(_is_whole(each) and each >= 0 for each in value)
    numbers = value if isinstance(value, list | tuple) else [value]
    real = all(isinstance(each, int | float) and not isinstance(each, bool) for each in numbers)
    if expected == NUMBERS:
        return isinstance(value, list | tuple) and bool(numbers) and real and all(0 <= each < inf for each in numbers)
    return bool(numbers) and real and all(0 <= each <= 1 for each in numbers)


def _loss(value: Any) -> Any:
    """One loss, or one for each head.

    A mapping whose `name` is a text is a loss with options; where a head itself is called `name`, its loss is written
    as a mapping.
    """
    if isinstance(value, list | tuple):
        raise ValueError("found a list, expected one loss, or one for each head by its name: {kind: mse, other: mae}")
    if not isinstance(value, Mapping) or isinstance(value.get("name"), str):
        try:
            return _chosen(value, LOSSES, LOSS_CLASSES)
        except PlacedError as error:
            if error.key and "has no option" in str(error):
                hint = "; if it is a head, and one is called 'name', write that one's loss as {name: {name: ...}}"
                if isinstance(value[error.path[0]], str | Mapping):
                    raise PlacedError(f"{error}{hint}", error.path, key=True) from None
            raise
    losses = {}
    for head, loss in value.items():
        if not isinstance(loss, str | Mapping | Chosen):
            raise PlacedError(
                f"found {shown(loss)}, expected a loss for each head; a loss with options is "
                f"{{name: ..., {printable(str(head), 100)}: {printable(str(loss), 100)}}}",
                (str(head),),
            )
        try:
            losses[str(head)] = _chosen(loss, LOSSES, LOSS_CLASSES)
        except ValueError as error:
            raise PlacedError.below(str(head), error) from None
    if not losses:
        raise ValueError("found no loss, expected one for each head")
    return losses


def _metric(value: Any) -> Chosen:
    return _chosen(value, tuple(METRICS), METRIC_CLASSES)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        # a head called `name` must not look like the name of a loss
        forced = "name" in value
        return {head: {"name": loss.name, **loss.options} if forced else _plain(loss) for head, loss in value.items()}
    return value.plain if isinstance(value, Chosen) else value


_WrittenLosses = Annotated[Any, WithJsonSchema(losses_schema(LOSSES, LOSS_CLASSES))]
_WrittenMetric = Annotated[Any, WithJsonSchema(metric_schema(METRICS, METRIC_CLASSES))]
Losses: TypeAlias = Annotated[
    Chosen | Mapping[str, Chosen],
    PlainValidator(_loss, json_schema_input_type=_WrittenLosses),
    PlainSerializer(_plain, return_type=Any),
]
Metric: TypeAlias = Annotated[
    Chosen, PlainValidator(_metric, json_schema_input_type=_WrittenMetric), PlainSerializer(_plain, return_type=Any)
]
