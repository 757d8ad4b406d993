"""Which trials are shown, and in which order: conditions such as `energy<5nJ`, a key to sort by, the first few."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qsearch.errors import ConfigError, shown
from qsearch.report.trial_keys import Key, Value, key_named
from qsearch.runs.overview import Overview
from qsearch.search.trials import AnyTrial, Trial

_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
_CONDITION = re.compile(r"\s*(?P<key>[^<>=!]+?)\s*(?P<operator><=|>=|!=|==|<|>|=)\s*(?P<value>.*?)\s*", re.DOTALL)
_EXAMPLES = "energy<5nJ, 'metric>=0.95', status=failed or block=2"


@dataclass(frozen=True)
class Condition:
    """What a trial must be like. One without such a value is neither less nor more, but another text it is."""

    key: Key
    holds: Callable[[Any, Any], bool]
    value: Value

    def __call__(self, trial: AnyTrial, run: Overview) -> bool:
        found = self.key.value(trial, run)
        if found is None:
            return self.key.kind.is_text and self.holds is operator.ne
        if self.key.name == "role":  # of several, any counts
            parts = str(found).split(", ")
            return (self.value in parts) == (self.holds is operator.eq)
        return self.holds(found, self.value)


def condition(text: str, run: Overview) -> Condition:
    """A condition as people write it: KEY, one of < <= > >= = !=, and a value in the units of configurations.

    Raises:
        ConfigError: it has another form, an unknown key, or a value that the key cannot have.
    """
    option = f"--where {shown(text)}"
    match = _CONDITION.fullmatch(text)
    if match is None or not match["value"]:
        raise ConfigError(f"{option}: expected KEY, one of < <= > >= = !=, and a value, as in {_EXAMPLES}")
    key = key_named(match["key"], run, option)
    compares = _OPERATORS[match["operator"]]
    if key.kind.is_text and compares not in (operator.eq, operator.ne):
        raise ConfigError(f"{option}: {key.name} is a text; use = or !=")
    try:
        return Condition(key, compares, key.kind.read(match["value"]))
    except ValueError as error:
        reason = str(error)
        found = "" if reason.startswith("found ") else f"found {shown(match['value'])}, "
        raise ConfigError(f"{option}: {found}{reason}") from None


def chosen(
    run: Overview,
    where: Sequence[str] = (),
    sort: str | None = None,
    reverse: bool = False,
    top: int | None = None,
) -> tuple[AnyTrial, ...]:
    """The trials of a run that keep to all conditions, in order.

    Args:
        sort: a key, the best first: the greatest score, the least energy; "-KEY" turns the order. Trials without it
            come last. None for their numbers, or by rank where only the first few are wanted; of blocks, those of
            the last one come first then, as scores of others look ahead.
        reverse: turn the order.
        top: the first so many.

    Raises:
        ConfigError: see `condition` and `key_named`.
    """
    conditions = [condition(text, run) for text in where]
    found = [trial for trial in run.trials if all(holds(trial, run) for holds in conditions)]
    if sort is None and top is not None:
        last = {trial.number for trial in run.comparable}
        ranked = sorted(found, key=lambda trial: (trial.number in last, *_rank(trial, run)), reverse=True)
        found = ranked[::-1] if reverse else ranked
    else:
        turned = sort is not None and sort.startswith("-")
        key = key_named("number" if sort is None else sort.removeprefix("-"), run, f"--sort {sort}")
        found = _sorted(found, key, run, key.falls != (turned != reverse))
    return tuple(found[:top])


def _rank(trial: AnyTrial, run: Overview) -> tuple[bool, bool, float]:
    """As the search ranks them: those that were trained first."""
    if not isinstance(trial, Trial) or math.isnan(trial.score):
        return (False, False, -trial.number)
    return (True, *trial.rank(run.target))


def _sorted(trials: Sequence[AnyTrial], key: Key, run: Overview, falls: bool) -> list[AnyTrial]:
    values = {trial.number: key.value(trial, run) for trial in trials}
    known = [trial for trial in trials if _is_there(values[trial.number])]
    unknown = [trial for trial in trials if not _is_there(values[trial.number])]
    return [*sorted(known, key=lambda trial: _ordered(values[trial.number]), reverse=falls), *unknown]


def _ordered(value: Value) -> Any:
    return value


def _is_there(value: Value) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))
