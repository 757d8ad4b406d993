"""What is computed of one code: rounding, tables, bounds and factors, as C on a variable `v`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qsearch.errors import ExportError
from qsearch.hardware.integer.formats import Codes, Format
from qsearch.hardware.integer.model import Step
from qsearch.hardware.integer.operations import ChannelThresholds, Clamp, Reshape, Scale, Thresholds, Uniform
from qsearch.hardware.targets.c_text import Tables, computed, number


@dataclass
class Rounding:
    """The functions that divide and round to the nearest, by prefix; those that were used are written."""

    prefix: str

    def __post_init__(self) -> None:
        self.used: set[tuple[bool, str]] = set()

    def call(self, half_away: bool, kind: str, denominator: int) -> str:
        self.used.add((half_away, kind))
        return f"{self._name(half_away, kind)}(v, {number(denominator)})"

    def lines(self) -> list[str]:
        """C99 divides towards 0, so that the rest has the sign of what is divided; nothing here can overflow."""
        found: list[str] = []
        for half_away, kind in sorted(self.used):
            body = _HALF_AWAY if half_away else _HALF_EVEN
            name = self._name(half_away, kind)
            found += [f"static inline {kind} {name}({kind} code, {kind} by)", *body.format(kind=kind).splitlines(), ""]
        return found

    def _name(self, half_away: bool, kind: str) -> str:
        return f"{self.prefix}_{'half_away' if half_away else 'half_even'}_{kind.removesuffix('_t')}"


_HALF_EVEN = """{{
    {kind} quotient = code / by, rest = code % by;
    if (rest < 0) {{
        rest += by;
        quotient -= 1;
    }}
    if (rest > by - rest || (rest == by - rest && quotient % 2 != 0)) {{
        quotient += 1;
    }}
    return quotient;
}}"""
_HALF_AWAY = """{{
    {kind} quotient = code / by, rest = code % by;
    rest = rest < 0 ? -rest : rest;
    if (rest >= by - rest) {{
        quotient += code < 0 ? -1 : 1;
    }}
    return quotient;
}}"""


def element_type(layer: str, form: Format, steps: Sequence[Step], more: Iterable[int] = ()) -> str:
    """The type that every number between codes of a format and the last step's result fits, and `more` of them.

    Raises:
        ExportError: one needs more than 64 bits.
    """
    ends: list[int] = [form.least, form.greatest, *more]
    for step in steps:
        ends += _ends(step, form)
        form = step.form
    return computed(layer, ends)


def _ends(step: Step, form: Format) -> Iterable[int]:
    """The extreme numbers of one step on codes of a format."""
    yield from (step.form.least, step.form.greatest)
    match step.operation:
        case Uniform(shift=shift) as rule:
            up = max(shift, 0)
            yield from (form.least << up, form.greatest << up, _denominator(rule))
        case Thresholds(thresholds=table) if table.size:
            yield from (int(table.min()), int(table.max()))
        case ChannelThresholds(thresholds=table) if table.size:
            yield from (int(table.min()), int(table.max()))
        case Clamp(least=least, greatest=greatest):
            yield from (least, greatest)
        case Scale(multiplier=multiplier, offset=offset):
            largest = max(abs(int(factor)) for factor in multiplier.flat) * form.magnitude
            yield from (-largest, largest)
            if offset is not None:
                yield from (int(offset.min()), int(offset.max()))


def element(step: Step, kind: str, channel: str, tables: Tables, rounding: Rounding) -> list[str]:
    """One step on `v`, a variable of a type that all its numbers fit."""
    match step.operation:
        case Uniform() as rule:
            return _uniform(rule, kind, rounding)
        case Thresholds() as table:
            return _thresholds(step, table.thresholds, table.levels, "", tables)
        case ChannelThresholds() as table:
            return _thresholds(step, table.thresholds, table.levels, channel, tables)
        case Clamp(least=least, greatest=greatest):
            return _clamped(least, greatest)
        case Scale() as scale:
            return _scaled(step, scale, kind, channel, tables)
        case Reshape():
            return []
    raise ExportError(f"{step.layer}: {type(step.operation).__name__} is not written as C")


def _denominator(rule: Uniform) -> int:
    return rule.divisor << max(-rule.shift, 0)


def _uniform(rule: Uniform, kind: str, rounding: Rounding) -> list[str]:
    lines = [f"v = v * {number(1 << rule.shift)};"] if rule.shift > 0 else []
    if _denominator(rule) > 1:
        lines.append(f"v = {rounding.call(rule.half_away, kind, _denominator(rule))};")
    return [*lines, *_clamped(rule.least, rule.greatest)]


def _clamped(least: int, greatest: int) -> list[str]:
    return [
        f"v = v < {number(least)} ? {number(least)} : v;",
        f"v = v > {number(greatest)} ? {number(greatest)} : v;",
    ]


def _thresholds(step: Step, steps: Codes, given: Codes, channel: str, tables: Tables) -> list[str]:
    """Halving: how many thresholds, of the channel where each has its own, are not above the code."""
    count = steps.shape[-1]
    levels = tables.plain(f"{step.name}_levels", given)
    own = f"({channel}) * {{}} + " if channel else ""
    if not count:
        return [f"v = {levels(own.format(1) + '0')};"] if channel else [f"v = {number(int(given.flat[0]))};"]
    thresholds = tables.plain(f"{step.name}_thresholds", steps)
    return [
        "{",
        f"    int32_t low = 0, high = {count};",
        "    while (low < high) {",
        "        const int32_t middle = low + (high - low) / 2;",
        f"        if ({thresholds(own.format(count) + 'middle')} <= v) {{",
        "            low = middle + 1;",
        "        } else {",
        "            high = middle;",
        "        }",
        "    }",
        f"    v = {levels(own.format(count + 1) + 'low')};",
        "}",
    ]


def _scaled(step: Step, scale: Scale, kind: str, channel: str, tables: Tables) -> list[str]:
    text = f"v * {_channels(step, 'multiplier', scale.multiplier, kind, channel, tables)}"
    if scale.offset is not None:
        text += f" + {_channels(step, 'offset', scale.offset, kind, channel, tables)}"
    return [f"v = {text};"]


def _channels(step: Step, name: str, codes: Codes, kind: str, channel: str, tables: Tables) -> str:
    """A number of each channel, or of all."""
    if codes.size == 1:
        return number(int(codes.flat[0]))
    table = tables.plain(f"{step.name}_{name}", codes)
    return f"({kind}){table(channel)}"
