"""Validation errors in the words of a person: what was found, what is allowed, the nearest valid name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from qsearch.config.costs import COST_KINDS
from qsearch.config.fields import PlacedError
from qsearch.config.yaml_source import Path, Problem, Source
from qsearch.errors import LONGEST_VALUE, did_you_mean, shown

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "dict": "a section of 'key: value' lines",
    "model": "a section of 'key: value' lines",
}
_KERAS_2 = {"lr": "learning_rate", "decay": "weight_decay"}
"""What old notebooks call an option."""
_BOUNDS = {
    "greater_than": "> {gt}",
    "greater_than_equal": ">= {ge}",
    "less_than": "< {lt}",
    "less_than_equal": "<= {le}",
}


def explain(error: ValidationError, source: Source, root: type[BaseModel]) -> list[Problem]:
    """One located problem per error."""
    return [_problem(detail, source, root) for detail in error.errors(include_url=False)]


def _problem(detail: ErrorDetails, source: Source, root: type[BaseModel]) -> Problem:
    path = _path(detail["loc"], source.data, missing=detail["type"] == "missing")
    if detail["type"] == "extra_forbidden":
        return source.key_problem(path, _unknown_key(str(path[-1]), path, root))
    if detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
        path = (*path, "type")
    error = detail.get("ctx", {}).get("error")
    if isinstance(error, PlacedError):
        path = (*path, *error.path)
        if error.key:
            return source.key_problem(path, str(error))
    return source.problem(path, _text(detail))


def _path(loc: tuple[int | str, ...], data: Any, missing: bool) -> Path:
    """`loc` without the steps that only the validator takes (the chosen member of a union, "[key]")."""
    path: list[int | str] = []
    for index, step in enumerate(loc):
        if isinstance(data, dict) and step not in data and str(step) in data:
            step = str(step)  # a number that the file's keys have as text
        known = step in data if isinstance(data, dict) else isinstance(data, list) and step in range(len(data))
        if known:
            data = data[step]
        elif not (missing and index == len(loc) - 1):
            continue
        path.append(step)
    return tuple(path)


def _text(detail: ErrorDetails) -> str:
    kind, found, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "missing":
        return "is missing, and has no default"
    if kind == "literal_error":
        allowed = _literals(context["expected"])
        near = did_you_mean(found, allowed) if isinstance(found, str) else ""
        return f"found {shown(found)}, allowed: {', '.join(allowed)}{near}"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        allowed = _literals(context["expected_tags"]) if "expected_tags" in context else [*COST_KINDS]
        tag = str(context.get("tag", ""))
        near = did_you_mean(tag, allowed) if tag else ""
        return f"found {shown(tag) if tag else 'nothing'}, allowed: {', '.join(allowed)}{near}"
    if kind == "value_error":
        return str(context["error"])
    if kind in _BOUNDS:
        return f"found {shown(found)}, must be {_BOUNDS[kind].format(**context)}"
    if kind == "finite_number":
        return f"found {found}, expected a finite number"
    if kind == "string_too_short":
        return "found an empty text"
    expected = next((words for name, words in _KINDS.items() if kind.startswith(f"{name}_")), None)
    return f"found {shown(found)}, expected {expected}" if expected else f"found {shown(found)}: {detail['msg']}"


def _unknown_key(key: str, path: Path, root: type[BaseModel]) -> str:
    allowed = _keys_at(path[:-1], root)
    if _KERAS_2.get(key) in allowed:
        near = f"; did you mean {_KERAS_2[key]!r}?"
    else:
        near = _elsewhere(key, allowed, root) or did_you_mean(key, allowed)
    return f"unknown key, allowed: {', '.join(allowed)}{near}"


_ALIKE = 0.8


def _elsewhere(key: str, allowed: Sequence[str], root: type[BaseModel]) -> str:
    """A hint at a key of another section, `stress` of `goal.params`, which is more like it than all of its own."""
    if len(key) > LONGEST_VALUE:
        return ""
    homes = {path[-1]: ".".join(path) for path in reversed([*_paths(root)]) if len(path) > 1}
    found = get_close_matches(key.lower(), homes, n=1, cutoff=_ALIKE)
    if not found or get_close_matches(key.lower(), [*allowed, *found], n=1)[0] in allowed:
        return ""
    return f"; did you mean {homes[found[0]]!r}?"


def _paths(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key, with its sections; none inside of lists."""
    for name, field in model.model_fields.items():
        yield (*above, name)
        inside = field.annotation
        if get_origin(inside) not in (tuple, list):
            for section in _models_in(inside):
                yield from _paths(section, (*above, name))


def _keys_at(path: Path, root: type[BaseModel]) -> list[str]:
    """The keys of the section at `path`, followed through the schema's field types."""
    models = [root]
    for step in path:
        if isinstance(step, int):  # of a list, whose elements are all of the same models
            continue
        fields = [model.model_fields[str(step)] for model in models if str(step) in model.model_fields]
        models = [found for field in fields for found in _models_in(field.annotation)]
    keys = [key for model in models for key in model.model_fields]
    return list(dict.fromkeys(keys))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _literals(expected: str) -> list[str]:
    """`['a', 'b']` from pydantic's "'a', 'b' or 'c'"."""
    return [part.strip().strip("'") for part in expected.replace(" or ", ", ").split(",")]
