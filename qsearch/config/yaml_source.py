"""What a file says, and the place of every key and value in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qsearch.errors import ConfigError, Located, printable, shown

Key = str | int
Path = tuple[Key, ...]
"""Where a value stands: `("limit", "Conv2D", 0)`."""


@dataclass(frozen=True)
class Place:
    """A place a person can go to: a file with line and column (from 1), or a command-line option."""

    source: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a file; as text, `file:line:column: key: what`."""

    place: Place
    path: Path
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {dotted(self.path) or 'file'}: {self.text}"

    @property
    def located(self) -> Located:
        """The same in parts."""
        place = self.place
        return Located(source=place.source, line=place.line, column=place.column, key=dotted(self.path), text=self.text)

    @property
    def error(self) -> ConfigError:
        """The error that tells it."""
        return ConfigError(str(self), (self.located,))


@dataclass(frozen=True, kw_only=True)
class Source:
    """The data of a file, and where each value and each key of it stands."""

    name: str
    data: Any
    places: Mapping[Path, Place] = field(default_factory=dict)
    keys: Mapping[Path, Place] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def place(self, path: Path) -> Place:
        """The place of the value at `path`, or of the nearest enclosing one that the file has."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.places:
                return self.places[path[:end]]
        return Place(self.name)

    def problem(self, path: Path, text: str) -> Problem:
        """What is wrong with the value at `path`."""
        return Problem(self.place(path), path, text)

    def key_problem(self, path: Path, text: str) -> Problem:
        """What is wrong with the key itself."""
        return Problem(self.keys.get(path, self.place(path)), path, text)


def dotted(path: Path) -> str:
    """`limit.Conv2D[0]` for `("limit", "Conv2D", 0)`."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{_key(key)}" if text else _key(key)
    return text


def _key(key: str) -> str:
    """A key on one line, cut."""
    return printable(key, _LONGEST_KEY) if "\n" not in key else shown(key, _LONGEST_KEY)


_LONGEST_KEY = 100
