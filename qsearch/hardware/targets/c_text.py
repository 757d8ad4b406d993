"""C99 text: names, numbers, comments, types, tables and loops."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence

import numpy

from qsearch.errors import ExportError
from qsearch.hardware.integer.formats import Codes, Format

Index = Callable[[str], str]
"""An index into a table -> the C expression of what stands there."""

_STORED = (
    ("int8_t", -(2**7), 2**7 - 1),
    ("uint8_t", 0, 2**8 - 1),
    ("int16_t", -(2**15), 2**15 - 1),
    ("uint16_t", 0, 2**16 - 1),
    ("int32_t", -(2**31), 2**31 - 1),
    ("int64_t", -(2**63), 2**63 - 1),
)
_WIDTHS = {"int8_t": 1, "uint8_t": 1, "int16_t": 2, "uint16_t": 2, "int32_t": 4, "int64_t": 8}
_COMPUTED = tuple(row for row in _STORED if row[0] in ("int32_t", "int64_t"))
_NAME, _LINE = 40, 110
_MOST_PACKED = 16
"""Bits of a packed weight: with up to 7 before it, it lies in three bytes."""
_MOST_CELLS = 2**31 - 1


def stored(low: int, high: int) -> str:
    """The smallest type that holds a range."""
    return next(name for name, least, greatest in _STORED if least <= low and high <= greatest)


def stored_format(form: Format) -> str:
    return stored(form.least, form.greatest)


def width(kind: str) -> int:
    """Bytes of a type."""
    return _WIDTHS[kind]


def computed(layer: str, ends: Iterable[int]) -> str:
    """int32_t, or int64_t where numbers are larger.

    Raises:
        ExportError: they are larger than that.
    """
    numbers = [int(end) for end in ends]
    for name, least, greatest in _COMPUTED:
        if all(least <= number <= greatest for number in numbers):
            return name
    raise ExportError(
        f"{layer}: computes with more than 64 bits, which C has no type for; give what it reads a quantizer of fewer "
        "bits, or its bias one"
    )


def passed(form: Format) -> str:
    """The type of an input or output of the network."""
    return computed("", (form.least, form.greatest))


def number(value: int) -> str:
    """A literal; the least numbers of a type have none of their own."""
    value = int(value)
    if value == -(2**31):
        return "(-2147483647 - 1)"
    if value == -(2**63):
        return "(-INT64_C(9223372036854775807) - 1)"
    if -(2**31) < value < 2**31:
        return str(value)
    return f"-INT64_C({-value})" if value < 0 else f"INT64_C({value})"


def identifier(text: str) -> str:
    """A name that C allows behind a prefix: ASCII letters, digits and underscores."""
    return re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")[:_NAME] or "x"


def prefix_of(name: str) -> str:
    """A name that C allows at the start: what follows it keeps it apart from words of the language."""
    found = identifier(name)
    return found if found[0].isalpha() else f"net_{found}"


def comment(text: str) -> str:
    """A comment that ends where it should, in ASCII, without trigraphs."""
    plain = text.encode("ascii", "replace").decode("ascii")
    for ending in ("*/", "/*", "?", "\\"):
        plain = plain.replace(ending, "_")
    return f"/* {' '.join(plain.split())} */"


def meaning(form: Format) -> str:
    """What codes of a format are, for a comment."""
    divided = f" / {form.divisor}" if form.divisor > 1 else ""
    return f"value = code * 2^{-form.fraction}{divided}, codes {form.least} to {form.greatest}"


def indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" if line else "" for line in lines]


def loop(variable: str, count: int, inside: Sequence[str]) -> list[str]:
    return [f"for (int32_t {variable} = 0; {variable} < {count}; {variable}++) {{", *indented(inside), "}"]


def loops(counts: Sequence[tuple[str, int]], inside: Sequence[str]) -> list[str]:
    """Loops in loops, the first one outermost."""
    lines = list(inside)
    for variable, count in reversed(counts):
        lines = loop(variable, count, lines)
    return lines


def linear(parts: Sequence[tuple[str, int]]) -> str:
    """The index of a cell: what counts along each axis, and the axis' size."""
    text = parts[0][0] if parts else "0"
    for expression, count in parts[1:]:
        text = f"{text if text.isidentifier() else f'({text})'} * {count} + {expression}"
    return text


