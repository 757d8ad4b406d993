"""`target:` and `export:`: the hardware that models are for, and what they are written as."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from qsearch.config.fields import AsNamed, OrName, Text, named, one_of
from qsearch.config.names import TARGET_ALIASES, TARGETS
from qsearch.config.section import Section


def _target(value: Any) -> str:
    return one_of(TARGETS)(TARGET_ALIASES.get(value, value) if isinstance(value, str) else value)


class TargetConfig(Section):
    """A form in which models leave for hardware, with its options; norms: None for what suits it."""

    name: Annotated[Text, named((*TARGETS, *TARGET_ALIASES), _target)]
    options: Mapping[str, Any] = {}
    norms: Literal["scale", "thresholds"] | None = None


class ExportConfig(TargetConfig):
    """What is written as that at the end of a run: the best model, or all of the front as well.

    softmax: whether files drop a softmax or sigmoid at an output, or keep it.
    """

    models: Literal["best", "front"] = "best"
    softmax: Literal["drop", "keep"] = "drop"


Target = Annotated[TargetConfig, AsNamed, OrName]
Export = Annotated[ExportConfig, AsNamed, OrName]
