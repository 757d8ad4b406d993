"""Every operation as the body of a C function: it reads `x0`, `x1`, ... and writes `y`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from qsearch.errors import ExportError
from qsearch.hardware.integer.formats import Codes, Format
from qsearch.hardware.integer.model import Step
from qsearch.hardware.integer.operations import (
    Concatenate,
    Convolution,
    Dense,
    Global,
    Lookup,
    Merge,
    Pad,
    Padding,
    Permute,
    Pool,
    Repeat,
    Slice,
    Stuff,
)
from qsearch.hardware.targets.c_elements import Rounding, element, element_type
from qsearch.hardware.targets.c_layout import BY_ELEMENT, Group
from qsearch.hardware.targets.c_text import Index, Tables, cells, computed, indented, linear, loop, loops, number

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Site:
    """Where a group of steps is computed.

    Attributes:
        shapes: of all inputs and steps, the batch axis not counted; `formats` likewise.
        result: the type of what it writes.
    """

    group: Group
    shapes: dict[str, Shape]
    formats: dict[str, Format]
    result: str
    tables: Tables
    rounding: Rounding

    @property
    def layer(self) -> str:
        return self.group.head.layer

    @property
    def name(self) -> str:
        return self.group.head.name

    @property
    def inputs(self) -> tuple[Shape, ...]:
        """Shapes of what the head reads."""
        return tuple(self.shapes[name] for name in self.group.head.inputs)

    @property
    def forms(self) -> tuple[Format, ...]:
        """Formats of what the head reads."""
        return self._forms(self.group.head)

    @property
    def form(self) -> Format:
        """Of what the head gives, or reads where it works on single codes."""
        return self.forms[0] if self._by_element else self.group.head.form

    @property
    def shape(self) -> Shape:
        """Of what the head gives."""
        return self.shapes[self.name]

    def stored(self, value: str, index: str) -> list[str]:
        """A result of the head, what the other steps make of it, and where that goes."""
        kind, lines = self._ending
        return [f"const int32_t at = {index};", f"{kind} v = {value};", *lines, f"y[at] = ({self.result})v;"]

    @property
    def _by_element(self) -> bool:
        return isinstance(self.group.head.operation, BY_ELEMENT)

    @cached_property
    def _ending(self) -> tuple[str, list[str]]:
        """(the type of `v`, what is done to it); the channel counts along the last axis, which a Reshape changes."""
        steps: list[Step] = [*([self.group.head] if self._by_element else []), *self.group.tail]
        merges = [(step, step.operation) for step in steps if isinstance(step.operation, Merge)]
        more = [end for step, merge in merges for end in _merge_ends(self._forms(step), merge)]
        kind = element_type(self.layer, self.form, steps, more)
        lines: list[str] = []
        before = self.name
        for step in steps:
            shape = self.shapes[step.name]
            if isinstance(step.operation, Merge):
                lines += self._merged(step, step.operation, before, kind)
            else:
                lines += element(step, kind, f"at % {shape[-1] if shape else 1}", self.tables, self.rounding)
            before = step.name
        return kind, lines

    def _forms(self, step: Step) -> tuple[Format, ...]:
        return tuple(self.formats[name] for name in step.inputs)

    def _merged(self, step: Step, merge: Merge, before: str, kind: str) -> list[str]:
        """`v`, the result of the step before, merged with what lies in memory."""
        places = {name: f"({kind})x{at}[at]" for at, name in enumerate(self.group.inputs)} | {before: "v"}
        values = [_times(places[name], factor) for name, factor in zip(step.inputs, merge.factors, strict=True)]
        return ["{", *indented([*_merge_lines(step.layer, merge.kind, kind, values), "v = merged;"]), "}"]


def body(site: Site) -> list[str]:
    """The body of the function of a group of steps.

    Raises:
        ExportError: an operation that is not known here, or numbers that no type of C holds.
    """
    cells(site.layer, site.shape)
    match site.group.head.operation:
        case Dense() as dense:
            return _dense(site, dense)
        case Convolution() as convolution:
            return _convolution(site, convolution)
        case Merge() as merge:
            return _merged(site, merge)
        case Concatenate() as concatenate:
            return _concatenated(site, concatenate)
        case Pool() as pool:
            return _pooled(site, pool)
        case Global() as whole:
            return _global(site, whole)
        case Permute(axes=axes):
            return _gathered(site, {axis - 1: f"a{at}" for at, axis in enumerate(axes[1:])})
        case Pad(padding=padding):
            return _padded(site, padding)
        case Repeat(sizes=sizes):
            return _gathered(site, {at: f"a{at} / {size}" for at, size in enumerate(sizes)})
        case Slice(axis=axis, start=start):
            return _gathered(site, {axis - 1: f"a{axis - 1} + {start}"})
        case Stuff(strides=strides):
            return _stuffed(site, strides)
        case Lookup(table=table):
            return _looked_up(site, table)
        case operation if isinstance(operation, BY_ELEMENT):
            return loop("i", math.prod(site.shape), site.stored("x0[i]", "i"))
    raise ExportError(f"{site.layer}: {type(site.group.head.operation).__name__} is not written as C yet")


def _sum_type(site: Site, bound: int, form: Format) -> str:
    return computed(site.layer, (-bound, bound, form.least, form.greatest))


def _bias(site: Site, bias: Codes | None) -> Index:
    if bias is None or not bias.any():
        return lambda index: "0"
    return site.tables.plain(f"{site.name}_bias", bias)


def _dense(site: Site, dense: Dense) -> list[str]:
    inside, outside = dense.kernel.shape
    kind = _sum_type(site, dense.bound, site.group.head.form)
    kernel = site.tables.kernel(f"{site.name}_kernel", dense.kernel.T)
    row = math.prod(site.inputs[0][:-1])
    products = loop("i", inside, [f"sum += ({kind}){kernel(f'(o * {inside} + i)')} * x0[p * {inside} + i];"])
    one = [
        f"{kind} sum = {_bias(site, dense.bias)('o')};",
        *products,
        *site.stored("sum", f"p * {outside} + o"),
    ]
    return loops([("p", row), ("o", outside)], one)


def _convolution(site: Site, convolution: Convolution) -> list[str]:
    """Kernels are held with their outputs first, so that a sum reads them in order."""
    height, width, inside, last = convolution.kernel.shape
    shape, given = _two(site.shape, convolution.flat), _two(site.inputs[0], convolution.flat)
    kind = _sum_type(site, convolution.bound, site.group.head.form)
    depth, inner = inside, "k" if inside > 1 else "0"
    if convolution.depthwise:
        order, depth = convolution.kernel.transpose(2, 3, 0, 1), 1
        channel = f"o / {last}"
    else:
        order = convolution.kernel.transpose(3, 0, 1, 2)
        channel = inner if convolution.groups == 1 else f"o / {last // convolution.groups} * {inside} + {inner}"
    kernel = site.tables.kernel(f"{site.name}_kernel", order)
    place = [("o", shape[2]), ("i", height), ("j", width), *([("k", depth)] if depth > 1 else [])]
    cell = linear([("row", given[0]), ("column", given[1]), (channel, given[2])])
    add = [f"sum += ({kind}){kernel(f'({linear(place)})')} * x0[{cell}];"]
    if depth > 1:
        add = loop("k", depth, add)
    window = _window((height, width), given, convolution.strides, convolution.padding, convolution.dilation, add)
    one = [
        f"{kind} sum = {_bias(site, convolution.bias)('o')};",
        *window,
        *site.stored("sum", linear([("r", shape[0]), ("c", shape[1]), ("o", shape[2])])),
    ]
    return loops([("r", shape[0]), ("c", shape[1]), ("o", shape[2])], one)


def _two(shape: Shape, flat: bool) -> Shape:
    """(rows, columns, channels)."""
    return (1, *shape) if flat else shape


def _window(
    sizes: tuple[int, int],
    given: Shape,
    strides: tuple[int, int],
    padding: Padding,
    dilation: tuple[int, int],
    inside: list[str],
) -> list[str]:
    """Loops over the cells that the position (r, c) looks at; those beyond the edge are passed over."""
    column = f"const int32_t column = {_place('c', strides[1], 'j', dilation[1], padding[1][0])};"
    row = f"const int32_t row = {_place('r', strides[0], 'i', dilation[0], padding[0][0])};"
    across = loop("j", sizes[1], [column, *_edge("column", given[1], padding[1]), *inside])
    return loop("i", sizes[0], [row, *_edge("row", given[0], padding[0]), *across])


def _place(position: str, stride: int, offset: str, step: int, before: int) -> str:
    text = f"{position}{f' * {stride}' if stride > 1 else ''} + {offset}{f' * {step}' if step > 1 else ''}"
    return f"{text} - {before}" if before else text


def _edge(variable: str, size: int, padding: tuple[int, int]) -> list[str]:
    if not any(padding):
        return []
    return [f"if ({variable} < 0 || {variable} >= {size}) {{", "    continue;", "}"]


def _pooled(site: Site, pool: Pool) -> list[str]:
    """Cells outside add 0 to a sum; of a maximum, the least code that there is, as which it starts."""
    shape, given, form = _two(site.shape, pool.flat), _two(site.inputs[0], pool.flat), site.forms[0]
    cell = linear([("row", given[0]), ("column", given[1]), ("o", given[2])])
    kind, start, add, value = _reduced(site, pool.largest, math.prod(pool.window), pool.factor, f"x0[{cell}]")
    if any(map(any, pool.padding)) and pool.outside != (form.least if pool.largest else 0):
        raise ExportError(f"{site.layer}: pools with cells of {pool.outside} beyond the edge; pad it by a layer")
    window = _window(pool.window, given, pool.strides, pool.padding, (1, 1), add)
    places = [("r", shape[0]), ("c", shape[1]), ("o", shape[2])]
    return loops(places, [f"{kind} sum = {start};", *window, *site.stored(value, linear(places))])


def _reduced(site: Site, largest: bool, area: int, factor: int, cell: str) -> tuple[str, str, list[str], str]:
    """(the type, the first number, what a cell does to it, the result) of a maximum or a sum."""
    form = site.forms[0]
    if largest:
        kind = computed(site.layer, (form.least, form.greatest, form.least * factor, form.greatest * factor))
        return kind, number(form.least), [f"sum = {cell} > sum ? {cell} : sum;"], _times("sum", factor)
    bound = area * form.magnitude
    kind = computed(site.layer, (-bound, bound, bound * abs(factor), factor))
    return kind, "0", [f"sum += {cell};"], _times("sum", factor)


def _times(value: str, factor: int) -> str:
    return value if factor == 1 else f"{value} * {number(factor)}"


def _global(site: Site, whole: Global) -> list[str]:
    channels = site.inputs[0][-1]
    area = math.prod(site.inputs[0][:-1])
    kind, start, add, value = _reduced(site, whole.largest, area, whole.factor, f"x0[p * {channels} + o]")
    return loop("o", channels, [f"{kind} sum = {start};", *loop("p", area, add), *site.stored(value, "o")])


def _merged(site: Site, merge: Merge) -> list[str]:
    """Axes along which an input has one cell are read at that one."""
    shape = site.shape
    if any(len(given) != len(shape) for given in site.inputs):
        raise ExportError(f"{site.layer}: merges tensors of different ranks; reshape them to the same one before")
    kind = computed(site.layer, _merge_ends(site.forms, merge))
    same = all(given == shape for given in site.inputs)
    values = []
    for at, (given, factor) in enumerate(zip(site.inputs, merge.factors, strict=True)):
        axes = [(f"a{axis}" if side > 1 else "0", side) for axis, side in enumerate(given)]
        values.append(_times(f"({kind})x{at}[{'i' if same else linear(axes)}]", factor))
    lines = _merge_lines(site.layer, merge.kind, kind, values)
    if same:
        return loop("i", math.prod(shape), [*lines, *site.stored("merged", "i")])
    return loops(_axes(shape), [*lines, *site.stored("merged", linear(_axes(shape)))])


def _merge_lines(layer: str, way: str, kind: str, values: Sequence[str]) -> list[str]:
    """`merged`, of values that are on one scale."""
    lines = [f"{kind} merged = {values[0]};"]
    for value in values[1:]:
        match way:
            case "Add" | "Subtract" | "Multiply":
                sign = {"Add": "+", "Subtract": "-", "Multiply": "*"}[way]
                lines.append(f"merged {sign}= {value};")
            case "Maximum" | "Minimum":
                sign = ">" if way == "Maximum" else "<"
                lines += ["{", f"    const {kind} other = {value};"]
                lines += [f"    merged = other {sign} merged ? other : merged;", "}"]
            case _:
                raise ExportError(f"{layer}: {way} is not written as C yet")
    return lines


def _merge_ends(forms: Sequence[Format], merge: Merge) -> list[int]:
    """Numbers that none on the way to the result is larger than."""
    sizes = [form.magnitude * abs(factor) for form, factor in zip(forms, merge.factors, strict=True)]
    ways = {"Multiply": lambda a, b: a * b, "Add": int.__add__, "Subtract": int.__add__}
    most = max(accumulate(sizes, ways.get(merge.kind, max)))
    return [-most, most, *sizes, *merge.factors]


def _axes(shape: Sequence[int]) -> list[tuple[str, int]]:
    return [(f"a{axis}", side) for axis, side in enumerate(shape)]


def _concatenated(site: Site, concatenate: Concatenate) -> list[str]:
    axis = concatenate.axis % (len(site.shape) + 1) - 1
    rows, length = math.prod(site.shape[:axis]), math.prod(site.shape[axis:])
    lines, before = [], 0
    for at, (given, form, factor) in enumerate(zip(site.inputs, site.forms, concatenate.factors, strict=True)):
        part = math.prod(given[axis:])
        kind = computed(site.layer, (form.magnitude * abs(factor), -form.magnitude * abs(factor), factor))
        value = _times(f"({kind})x{at}[p * {part} + i]", factor)
        offset = f" + {before}" if before else ""
        lines += loops([("p", rows), ("i", part)], site.stored(value, f"p * {length} + i{offset}"))
        before += part
    return lines


def _gathered(site: Site, places: dict[int, str]) -> list[str]:
    """Every cell from one of the input; `places` says where, by the input's axis, else at the same place."""
    given = site.inputs[0]
    read = linear([(places.get(axis, f"a{axis}"), side) for axis, side in enumerate(given)])
    return loops(_axes(site.shape), site.stored(f"x0[{read}]", linear(_axes(site.shape))))


