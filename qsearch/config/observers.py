"""`run.observers`: who else is told how a run goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, model_validator

from qsearch.config.fields import IMPORT_PATTERN, AsNamed, OrName, PlacedError, Text, is_import_path, spelt
from qsearch.config.names import OBSERVERS
from qsearch.config.section import Section
from qsearch.errors import did_you_mean, shown

_OWN = "arguments"


def _observer(value: Any) -> str:
    if is_import_path(value) or (isinstance(value, str) and value in OBSERVERS):
        return str(value)
    near = did_you_mean(value, OBSERVERS) if isinstance(value, str) else ""
    allowed = f"{', '.join(OBSERVERS)}, or an import path such as 'my_module:MyObserver'"
    raise ValueError(f"found {shown(value)}, allowed: {allowed}{near}")


_WRITTEN = spelt(enum=list(OBSERVERS)) | spelt(pattern=IMPORT_PATTERN)


class ObserverConfig(Section):
    """An observer: one that qsearch has, with its options, or a class of the user's own.

    Attributes:
        tracking_uri, experiment: of mlflow.
        study: of optuna, its name.
        arguments: what a class of the user's own is made with.
    """

    name: Annotated[Text, BeforeValidator(_observer, json_schema_input_type=_WRITTEN)]
    tracking_uri: Text | None = None
    experiment: Text | None = None
    study: Text | None = None
    arguments: Mapping[str, Any] | None = None

    @model_validator(mode="after")
    def _options_of_its_own(self) -> Self:
        allowed = OBSERVERS.get(self.name, (_OWN,))
        for key in self.model_dump(exclude={"name"}, exclude_none=True):
            if key not in allowed:
                raise PlacedError(f"{self.name} has no such option, allowed: {', '.join(allowed) or 'none'}", (key,))
        return self

    def options(self) -> dict[str, str]:
        """What is set of the options of one that qsearch has."""
        return self.model_dump(exclude={"name", _OWN}, exclude_none=True)


Observer = Annotated[ObserverConfig, AsNamed, OrName]
