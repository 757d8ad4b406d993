"""`--set KEY=VALUE` and the like: values of a command line in place of a file's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from qsearch.config import bounds
from qsearch.config.yaml_reader import parse_source, wrong_character
from qsearch.config.yaml_source import Path, Place, Source, dotted
from qsearch.errors import ConfigError, printable, shown


def overridden(source: Source, overrides: Sequence[str]) -> Source:
    """The source with each `KEY=VALUE`; a value is YAML, as in a file.

    Raises:
        ConfigError: a text of another form, a value that is not YAML, or a key inside of what is no section.
    """
    for text in overrides:
        dotted_key, equals, value_text = text.partition("=")
        keys = tuple(dotted_key.strip().split("."))
        if not equals or not all(keys):
            raise ConfigError(f"--set {shown(text)}: expected KEY=VALUE, e.g. --set run.max_trials=3")
        if len(keys) > bounds.DEPTH:
            raise ConfigError(f"--set {shown(text)}: found {len(keys)} keys inside each other, allowed: {bounds.DEPTH}")
        called = f"--set {_in_a_line(dotted_key.strip())}"
        parsed = parse_source(value_text.strip() or "null", called, "found no value")
        # A mistake inside of the value is told with the option, as the file's are with the file.
        told = tuple(replace(problem, path=(*keys, *problem.path)) for problem in parsed.problems)
        source = _placed(source, keys, parsed.data, f"--set {_in_a_line(text)}", shown(text))
        source = replace(source, problems=(*source.problems, *told))
    return source


_LONGEST = 200


def _in_a_line(text: str) -> str:
    return printable(text.replace("\n", r"\n"), _LONGEST)


def given(source: Source, keys: tuple[str, ...], text: str, option: str) -> Source:
    """The source with the text of an option of its own, which is no YAML, at `keys`.

    Raises:
        ConfigError: a character that no name has, or a key inside of what is no section.
    """
    if problem := wrong_character(text):
        raise ConfigError(f"{option}: {dotted(keys)}: {problem}")
    if len(text) > bounds.TEXT_CHARACTERS:
        problem = f"found a text of {len(text):,} characters, allowed: {bounds.TEXT_CHARACTERS:,}"
        raise ConfigError(f"{option}: {dotted(keys)}: {problem}")
    return _placed(source, keys, text, f"{option} {_in_a_line(text)}", shown(text))


def _placed(source: Source, keys: tuple[str, ...], value: Any, option: str, text: str) -> Source:
    data = _with(source.data, keys, value, f"{option.partition(' ')[0]} {text}")
    places = {path: place for path, place in source.places.items() if path[: len(keys)] != keys}
    places[keys] = Place(option)
    marks = {path: place for path, place in source.keys.items() if path[: len(keys)] != keys}
    for end in range(1, len(keys) + 1):  # sections that the file does not have
        places.setdefault(keys[:end], Place(option))
        marks.setdefault(keys[:end], Place(option))
    return replace(source, data=data, places=places, keys=marks)


def _with(data: Any, keys: Path, value: Any, text: str, above: Path = ()) -> Any:
    """`data` with the value at `keys` changed; sections that are not there yet are made."""
    if not keys:
        return value
    if not isinstance(data, Mapping):
        raise ConfigError(
            f"{text}: {dotted(above) or 'the file'} holds {shown(data)}, and no section to set {shown(keys[0])} in"
        )
    below = data.get(keys[0])
    return {**data, keys[0]: _with({} if below is None else below, keys[1:], value, text, (*above, keys[0]))}
