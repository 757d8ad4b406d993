"""Changes of training samples in a configuration."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Discriminator, Field, PlainValidator, Tag, model_validator

from qsearch.config import bounds
from qsearch.config.fields import ImportPath, Side
from qsearch.config.section import Section
from qsearch.errors import shown


def _shift(value: Any) -> float | int:
    whole = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= bounds.SIDE
    if whole or (isinstance(value, float) and 0 < value < 1):
        return value  # type: ignore[no-any-return]
    raise ValueError(
        f"found {shown(value)}, expected a part of the image's side between 0 and 1, or a number of pixels"
    )


_WrittenShift = Annotated[float, Field(gt=0, lt=1)] | Side


class AugmentConfig(Section):
    """Random moves of images, drawn for each sample anew; what comes in at the border repeats the border.

    Attributes:
        flip: along which axis, half of the samples.
        shift: the most, along both axes: a part of the side, or pixels.
        crop: pad by so many pixels on every side and cut the size out again.
    """

    flip: Literal["horizontal", "vertical", "both"] | None = None
    shift: Annotated[float | int, PlainValidator(_shift, json_schema_input_type=_WrittenShift)] | None = None
    crop: Side | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.flip is None and self.shift is None and self.crop is None:
            raise ValueError("found none, expected one or more of: flip, shift, crop")
        return self


_Step: TypeAlias = Annotated[
    Annotated[AugmentConfig, Tag("moves")] | Annotated[ImportPath, Tag("function")],
    Discriminator(lambda value: "moves" if isinstance(value, dict | AugmentConfig) else "function"),
]


def _tag(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "steps"
    return "moves" if isinstance(value, dict | AugmentConfig) else "function"


Augment: TypeAlias = Annotated[
    Annotated[AugmentConfig, Tag("moves")]
    | Annotated[ImportPath, Tag("function")]
    | Annotated[tuple[_Step, ...], Tag("steps")],
    Discriminator(_tag),
]
