"""YAML text -> plain data plus the place of every key and value in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml

from qsearch.errors import ConfigError

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


@dataclass(frozen=True)
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
    shown = ""
    for key in path:
        shown += f"[{key}]" if isinstance(key, int) else f".{key}" if shown else key
    return shown


class _Loader(yaml.SafeLoader):
    """YAML as people write it in this field: `1e-3` is a number, a pasted Python `None` is null."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d[\d_]*)(?:\.\d*)?[eE][-+]?\d+$"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^None$"), ["N"])


def read_source(path: FilePath) -> Source:
    """Read a YAML file.

    Raises:
        ConfigError: the file is missing, unreadable, not UTF-8, or not YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = sorted(other.name for other in path.parent.glob("*.y*ml")) if path.parent.is_dir() else []
        listed = f"; configurations in {path.parent}: {', '.join(near)}" if near else ""
        raise ConfigError(f"{path}: no such file{listed}") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder; name a YAML file in it") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: is not a text file (UTF-8): byte {error.start} is {error.object[error.start]:#04x}"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    return parse_source(text, str(path))


def parse_source(text: str, name: str) -> Source:
    """The source in `text`; `name` stands for it in messages."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise ConfigError(f"{name}:1:1: file: is empty; start with 'dataset:' and 'model:'")
        reader = _Reader(loader, name)
        data = reader.read(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(name, mark.line + 1, mark.column + 1) if mark else Place(name)
        raise ConfigError(f"{place}: not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: not valid YAML: {error}") from None
    finally:
        loader.dispose()
    return Source(name, data, reader.places, reader.keys, tuple(reader.problems))


class _Reader:
    """Turns YAML nodes into data and remembers where each stood."""

    def __init__(self, loader: _Loader, name: str) -> None:
        self.loader = loader
        self.name = name
        self.places: dict[Path, Place] = {}
        self.keys: dict[Path, Place] = {}
        self.problems: list[Problem] = []
        self.open: set[int] = set()

    def read(self, node: yaml.Node, path: Path) -> Any:
        self.places.setdefault(path, self._place(node))
        if isinstance(node, yaml.ScalarNode):
            return self.loader.construct_object(node)
        if id(node) in self.open:
            self._problem(node, path, "an alias that contains itself")
            return None
        if not node.tag.startswith("tag:yaml.org,2002:") or node.tag.partition("2002:")[2] not in ("map", "seq"):
            self._problem(node, path, f"found the tag {node.tag.replace('tag:yaml.org,2002:', '!!')}, allowed: none")
        self.open.add(id(node))
        try:
            return self._mapping(node, path) if isinstance(node, yaml.MappingNode) else self._sequence(node, path)
        finally:
            self.open.discard(id(node))

    def _sequence(self, node: yaml.Node, path: Path) -> list[Any]:
        return [self.read(child, (*path, index)) for index, child in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        self.loader.flatten_mapping(node)
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.loader.construct_object(key_node, deep=True)
            if type(key) is int:
                key = str(key)  # numbers of classes
            if not isinstance(key, str):
                self._problem(key_node, path, f"key {key!r} must be text")
                continue
            here = (*path, key)
            if key in data:
                self._problem(key_node, here, f"given twice; first at {self.places[here]}")
                continue
            self.keys[here] = self._place(key_node)
            self.places[here] = self._place(key_node if isinstance(value_node, yaml.CollectionNode) else value_node)
            data[key] = self.read(value_node, here)
        return data

    def _place(self, node: yaml.Node) -> Place:
        return Place(self.name, node.start_mark.line + 1, node.start_mark.column + 1)

    def _problem(self, node: yaml.Node, path: Path, text: str) -> None:
        self.problems.append(Problem(self._place(node), path, text))
