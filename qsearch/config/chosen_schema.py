"""Losses and metrics as the JSON Schema of a configuration describes them.

A name that is lower-case must be one of the known ones; others may be Keras' class names in any case, which is left to
the reading of the file. Options are held against all options there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from qsearch.config.fields import IMPORT_PATTERN
from qsearch.config.keras_options import CHOICES, SWITCHES, KerasClass

Schema = dict[str, Any]

_OWN: Schema = {"type": "string", "pattern": IMPORT_PATTERN, "description": "of your own: my_module:function"}

_OTHER_SPELLINGS = "^[^:]*([A-Z ][^:]*|io_u)$"
"""Class names, and how Keras spells those of IoU."""


def chosen_schema(names: Iterable[str], classes: Mapping[str, KerasClass]) -> Schema:
    """A loss or a metric: a name, an import path, or a section with one of them and options."""
    known = _names([*names])
    options = sorted({option for one in classes.values() for option in one.options})
    keras = {
        "type": "object",
        "properties": {"name": known, **{option: _option(option) for option in options}},
        "required": ["name"],
        "additionalProperties": False,
    }
    own = {"type": "object", "properties": {"name": _OWN}, "required": ["name"]}
    return {"anyOf": [known, _OWN, keras, own]}


def metric_schema(names: Iterable[str], classes: Mapping[str, KerasClass]) -> Schema:
    """A metric: also a function of all labels and predictions at once."""
    whole = {"type": "object", "properties": {"whole_set": _OWN}, "required": ["whole_set"]}
    return {"anyOf": [*chosen_schema(names, classes)["anyOf"], whole]}


def losses_schema(names: Iterable[str], classes: Mapping[str, KerasClass]) -> Schema:
    """A loss, or one for each head; the loss of a head that is called `name` is a section."""
    loss = chosen_schema(names, classes)
    heads = {
        "type": "object",
        "properties": {"name": {"type": "object"}},
        "additionalProperties": loss,
        "minProperties": 1,
    }
    return {"anyOf": [*loss["anyOf"], heads]}


def _names(names: Sequence[str]) -> Schema:
    return {"anyOf": [{"type": "string", "enum": list(names)}, {"type": "string", "pattern": _OTHER_SPELLINGS}]}


def _option(name: str) -> Schema:
    if name in CHOICES:
        return {"enum": [*CHOICES[name], None]}
    if name in SWITCHES:
        return {"type": ["boolean", "null"]}
    return {}