def cells(layer: str, shape: Sequence[int]) -> int:
    """How many numbers a tensor has.

    Raises:
        ExportError: more than an index of 32 bits counts.
    """
    found = math.prod(shape)
    if found > _MOST_CELLS:
        raise ExportError(f"{layer}: has more than 2^31 values; make the model, or its input, smaller")
    return found


class Names:
    """C names, each given once."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._given: set[str] = set()

    def new(self, text: str) -> str:
        """A name of the header's own: prefix, underscore, text."""
        return self._once(f"{self.prefix}_{identifier(text)}")

    def local(self, text: str) -> str:
        """A name of a parameter."""
        return self._once(text)

    def _once(self, wanted: str) -> str:
        found, count = wanted, 2
        while found in self._given:
            found, count = f"{wanted}_{count}", count + 1
        self._given.add(found)
        return found


def array(name: str, kind: str, codes: Sequence[int]) -> list[str]:
    """A constant array."""
    lines, line = [f"static const {kind} {name}[{len(codes)}] = {{"], "   "
    for code in codes:
        text = f" {number(code)},"
        if len(line) + len(text) > _LINE:
            lines.append(line)
            line = "   "
        line += text
    return [*lines, line, "};"]


class Tables:
    """The constant arrays of a header; kernels may be packed to their bits."""

    def __init__(self, names: Names, packed: bool) -> None:
        self.names, self.packed = names, packed
        self.lines: list[str] = []
        self.bytes = 0
        self.unpack = names.new("unpacked")
        self.unpacks = False
        self._known: dict[tuple[bool, str, bytes], str] = {}  # the weights of every time step are the same

    def plain(self, text: str, codes: Codes) -> Index:
        """A table of codes in the smallest type."""
        flat = codes.reshape(-1)
        kind = _signed(int(flat.min()), int(flat.max()))
        name, is_new = self._named(text, False, flat)
        if is_new:
            self.lines += [*array(name, kind, flat.tolist()), ""]
            self.bytes += flat.size * width(kind)
        return lambda index: f"{name}[{index}]"

    def kernel(self, text: str, codes: Codes) -> Index:
        """A table that is packed where that is asked for, and saves something."""
        flat = codes.reshape(-1)
        least, reach = int(flat.min()), int(flat.max()) - int(flat.min())
        step = int(numpy.gcd.reduce(flat - least)) or 1
        bits = max((reach // step).bit_length(), 1)
        kind = _signed(least, int(flat.max()))
        if not self.packed or bits > _MOST_PACKED or bits >= 8 * width(kind) or flat.size * bits > _MOST_CELLS:
            return self.plain(text, codes)
        name, is_new = self._named(text, True, flat)
        if is_new:
            packed = _packed((flat - least) // step, bits)
            told = f"{flat.size} weights of {bits} bits, the lowest first: code = {least} + {step} * bits"
            self.lines += [comment(told), *array(name, "uint8_t", packed), ""]
            self.bytes += len(packed)
        self.unpacks = True
        times = f"{number(step)} * " if step > 1 else ""
        return lambda index: f"({number(least)} + {times}{self.unpack}({name}, {index}, {bits}))"

    def _named(self, text: str, packed: bool, codes: Codes) -> tuple[str, bool]:
        """(the name of a table, whether it is still to be written)."""
        key = packed, str(codes.dtype), codes.tobytes()
        is_new = key not in self._known
        if is_new:
            self._known[key] = self.names.new(text)
        return self._known[key], is_new

    def unpacking(self) -> list[str]:
        """The function that reads a packed weight: it lies in three bytes."""
        return [
            f"static inline int32_t {self.unpack}(const uint8_t *bytes, int32_t index, int32_t bits)",
            "{",
            "    const uint32_t first = (uint32_t)index * (uint32_t)bits;",
            "    const uint8_t *at = bytes + first / 8;",
            "    const uint32_t three = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16;",
            "    return (int32_t)((three >> (first % 8)) & (((uint32_t)1 << bits) - 1));",
            "}",
            "",
        ]


def _signed(low: int, high: int) -> str:
    """The smallest signed type: weights are signed numbers everywhere."""
    return stored(min(low, -1), high)


def _packed(values: Codes, bits: int) -> list[int]:
    """Numbers bit by bit, the lowest first; two bytes more, as three are read at once."""
    rows = (values[:, None] >> numpy.arange(bits)) & 1
    found = numpy.packbits(rows.reshape(-1).astype(numpy.uint8), bitorder="little")
    return [*found.tolist(), 0, 0]
