"""Quantizer strings: one small grammar, no `eval`, no TensorFlow.

    spec     := name [ "(" [ argument { "," argument } ] ")" ]
    argument := [ name "=" ] value
    value    := number | True | False | None | word | "quoted" | 'quoted' | "[" { value [ "," ] } "]"

A word without quotes is a string (`alpha=auto_po2`). List items are separated
by commas or blanks, as both appear in files written for QKeras.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

from qsearch.errors import ConfigError, did_you_mean, shown
from qsearch.quantizers.parameters import Parameter, Value, check_together, check_value
from qsearch.quantizers.table import SIGNATURES

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INTEGER = re.compile(r"[+-]?\d+(?![\w.])", re.ASCII)
_FLOAT = re.compile(r"[+-]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?(?!\w)|[+-]?inf(?!\w)", re.ASCII)
_BLANK = re.compile(r"\s*")
_MOST_DIGITS = 40
_DEEPEST = 8
"""Scales have no more axes than tensors."""
_WORDS: Mapping[str, Value] = {"True": True, "False": False, "None": None}


@dataclass(frozen=True, eq=False)
class QuantizerSpec:
    """A quantizer by name and arguments, kept as written.

    Two specs are equal when they mean the same: `quantized_bits(4)` equals
    `quantized_bits(4,0,alpha=None)`.

    Raises:
        ConfigError: unknown quantizer, unknown or repeated argument, a value of the wrong kind.
    """

    name: str
    args: tuple[Value, ...] = ()
    kwargs: tuple[tuple[str, Value], ...] = ()
    arguments: Mapping[str, Value] = field(init=False, repr=False)
    """Every parameter of the quantizer with its value, defaults included."""
    _hash: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "arguments", MappingProxyType(_bind(self.name, self.args, self.kwargs)))
        object.__setattr__(self, "_hash", hash((self.name, tuple(self.arguments.values()))))

    @property
    def draws(self) -> bool:
        """Whether it draws random numbers in training."""
        return self.name.startswith(("stochastic_", "bernoulli")) or bool(self.arguments.get("use_stochastic_rounding"))

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, QuantizerSpec):
            return NotImplemented
        return self.name == other.name and self.arguments == other.arguments

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        items = [_format(value) for value in self.args] + [f"{key}={_format(value)}" for key, value in self.kwargs]
        return f"{self.name}({','.join(items)})" if items else self.name

    def __reduce__(self) -> tuple[type[QuantizerSpec], tuple[object, ...]]:
        return (QuantizerSpec, (self.name, self.args, self.kwargs))

    def replaced(self, changes: Mapping[str, Value]) -> QuantizerSpec:
        """The spec with some arguments changed, written as shortly as it was; equal values stay as they are written."""
        new = {name: value for name, value in changes.items() if value != self.arguments[name]}
        names = list(self.arguments)[: len(self.args)]
        args = tuple(new.get(name, value) for name, value in zip(names, self.args, strict=True))
        rest = {**dict(self.kwargs), **{name: value for name, value in new.items() if name not in names}}
        return QuantizerSpec(self.name, args, tuple(rest.items()))


@lru_cache(maxsize=4096)
def parse(text: str) -> QuantizerSpec:
    """The spec that `text` states, e.g. `"quantized_bits(4,0,1,alpha=1.0)"` or `"binary"`.

    Raises:
        ConfigError: with the text, the place in it, and the nearest valid name.
    """
    return _Parser(text).spec()


def _signature(name: str) -> tuple[Parameter, ...]:
    if name not in SIGNATURES:
        raise ConfigError(
            f"unknown quantizer {shown(name)}{did_you_mean(name, SIGNATURES)} (known: {', '.join(sorted(SIGNATURES))})"
        )
    return SIGNATURES[name]


def _bind(name: str, args: tuple[Value, ...], kwargs: tuple[tuple[str, Value], ...]) -> dict[str, Value]:
    parameters = _signature(name)
    names = [parameter.name for parameter in parameters]
    if len(args) > len(names):
        raise ConfigError(f"{name} takes at most {len(names)} arguments ({', '.join(names)}), found {len(args)}")
    given = dict(zip(names, args, strict=False))
    for key, value in kwargs:
        if key not in names:
            raise ConfigError(
                f"{name} has no argument {shown(key)}{did_you_mean(key, names)} (arguments: {', '.join(names)})"
            )
        if key in given:
            raise ConfigError(f"{name}: argument {shown(key)} is given twice")
        given[key] = value
    for parameter in parameters:
        if parameter.name in given:
            check_value(name, parameter, given[parameter.name])
    arguments = {parameter.name: given.get(parameter.name, parameter.default) for parameter in parameters}
    check_together(name, arguments)
    return arguments


def _format(value: Value) -> str:
    if isinstance(value, tuple):
        return "[" + ",".join(_format(item) for item in value) + "]"
    return repr(value)


class _Parser:
    """Recursive descent over one quantizer string."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.depth = 0

    def spec(self) -> QuantizerSpec:
        self._skip_blanks()
        name = self._match(_NAME)
        if name is None:
            raise self._error("expected the name of a quantizer")
        args: list[Value] = []
        kwargs: list[tuple[str, Value]] = []
        if self._take("("):
            while not self._take(")"):
                if (args or kwargs) and not self._take(","):
                    raise self._error("expected ',' or ')'")
                key = self._keyword()
                if key is not None:
                    kwargs.append((key, self._value()))
                elif kwargs:
                    raise self._error("expected 'name=value': a positional argument cannot follow a named one")
                else:
                    args.append(self._value())
        self._skip_blanks()
        if self.position < len(self.text):
            raise self._error("expected the end of the quantizer")
        return QuantizerSpec(name, tuple(args), tuple(kwargs))

    def _keyword(self) -> str | None:
        start = self.position
        self._skip_blanks()
        name = self._match(_NAME)
        if name is not None and self._take("="):
            return name
        self.position = start
        return None

    def _value(self) -> Value:
        self._skip_blanks()
        if self._take("["):
            self.depth += 1
            if self.depth > _DEEPEST:
                raise self._error(f"more than {_DEEPEST} lists inside each other")
            items: list[Value] = []
            while not self._take("]"):
                if items:
                    self._take(",")
                items.append(self._value())
            self.depth -= 1
            return tuple(items)
        quote = self.text[self.position : self.position + 1]
        if quote and quote in "'\"":
            end = self.text.find(quote, self.position + 1)
            if end < 0:
                raise self._error(f"expected a closing {quote}")
            start, self.position = self.position + 1, end + 1
            return self.text[start:end]
        if (digits := self._match(_INTEGER)) is not None:
            if len(digits) > _MOST_DIGITS:
                raise self._error(f"found a number of {len(digits):,} digits, allowed: {_MOST_DIGITS}")
            return int(digits)
        if (digits := self._match(_FLOAT)) is not None:
            return float(digits)
        if (word := self._match(_NAME)) is not None:
            return _WORDS.get(word, word)
        raise self._error("expected a value: a number, True, False, None, a word or a list")

    def _match(self, pattern: re.Pattern[str]) -> str | None:
        match = pattern.match(self.text, self.position)
        if match is None:
            return None
        self.position = match.end()
        return match.group()

    def _take(self, symbol: str) -> bool:
        self._skip_blanks()
        if self.text.startswith(symbol, self.position):
            self.position += len(symbol)
            return True
        return False

    def _skip_blanks(self) -> None:
        self._match(_BLANK)

    def _error(self, problem: str) -> ConfigError:
        found = shown(self.text[self.position :]) if self.position < len(self.text) else "the end of the text"
        return ConfigError(f"quantizer {shown(self.text)}: {problem} at character {self.position + 1}, found {found}")