def _stuffed(site: Site, strides: Shape) -> list[str]:
    """The input's cells where every place is a multiple of the stride, else 0."""
    places = []
    for axis, (stride, side) in enumerate(zip((*strides, 1), site.inputs[0], strict=True)):
        places.append((f"a{axis} / {stride}" if stride > 1 else f"a{axis}", side))
    inside = [f"a{axis} % {stride} == 0" for axis, stride in enumerate(strides) if stride > 1]
    read = f"x0[{linear(places)}]"
    value = f"{' && '.join(inside)} ? {read} : 0" if inside else read
    return loops(_axes(site.shape), site.stored(value, linear(_axes(site.shape))))


def _looked_up(site: Site, table: Codes) -> list[str]:
    """The row of each code."""
    rows, row = math.prod(site.inputs[0]), table.shape[1]
    read = site.tables.plain(f"{site.name}_table", table)
    return loops([("p", rows), ("i", row)], site.stored(read(f"x0[p] * {row} + i"), f"p * {row} + i"))


def _padded(site: Site, padding: tuple[tuple[int, int], ...]) -> list[str]:
    given = site.inputs[0]
    places, inside = [], []
    for axis, side in enumerate(given):
        before, behind = padding[axis] if axis < len(padding) else (0, 0)
        places.append((f"a{axis} - {before}" if before else f"a{axis}", side))
        inside += [f"a{axis} >= {before}"] if before else []
        inside += [f"a{axis} < {before + side}"] if behind else []
    read = f"x0[{linear(places)}]"
    value = f"{' && '.join(inside)} ? {read} : 0" if inside else read
    return loops(_axes(site.shape), site.stored(value, linear(_axes(site.shape))))
