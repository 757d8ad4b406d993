"""`target:` and `export:`: the hardware that models are for, and what they are written as."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from qsearch.config.fields import AsNamed, Text, one_of
from qsearch.config.names import TARGETS
from qsearch.config.section import Section


class TargetConfig(Section):
    """A form in which models leave for hardware, with its options; norms: None for what suits it."""

    name: Annotated[Text, BeforeValidator(one_of(TARGETS))]
    options: Mapping[str, Any] = {}
    norms: Literal["scale", "thresholds"] | None = None


class ExportConfig(TargetConfig):
    """What is written as that at the end of a run: the best model, or all of the front as well."""

    models: Literal["best", "front"] = "best"


Target = Annotated[TargetConfig, AsNamed]
Export = Annotated[ExportConfig, AsNamed]
