#!/usr/bin/env python3
"""Write docs/configuration_keys.md from the schema: `scripts/config_keys.py`.

A test holds the page against what this gives. No TensorFlow.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from annotated_types import Ge, Gt, Le, Lt  # noqa: E402
from pydantic import BeforeValidator, PlainValidator  # noqa: E402
from pydantic.fields import FieldInfo  # noqa: E402

from qsearch.config import amounts, chosen, durations, fields, goals, limits, schema  # noqa: E402
from qsearch.config.costs import COUNTED  # noqa: E402
from qsearch.config.descriptions import description  # noqa: E402
from qsearch.config.names import OBSERVERS, OPTIMIZERS  # noqa: E402
from qsearch.config.section import Section  # noqa: E402

PAGE = ROOT / "docs" / "configuration_keys.md"
HEAD = """# All keys of a configuration

This page is made from the schema by `scripts/config_keys.py`, and a test keeps it so; `qsearch schema` prints
the same as a JSON Schema, for editors and other programs.
[configuration.md](configuration.md) explains the keys by example. A key with the default *needed* must be there. One
with *none* may be left out; what then counts (a default of the mode, of Keras' optimizer, of the schedule) is there.
"""
WORDS: tuple[tuple[Any, str], ...] = (
    (fields.Energy, "energy: pJ, or a text as 20nJ"),
    (amounts.StoredBits, "bits, or a text as 100kbit, 12.5kB"),
    (amounts.StoredBytes, "bytes, or a text as 64kB, 62.5KiB, 512kbit"),
    (amounts.Operations, "number, or a text as 5k, 2.5M"),
    (durations.Duration, "time: seconds, or a text as 90s, 10min, 1h30min"),
    (fields.Share, "part: 1% or 0.01"),
    (fields.Fraction, "part: 1% or 0.01"),
    (fields.ImportPath, "import path"),
    (fields.Pattern, "pattern of layer names"),
    (fields.Quantizer, "quantizer"),
    (fields.InFloat32, ""),
    (fields.AutoOrBool, "auto, true, false"),
    (fields.AutoOrCount, "auto, or whole number >= 1 and <= 1,000,000,000"),
    (limits.Bits, "quantizers with their bits: {ternary: 2}"),
    (limits.Limits, "layer classes or patterns: [kernel, bias, activation]"),
    (chosen.Losses, "loss, or one for each head"),
    (chosen.Metric, "metric"),
    (schema.LayerIndexes, "list, or {start: 1, stop: -1}"),
    (schema.Filters, "number, or a list of them"),
    (goals.Widths, "pJ by width: {16: 0.4, 32: 0.9}"),
    (goals.NumberType, "int8, int16, int32, fp16, fp32"),
)
OF_ONE_KEY = {
    ("DatasetConfig", "validation"): "test, given, or a part above 0 and below 1",
    ("ReferenceConfig", "class_weight"): "balanced, or {0: 1.0, 1: 5.0}",
    ("OptimizerConfig", "name"): ", ".join(OPTIMIZERS),
    ("ObserverConfig", "name"): f"{', '.join(OBSERVERS)}, or an import path",
    ("ModelConfig", "use_separable"): "false, dsp, mobilenet",
    ("AugmentConfig", "shift"): "part of the side, or pixels",
    ("DatasetConfig", "augment"): "section, see below; import path of a function or layer; or a list of these",
    ("RunConfig", "output_dir"): "text; when left out, runs/NAME of the file",
    ("EnergyParams", "rate"): "number > 1 and <= 1,000,000,000",
    ("CountedParams", "rate"): "number > 1 and <= 1,000,000,000",
    ("CountedParams", "source_quantizers"): "number type or quantizer, or a list of one for each input",
    ("BitsParams", "rate"): "number > 1 and <= 1,000,000,000",
    ("EnergyParams", "source_quantizers"): "number type or quantizer, or a list of one for each input",
}
OF_GOALS: dict[type[Section], str] = {
    goals.EnergyParams: "energy",
    goals.BitsParams: "bits",
    goals.CountedParams: ", ".join(COUNTED),
}
"""Whose params a section is."""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(line for section, names in _sections() for line in _table(section, names))])


def _sections() -> Iterator[tuple[type[Section], list[str]]]:
    """Each section of the schema once, with every place where it may stand; breadth first."""
    places: dict[type[Section], list[str]] = {schema.Config: [""]}
    waiting: list[type[Section]] = [schema.Config]
    while waiting:
        section = waiting.pop(0)
        for name, hint in get_type_hints(section, include_extras=True).items():
            for inner in _inner(hint) if name in section.model_fields else ():
                if inner not in places:
                    waiting.append(inner)
                where = places.setdefault(inner, [])
                where += [f"{above}.{name}".lstrip(".") for above in places[section]]
    yield from places.items()


def _inner(hint: Any) -> Iterator[type[Section]]:
    if isinstance(hint, type) and get_origin(hint) is None:
        if issubclass(hint, Section):
            yield hint
        return
    for part in get_args(hint):
        yield from _inner(part)


def _table(section: type[Section], names: list[str]) -> Iterator[str]:
    title = " and ".join(f"`{name}`" for name in dict.fromkeys(names)) if names != [""] else "The sections"
    kind = section.model_fields.get("type")
    if kind is not None:
        title += f" with `type: {', '.join(get_args(kind.annotation))}`"
    if section in OF_GOALS:
        title += f" of `type: {OF_GOALS[section]}`"
    yield from (f"## {title}", "", "| key | what it is | default | what it may be |", "|---|---|---|---|")
    hints = get_type_hints(section, include_extras=True)
    for name, field in section.model_fields.items():
        words = OF_ONE_KEY.get((section.__name__, name)) or _words(hints[name])
        said = description(section, name).replace("|", "&#124;")
        yield f"| `{name}` | {said} | {_default(section, field)} | {words.replace('|', '&#124;')} |"
    yield ""


def _default(section: type[Section], field: FieldInfo) -> str:
    if field.is_required():
        return "*needed*"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "*none*"
    if isinstance(value, Section):
        return "`{type: bits}`" if "type" in type(value).model_fields else "its defaults"
    return f"`{_text(value)}`"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, chosen.Chosen):
        return str(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_key(key)}: {_text(inner)}' for key, inner in value.items())}}}"
    return f"{value:g}" if isinstance(value, float) and value != int(value) else str(value)


def _key(key: Any) -> str:
    """As it can be pasted: YAML takes a comma for the next key."""
    return f'"{key}"' if "," in str(key) else str(key)


def _words(hint: Any, metadata: tuple[Any, ...] = ()) -> str:
    for known, words in WORDS:
        if hint == known:
            return words
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _words(parts[0], (*parts[1:], *metadata))
    if fields.AsNamed in metadata:
        return "name, or section, see below"
    for check in metadata:
        allowed = _allowed(check)
        if allowed:
            return allowed
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_words(part) for part in parts if part is not NoneType))
    if origin is Literal:
        return ", ".join(_text(part) for part in parts)
    if origin is tuple:
        if parts[1:] == (...,):
            return f"list of: {_words(parts[0])}"
        return f"{_words(parts[0])}; or [reference, trial]"
    if origin in (dict, Mapping) or hint in (dict, Mapping):
        return "mapping" + (f" of names to: {_words(parts[1])}" if parts and parts[1] is not Any else "")
    return _plain(hint, metadata)


def _plain(hint: Any, metadata: tuple[Any, ...]) -> str:
    if hint is bool:
        return "true, false"
    if hint is str:
        return "text"
    if hint in (int, float):
        return f"{'whole number' if hint is int else 'number'}{_range(metadata)}"
    return "section, see below" if isinstance(hint, type) and issubclass(hint, Section) else "anything"


def _range(metadata: tuple[Any, ...]) -> str:
    bounds = [bound for each in metadata for bound in (each.metadata if isinstance(each, FieldInfo) else (each,))]
    signs = {Ge: ("ge", ">="), Gt: ("gt", ">"), Le: ("le", "<="), Lt: ("lt", "<")}
    said = [
        f"{sign} {getattr(bound, name):,}".removesuffix(".0")
        for kind, (name, sign) in signs.items()
        for bound in bounds
        if isinstance(bound, kind)
    ]
    return f" {' and '.join(said)}" if said else ""


def _allowed(check: Any) -> str:
    """The names that a validator made by `one_of` allows; "" of any other."""
    if not isinstance(check, BeforeValidator | PlainValidator) or not inspect.isfunction(check.func):
        return ""
    found = inspect.getclosurevars(check.func).nonlocals.get("allowed", ())
    return ", ".join(found)


def main() -> int:
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
