"""Patterns of layer names: regular expressions that end.

`re` tries every way in which a pattern may match a text. `^(a+)+$` has twice as many for each letter more, so that
thirty of them take minutes. The number of ways is bounded here from the pattern alone, before any name is seen:

- a sequence has the product of its parts' ways, a choice the sum;
- d repeats of one character each, as in `.*a.*`, cut a name of n letters in at most C(n + d, d) ways;
- a repeated part that has several ways of its own has at least two to the power of n: it is refused.

The bound is above what `re` does, and patterns such as `(block_\\d+_)*conv`, which would end, are refused with it.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from math import comb

from qsearch.config import bounds
from qsearch.errors import shown

_GROUP = re.compile(r"\((?:\?(?:P<\w+>|P=\w+\)|<[=!]|[:=!>]|[a-zA-Z-]*[:)]|\(\w+\)|#[^)]*\)))?")
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_REPEAT = re.compile(r"(?:(\*)|(\+)|(\?)|\{(\d*)(,?)(\d*)\})[?+]?")
_DEEPEST = 50
_SPELT_OUT = 10
"""Repeats of a part with several ways that are counted as so many parts."""


@dataclass(frozen=True)
class _Ways:
    """At most `fixed` · C(n + free, free) ways to match a text of n letters."""

    fixed: int = 1
    free: int = 0

    @property
    def one(self) -> bool:
        return self.fixed == 1 and self.free == 0

    def count(self) -> int:
        return self.fixed * comb(bounds.NAME_CHARACTERS + self.free, self.free)

    def then(self, other: _Ways) -> _Ways:
        return _Ways(min(self.fixed * other.fixed, _MANY), min(self.free + other.free, _MANY_FREE))

    def either(self, other: _Ways) -> _Ways:
        return _Ways(min(self.fixed + other.fixed, _MANY), max(self.free, other.free))


_MANY, _MANY_FREE = bounds.PATTERN_WAYS + 1, 50
_NESTED = (
    "repeats a part that itself repeats or chooses, which may take for ever; "
    "repeat one character or class alone, as in [a-z_]+"
)


def problem_of(pattern: str) -> str | None:
    """Why a text cannot be a pattern of layer names; None where it can."""
    try:
        ways = _Scanner(pattern).ways()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a later Python may read otherwise
            re.compile(pattern)
    except (re.error, ValueError, _RefusedError) as error:  # ValueError: flags that exclude each other
        return str(error)
    except (RecursionError, OverflowError, MemoryError):
        return "is too large for Python's re"
    if ways.count() > bounds.PATTERN_WAYS:
        return (
            f"may match a name of {bounds.NAME_CHARACTERS} letters in more than {bounds.PATTERN_WAYS:,} ways, which "
            "takes too long; use fewer of .*, + and ?"
        )
    return None


def regex_problem(pattern: str) -> str | None:
    """The same in a message about a value."""
    problem = problem_of(pattern)
    return None if problem is None else f"found {shown(pattern)}, which is no regular expression: {problem}"


class _RefusedError(Exception):
    """A pattern that may not end."""


class _Scanner:
    """One walk over a pattern. What `re` refuses, it need not read rightly: `re` sees the pattern too."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.position = 0

    def ways(self) -> _Ways:
        if "(?" in self.pattern and re.search(r"\(\?[a-zA-Z]*x", self.pattern):
            raise _RefusedError("has the flag x, which is not read here")
        found = self._choice(0)
        while self.position < len(self.pattern):  # a bracket too many, which `re` tells
            self.position += 1
            found = found.then(self._choice(0))
        return found

    def _choice(self, depth: int) -> _Ways:
        """Up to the end, or the bracket that closes."""
        if depth > _DEEPEST:
            raise _RefusedError(f"has more than {_DEEPEST} groups inside each other")
        branches = [_Ways()]
        while self.position < len(self.pattern):
            symbol = self.pattern[self.position]
            if symbol == ")":
                break
            if symbol == "|":
                self.position += 1
                branches.append(_Ways())
                continue
            part = self._part(depth)
            for least, most in self._repeats():
                part = _repeated(part, least, most)
            branches[-1] = branches[-1].then(part)
        ways = branches[0]
        for branch in branches[1:]:
            ways = ways.either(branch)
        return ways

    def _part(self, depth: int) -> _Ways:
        """One character, class or group."""
        symbol = self.pattern[self.position]
        if symbol == "\\":
            self.position += 2
        elif symbol == "[":
            match = _CLASS.match(self.pattern, self.position)
            self.position = match.end() if match else len(self.pattern)
        elif symbol == "(":
            opening = _GROUP.match(self.pattern, self.position)
            assert opening is not None
            self.position = opening.end()
            if not opening[0].endswith(")") or opening[0].startswith("(?("):
                inside = self._choice(depth + 1)
                self.position += 1
                return inside
        else:
            self.position += 1
        return _Ways()

    def _repeats(self) -> Iterator[tuple[int, int | None]]:
        """How often the part before may stand; `re` allows one such mark, and ? or + behind it."""
        while match := _REPEAT.match(self.pattern, self.position):
            star, plus, maybe, least, comma, most = match.groups()
            if not (star or plus or maybe) and not least and not most:
                return  # {} and {,} stand for themselves
            self.position = match.end()
            if star or plus:
                yield int(plus is not None), None
            elif maybe:
                yield 0, 1
            else:
                low = _number(least) if least else 0
                yield low, _number(most) if most else None if comma else low


def _number(digits: str) -> int:
    if len(digits) > 9:
        raise _RefusedError(f"repeats more than {10**9:,} times")
    return int(digits)


def _repeated(part: _Ways, least: int, most: int | None) -> _Ways:
    if least == most and part.one:
        return part
    if (least, most) == (0, 1):
        return part.either(_Ways())
    if part.one:
        return _Ways(1, 1)
    if most is not None and most <= _SPELT_OUT:
        ways = _Ways()
        for index in range(most):
            ways = ways.then(part if index < least else part.either(_Ways()))
        return ways
    raise _RefusedError(_NESTED)
