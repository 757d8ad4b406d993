"""YAML text -> plain data plus the place of every key and value in it.

Only what a configuration needs: texts, numbers, true, false, null, lists and mappings. A tag can make nothing else, and
aliases and merge keys cannot make more than `bounds.VALUES` of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NoReturn

import yaml

from qsearch.config import bounds
from qsearch.config.yaml_source import Path, Place, Problem, Source, dotted
from qsearch.errors import ConfigError, printable, shown

_TAG = "tag:yaml.org,2002:"
_SCALARS = ("str", "int", "float", "bool", "null")
_NOT_A_NUMBER = "found {text}, which is no {kind}; write it in quotes where it is a text"
_KINDS = {"int": "whole number", "float": "number", "bool": "true or false", "null": "null"}
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
"""What no name, path or pattern has: control characters, and halves of characters (names that are not UTF-8)."""
_FLOAT = re.compile(
    r"^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|[-+]?\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
_INT = re.compile(r"^[-+]?(?:0b[01][01_]*|0[0-7_]*|[1-9][0-9_]*|0x[0-9a-fA-F][0-9a-fA-F_]*)$")


def wrong_character(text: str) -> str | None:
    """What is wrong with a text that has a character which nothing in a configuration has."""
    match = _FORBIDDEN.search(text)
    if match is None:
        return None
    if "\ud800" <= match[0] <= "\udfff":
        return f"found {shown(text)}, which is no UTF-8; give it a name that is"
    return f"found {shown(text)}, which has the character {ord(match[0]):#04x}; leave it out"


class _BoundedError(Exception):
    """Where a text is larger than a bound."""

    def __init__(self, text: str, mark: yaml.Mark | None, path: Path = ()) -> None:
        super().__init__(text)
        self.mark = mark
        self.path = path


class _Loader(yaml.SafeLoader):
    """YAML as people write it in this field: `1e-3` is a number, a pasted Python `None` is null.

    Dates, and `1:30` as 90, are nothing but texts here.
    """

    # A table of its own: PyYAML's has dates and numbers to the base 60.
    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own way
        first: [(tag, pattern) for tag, pattern in table if tag.removeprefix(_TAG) in ("bool", "null", "merge")]
        for first, table in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0
        self.nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        self.nodes += 1
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self.depth > bounds.DEPTH:
            raise _BoundedError(f"found more than {bounds.DEPTH} lists and sections inside each other", mark)
        if self.nodes > bounds.VALUES:
            raise _BoundedError(_TOO_MANY, mark)
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


_TOO_MANY = (
    f"found more than {bounds.VALUES:,} keys and values, repeated ones counted each time; "
    "use patterns of layer names, or a range, in place of long lists"
)

_Loader.add_implicit_resolver(f"{_TAG}float", _FLOAT, list("-+0123456789."))
_Loader.add_implicit_resolver(f"{_TAG}int", _INT, list("-+0123456789"))
_Loader.add_implicit_resolver(f"{_TAG}null", re.compile(r"^None$"), ["N"])


class Dumper(yaml.SafeDumper):
    """Writes what the reader reads as the same: texts that look like numbers to either YAML are quoted."""


Dumper.add_implicit_resolver(f"{_TAG}float", _FLOAT, list("-+0123456789."))
Dumper.add_implicit_resolver(f"{_TAG}null", re.compile(r"^None$"), ["N"])


def parse_source(text: str, name: str, empty: str = "is empty; start with 'dataset:' and 'model:'") -> Source:
    """The source in `text`.

    Args:
        name: stands for it in messages.
        empty: what messages say where there is nothing in it.

    Raises:
        ConfigError: it is not YAML, or larger than `bounds` allow.
    """
    if len(text) > bounds.FILE_CHARACTERS:
        raise ConfigError(
            f"{name}: file: found {len(text):,} characters, allowed: {bounds.FILE_CHARACTERS:,}; "
            "a configuration holds settings: data belong to dataset.npz or dataset.factory"
        )
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        raise ConfigError(f"{_at(name, text, error.position)}: not valid YAML: {_character(error)}") from None
    try:
        node = loader.get_single_node()
        if node is None:
            raise ConfigError(f"{name}:1:1: file: {empty}")
        reader = _Reader(loader, name)
        data = reader.read(node, ())
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{_place(name, _mark_of(error))}: not valid YAML: {_reason(error)}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: not valid YAML: {printable(str(error))}") from None
    except _BoundedError as error:
        raise ConfigError(f"{_place(name, error.mark)}: {dotted(error.path) or 'file'}: {error}") from None
    finally:
        loader.dispose()
    return Source(name=name, data=data, places=reader.places, keys=reader.keys, problems=tuple(reader.problems))


def _place(name: str, mark: yaml.Mark | None) -> Place:
    return Place(name, mark.line + 1, mark.column + 1) if mark else Place(name)


def _mark_of(error: yaml.MarkedYAMLError) -> yaml.Mark | None:
    return error.problem_mark or error.context_mark


def _reason(error: yaml.MarkedYAMLError) -> str:
    said = error.problem or error.context or ""
    if "expected a single document" in (error.context or ""):
        return "found a second document after '---', expected one"
    return printable(said.replace("\n", " "), 300)


def _at(name: str, text: str, position: int) -> Place:
    before = text[:position]
    return Place(name, before.count("\n") + 1, position - before.rfind("\n"))


def _character(error: yaml.reader.ReaderError) -> str:
    code = error.character if isinstance(error.character, int) else ord(str(error.character))
    return f"found the character {code:#04x}, which a text file cannot have"


class _Reader:
    """Turns YAML nodes into data and remembers where each stood."""

    def __init__(self, loader: _Loader, name: str) -> None:
        self.loader = loader
        self.name = name
        self.places: dict[Path, Place] = {}
        self.keys: dict[Path, Place] = {}
        self.problems: list[Problem] = []
        self.open: set[int] = set()
        self.values = 0

    def read(self, node: yaml.Node, path: Path) -> Any:
        self._count(node, path)
        self.places.setdefault(path, self._place(node))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self.open:
            self._problem(node, path, "an alias that contains itself")
            return None
        if len(path) > bounds.DEPTH:
            self._stop(f"found more than {bounds.DEPTH} lists and sections inside each other", node, path[:3])
        mapping = isinstance(node, yaml.MappingNode)
        if node.tag != f"{_TAG}{'map' if mapping else 'seq'}":
            self._problem(node, path, f"found the tag {_short(node.tag)}, allowed: none")
        self.open.add(id(node))
        try:
            return self._mapping(node, path) if mapping else self._sequence(node, path)
        finally:
            self.open.discard(id(node))

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        kind, text = node.tag.removeprefix(_TAG), node.value
        if len(text) > bounds.TEXT_CHARACTERS:
            self._stop(f"found a text of {len(text):,} characters, allowed: {bounds.TEXT_CHARACTERS:,}", node, path)
        if kind in ("merge", "value"):  # a bare << or = is no more than a text where no key is
            kind = "str"
        if kind not in _SCALARS:
            self._problem(node, path, f"found the tag {_short(node.tag)}, allowed: none")
            return text
        if kind == "str":
            if problem := wrong_character(text):
                self._problem(node, path, problem)
            return text
        if kind == "int" and len(text) > 100:
            self._problem(node, path, f"found a number of {len(text):,} digits, allowed: up to {bounds.WHOLE:,}")
            return 0
        try:
            value = self.loader.construct_object(node)
        except (ValueError, LookupError, OverflowError):
            self._problem(node, path, _NOT_A_NUMBER.format(text=shown(text), kind=_KINDS[kind]))
            return text
        if kind == "int" and abs(value) > bounds.WHOLE:
            self._problem(node, path, f"found {shown(value)}, allowed: whole numbers up to {bounds.WHOLE:,}")
            return 0
        return value

    def _sequence(self, node: yaml.Node, path: Path) -> list[Any]:
        return [self.read(child, (*path, index)) for index, child in enumerate(node.value)]

    def _mapping(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node, merged in self._pairs(node, path):
            key = self._key(key_node, path)
            if key is None:
                continue
            here = (*path, key)
            if key in data:
                if not merged:
                    self._problem(key_node, here, f"given twice; first at {self.places[here]}")
                continue
            self.keys[here] = self._place(key_node)
            self.places[here] = self._place(key_node if isinstance(value_node, yaml.CollectionNode) else value_node)
            data[key] = self.read(value_node, here)
        return data

    def _key(self, node: yaml.Node, path: Path) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            self._problem(node, path, "found a list or a section as a key, expected a text")
            return None
        key = self._scalar(node, path)
        if type(key) is int:
            return str(key)  # numbers of classes, and of bits
        if not isinstance(key, str):
            self._problem(node, path, f"key {key!r} must be text; write {shown(node.value)} in quotes")
            return None
        return key

    def _pairs(self, node: yaml.Node, path: Path) -> Iterator[tuple[yaml.Node, yaml.Node, bool]]:
        """Keys and values of a mapping, then those that it merges: they count where it has none of its own."""
        merges = []
        for key_node, value_node in node.value:
            if key_node.tag == f"{_TAG}merge":
                merges.append(value_node)
            else:
                yield key_node, value_node, False
        for merge in merges:
            yield from self._merged(merge, path, frozenset({id(node)}))

    def _merged(
        self, node: yaml.Node, path: Path, inside: frozenset[int]
    ) -> Iterator[tuple[yaml.Node, yaml.Node, bool]]:
        self._count(node, path)
        if id(node) in inside:
            self._problem(node, path, "a merge of a section into itself")
        elif isinstance(node, yaml.SequenceNode):
            for child in node.value:
                yield from self._merged(child, path, inside | {id(node)})
        elif not isinstance(node, yaml.MappingNode):
            self._problem(node, path, "expected a section, or a list of sections, after '<<'")
        elif len(inside) > bounds.DEPTH:
            self._stop(f"found more than {bounds.DEPTH} merges inside each other", node, path)
        else:
            merges = [value for key, value in node.value if key.tag == f"{_TAG}merge"]
            for key_node, value_node in node.value:
                if key_node.tag != f"{_TAG}merge":
                    self._count(key_node, path)
                    yield key_node, value_node, True
            for merge in merges:
                yield from self._merged(merge, path, inside | {id(node)})

    def _count(self, node: yaml.Node, path: Path) -> None:
        self.values += 1
        if self.values > bounds.VALUES:
            self._stop(_TOO_MANY, node, path[:3])

    def _stop(self, text: str, node: yaml.Node, path: Path) -> NoReturn:
        raise _BoundedError(text, node.start_mark, path)

    def _place(self, node: yaml.Node) -> Place:
        return Place(self.name, node.start_mark.line + 1, node.start_mark.column + 1)

    def _problem(self, node: yaml.Node, path: Path, text: str) -> None:
        self.problems.append(Problem(self._place(node), path, text))


def _short(tag: str) -> str:
    return printable(tag.replace(_TAG, "!!").replace("\n", " "), 100)
