"""The header: constant tables, a function for each group of steps, and the one that runs the network."""

from __future__ import annotations

import math
from dataclasses import dataclass

from qsearch import __version__
from qsearch.hardware.integer.model import IntegerModel
from qsearch.hardware.targets.c_elements import Rounding
from qsearch.hardware.targets.c_layout import Group, Slot, groups_of, shapes_of, slots_of
from qsearch.hardware.targets.c_operations import Site, body
from qsearch.hardware.targets.c_text import (
    Names,
    Tables,
    cells,
    comment,
    identifier,
    indented,
    loop,
    meaning,
    passed,
    prefix_of,
    stored_format,
    width,
)


@dataclass(frozen=True)
class Port:
    """An input or output of the network: its name in C, the type of a code, and how many there are."""

    name: str
    kind: str
    cells: int
    told: str


@dataclass(frozen=True, kw_only=True)
class Header:
    """What is written, and what calls it.

    Attributes:
        inputs: as the model's sources; `outputs` as its outputs.
        constants, memory: bytes of tables, and of what lies between steps.
    """

    file: str
    run: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    text: str
    constants: int
    memory: int


def header_of(model: IntegerModel, packed: bool) -> Header:
    """The header of a model.

    Raises:
        ExportError: a step that C cannot compute exactly.
    """
    return _Writer(model, packed).header()


class _Writer:
    def __init__(self, model: IntegerModel, packed: bool) -> None:
        self.model = model
        self.prefix = prefix_of(model.name)
        self.names = Names(self.prefix)
        self.run = self.names.new("run")
        self.tables = Tables(self.names, packed)
        self.rounding = Rounding(self.names.new("divided"))
        self.shapes = shapes_of(model)
        self.forms = model.forms
        self.groups = groups_of(model, self.shapes)
        wanted = frozenset(output.step for output in model.outputs)
        self.slots, self.places = slots_of(self.groups, self.shapes, wanted)
        self.memory = [self.names.new(f"memory{slot.index}") for slot in self.slots]
        self.inputs = tuple(self._port("in", source.name, source.name) for source in model.sources)
        self.outputs = tuple(self._port("out", output.name, output.step) for output in model.outputs)

    def _port(self, way: str, name: str, step: str) -> Port:
        shape, form = self.shapes[step], self.forms[step]
        told = f"{name}: {_sides(shape)}, {meaning(form)}"
        return Port(self.names.local(f"{way}_{identifier(name)}"), passed(form), cells(name, shape), told)

    def header(self) -> Header:
        functions: list[str] = []
        calls: list[str] = []
        for group in self.groups:
            made, call = self._function(group)
            functions += made
            calls += [call]
        guard = f"{self.prefix.upper()}_H"
        lines = [
            *self._told(),
            f"#ifndef {guard}",
            f"#define {guard}",
            "",
            "#include <stdint.h>",
            "",
            *self.tables.lines,
            *(self.tables.unpacking() if self.tables.unpacks else []),
            *self.rounding.lines(),
            *self._memory(),
            *functions,
            *self._run(calls),
            f"#endif {comment(guard)}",
        ]
        return Header(
            file=f"{self.prefix}.h",
            run=self.run,
            inputs=self.inputs,
            outputs=self.outputs,
            text="\n".join(lines) + "\n",
            constants=self.tables.bytes,
            memory=sum(slot.bytes for slot in self.slots),
        )

    def _told(self) -> list[str]:
        size = sum(slot.bytes for slot in self.slots)
        return [
            comment(f"{self.model.name}, written by qsearch {__version__}."),
            comment(f"{self.tables.bytes} bytes of constants, {size} bytes of static memory; not reentrant."),
            "",
        ]

    def _function(self, group: Group) -> tuple[list[str], str]:
        """(the function of a group, the call of it)."""
        step, last = group.head, group.last
        result = stored_format(last.form)
        site = Site(
            group=group,
            shapes=self.shapes,
            formats=self.forms,
            result=result,
            tables=self.tables,
            rounding=self.rounding,
        )
        read = [self._pointer(name) for name in group.inputs]
        name = self.names.new(last.name)
        parameters = [f"const {kind} *x{at}" for at, (kind, _) in enumerate(read)]
        told = [
            comment(
                f"{part.name}: {type(part.operation).__name__}, {_sides(self.shapes[part.name])}, {meaning(part.form)}"
            )
            for part in (step, *group.tail)
        ]
        lines = [
            *told,
            f"static void {name}({', '.join([*parameters, f'{result} *y'])})",
            "{",
            *indented(body(site)),
            "}",
            "",
        ]
        arguments = [*(pointer for _, pointer in read), self._pointer(last.name)[1]]
        return lines, f"{name}({', '.join(arguments)});"

    def _pointer(self, name: str) -> tuple[str, str]:
        """(the type of a tensor's codes, where they are)."""
        for source, port in zip(self.model.sources, self.inputs, strict=True):
            if source.name == name:
                return port.kind, port.name
        kind = stored_format(self.forms[name])
        return kind, f"{self.memory[self.places[name].index]}.{_member(kind)}"

    def _memory(self) -> list[str]:
        """A union for each piece, with a member for each type that lies in it."""
        lines: list[str] = []
        for name, slot in zip(self.memory, self.slots, strict=True):
            members = [f"    {kind} {_member(kind)}[{count}];" for kind, count in _members(slot)]
            lines += ["static union {", *members, f"}} {name}; {comment(f'{slot.bytes} bytes')}", ""]
        return lines

    def _run(self, calls: list[str]) -> list[str]:
        parameters = [f"const {port.kind} *{port.name}" for port in self.inputs]
        parameters += [f"{port.kind} *{port.name}" for port in self.outputs]
        copies: list[str] = []
        for output, port in zip(self.model.outputs, self.outputs, strict=True):
            copies += loop("i", port.cells, [f"{port.name}[i] = {self._pointer(output.step)[1]}[i];"])
        return [
            *(comment(port.told) for port in (*self.inputs, *self.outputs)),
            f"static inline void {self.run}({', '.join(parameters)})",
            "{",
            *indented([*calls, *copies]),
            "}",
            "",
        ]


def _sides(shape: tuple[int, ...]) -> str:
    return f"{math.prod(shape)} codes ({' x '.join(map(str, shape)) or '1'})"


def _member(kind: str) -> str:
    return kind.removesuffix("_t")


def _members(slot: Slot) -> list[tuple[str, int]]:
    return sorted(slot.cells.items(), key=lambda item: width(item[0]))
