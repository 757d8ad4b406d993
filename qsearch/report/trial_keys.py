"""What can be asked of a trial: the keys that `qsearch trials` shows, sorts and filters by."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from qsearch.config.amounts import operations, stored_bits, stored_bytes
from qsearch.config.costs import COST_KINDS, COUNTED
from qsearch.config.durations import seconds_of
from qsearch.config.fields import picojoules
from qsearch.config.names import METRICS
from qsearch.errors import ConfigError, did_you_mean, shown
from qsearch.plan import LayerPlan, Role
from qsearch.quantizers.spec import parse
from qsearch.report.trial_key_names import NAMES
from qsearch.report.units import bits, cost, count, duration, energy
from qsearch.runs.overview import Overview
from qsearch.search.trials import AnyTrial, SkippedTrial, Trial

Value = str | float | int | bool | None
"""None of what a trial does not have: a failed one has no score."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How values of one kind are read and shown.

    Attributes:
        read: a text of the command line as such a value; raises ValueError or ConfigError.
        show: for people.
        unit: of the values themselves, as names of columns end: "pj", "s"; "" for none.
        is_text: whether it has no order.
    """

    read: Callable[[str], Value]
    show: Callable[[Value], str] = str
    unit: str = ""
    is_text: bool = False


@dataclass(frozen=True, kw_only=True)
class Key:
    """One thing to ask.

    Attributes:
        heading: of its column, for people.
        value: of a trial of a run.
        falls: whether the greatest value comes first.
    """

    name: str
    heading: str
    kind: Kind
    value: Callable[[AnyTrial, Overview], Value]
    falls: bool = False

    def shown(self, trial: AnyTrial, run: Overview) -> str:
        """The value for people."""
        value = self.value(trial, run)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return "-"
        return self.kind.show(value)

    @property
    def column(self) -> str:
        """Its name in CSV, which has no units beside figures."""
        return f"{self.name}_{self.kind.unit}" if self.kind.unit else self.name


def _real(text: str) -> float:
    share = text.endswith("%")
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        raise ValueError("expected a number") from None
    return number / 100 if share else number


def _number_or(read: Callable[[str], float]) -> Callable[[str], float]:
    """A bare number is in the unit of the key."""

    def either(text: str) -> float:
        try:
            return float(text)
        except ValueError:
            return read(text)

    return either


def _yes(text: str) -> bool:
    if text.lower() not in ("yes", "no", "true", "false"):
        raise ValueError("expected yes or no")
    return text.lower() in ("yes", "true")


WHOLE = Kind(read=_real, show=lambda value: f"{value:,}")
REAL = Kind(read=_real, show=lambda value: f"{value:.4f}")
FACTOR = Kind(read=_real, show=lambda value: f"{value:.4g}")
ENERGY = Kind(read=_number_or(picojoules), show=lambda value: energy(_float(value)), unit="pj")
BITS = Kind(read=_number_or(stored_bits), show=lambda value: bits(_float(value)), unit="bits")
BYTES = Kind(read=_number_or(stored_bytes), show=lambda value: cost(_float(value), "bytes"), unit="bytes")
OPERATIONS = Kind(read=_number_or(operations), show=lambda value: count(_float(value)))
_OF_UNITS = {"pJ": ENERGY, "bits": BITS, "bytes": BYTES}
SECONDS = Kind(read=_number_or(seconds_of), show=lambda value: _time(_float(value)), unit="s")
TEXT = Kind(read=lambda text: text, is_text=True)
FLAG = Kind(read=_yes, show=lambda value: "yes" if value else "no", is_text=True)
QUANTIZER = Kind(read=lambda text: _canonical(text), is_text=True)


def _time(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 9.95 else duration(seconds)


def _float(value: Value) -> float:
    assert isinstance(value, int | float)
    return value


def _canonical(text: str) -> str:
    try:
        return str(parse(text))
    except ConfigError:
        return text


def _of_completed(ask: Callable[[Trial], Value]) -> Callable[[AnyTrial, Overview], Value]:
    return lambda trial, run: ask(trial) if isinstance(trial, Trial) else None


def _energy(trial: AnyTrial, run: Overview) -> Value:
    if isinstance(trial, Trial):
        return trial.price.energy
    return trial.energy if isinstance(trial, SkippedTrial) else None


def _reason(trial: AnyTrial, run: Overview) -> Value:
    return trial.trained.stopped if isinstance(trial, Trial) else trial.reason


def _same_as(trial: AnyTrial, run: Overview) -> Value:
    return trial.same_as if isinstance(trial, SkippedTrial) else None


def _bound(trial: AnyTrial, run: Overview) -> Value:
    return trial.bound if isinstance(trial, SkippedTrial) else None


def _of_cost(name: str) -> Key:
    """Of a cost that budgets and goals know by name."""
    kind = _OF_UNITS.get(COST_KINDS[name].unit, OPERATIONS)
    return Key(name=name, heading=name, kind=kind, value=lambda trial, run: run.spent(trial, name))


_KEYS = (
    Key(name="number", heading="trial", kind=WHOLE, value=lambda trial, run: trial.number),
    Key(
        name="status",
        heading="status",
        kind=TEXT,
        value=lambda trial, run: trial.status,
    ),
    Key(name="block", heading="block", kind=WHOLE, value=lambda trial, run: trial.block),
    Key(
        name="score",
        heading="score",
        kind=REAL,
        value=_of_completed(lambda trial: trial.score),
        falls=True,
    ),
    Key(
        name="metric",
        heading="metric",
        kind=REAL,
        value=_of_completed(lambda trial: trial.metric),
    ),
    Key(name="energy", heading="energy", kind=ENERGY, value=_energy),
    Key(
        name="cost",
        heading="cost",
        kind=ENERGY,
        value=_of_completed(lambda trial: trial.price.cost),
    ),
    *(_of_cost(name) for name in COUNTED),
    Key(
        name="ratio",
        heading="times less",
        kind=FACTOR,
        value=lambda trial, run: run.ratio(trial),
        falls=True,
    ),
    Key(
        name="delta",
        heading="delta",
        kind=REAL,
        value=_of_completed(lambda trial: trial.price.delta),
        falls=True,
    ),
    Key(
        name="accepted",
        heading="accepted",
        kind=FLAG,
        value=_of_completed(lambda trial: trial.accepted),
    ),
    Key(
        name="role",
        heading="role",
        kind=TEXT,
        value=lambda trial, run: ", ".join(run.roles.get(trial.number, ())) or None,
    ),
    Key(
        name="time",
        heading="time",
        kind=SECONDS,
        value=lambda trial, run: trial.seconds,
    ),
    Key(
        name="epochs",
        heading="epochs",
        kind=WHOLE,
        value=_of_completed(lambda trial: trial.trained.epochs),
    ),
    Key(
        name="best_epoch",
        heading="best epoch",
        kind=WHOLE,
        value=_of_completed(lambda trial: trial.trained.best_epoch),
    ),
    Key(
        name="parent",
        heading="parent",
        kind=WHOLE,
        value=lambda trial, run: trial.proposal.parent,
    ),
    Key(name="same_as", heading="same as", kind=WHOLE, value=_same_as),
    Key(name="bound", heading="bound", kind=REAL, value=_bound),
    Key(name="reason", heading="reason", kind=TEXT, value=_reason),
)
_ALIASES = {"id": "number", "trial": "number", "seconds": "time", "bits": "cost", "roles": "role"}


def key_named(name: str, run: Overview, option: str) -> Key:
    """A key of a run: one of `NAMES`, a metric that was measured, or LAYER.ROLE of the plan.

    Args:
        option: where it is named, for messages.

    Raises:
        ConfigError: there is none of that name.
    """
    own = {key.name: key for key in _KEYS}
    if name == "bits" and run.unit != "bits" and "bits" in run.config.run.budget.further:
        return _of_cost(name)
    metrics = _metrics(run)
    found = own.get(name if name in metrics else _ALIASES.get(name, name))
    if found is not None:
        return _of_run(found, run)
    if name in metrics:
        return _of_metric(name, run)
    layer, dot, part = name.rpartition(".")
    layers = {each for trial in run.trials for each in trial.plan}
    parts = [*(role.value for role in Role), "filters"]
    if dot and layer in layers and part in parts:
        return _of_plan(name, layer, part)
    allowed = [*NAMES, *metrics]
    if dot:
        near = did_you_mean(part, parts) if layer in layers else did_you_mean(layer, layers)
    else:
        near = did_you_mean(name, allowed)
    raise ConfigError(
        f"{option}: unknown key {shown(name)}{near}; allowed: {', '.join(allowed)}, or LAYER.ROLE such as "
        "conv2d_0.kernel"
    )


def _metrics(run: Overview) -> list[str]:
    """In the order of training's report; loss, too."""
    return list(dict.fromkeys(name for trial in run.trials if isinstance(trial, Trial) for name in trial.metrics))


def _of_run(key: Key, run: Overview) -> Key:
    """With the headings and units of a run."""
    if key.name == "metric":
        return replace(key, heading=run.target.name, falls=run.target.maximize)
    if key.name == "cost":
        kind = _OF_UNITS.get(run.unit, OPERATIONS)
        return key if kind is ENERGY else replace(key, kind=kind, heading=run.config.goal.type)
    return key


def _of_metric(name: str, run: Overview) -> Key:
    direction, _ = METRICS.get(name.removeprefix("val_"), ("min" if name.endswith("loss") else "max", None))
    rises = not run.target.maximize if name == run.target.name else direction == "min"
    return Key(
        name=name,
        heading=name,
        kind=REAL,
        value=_of_completed(lambda trial: trial.metrics.get(name)),
        falls=not rises,
    )


def _of_plan(name: str, layer: str, part: str) -> Key:
    def chosen(trial: AnyTrial, run: Overview) -> Value:
        plan: LayerPlan | None = trial.plan.get(layer)
        value = None if plan is None else plan.to_dict().get(part)
        return value if value is None or isinstance(value, int) else str(value)

    kind = WHOLE if part == "filters" else QUANTIZER
    return Key(name=name, heading=name, kind=kind, value=chosen)
