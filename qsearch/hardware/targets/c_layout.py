"""Which steps are computed in one go, and in which memory their results lie."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy

from qsearch.hardware.integer.model import IntegerModel, Step
from qsearch.hardware.integer.operations import ChannelThresholds, Clamp, Merge, Reshape, Scale, Thresholds, Uniform
from qsearch.hardware.targets.c_text import stored_format, width

BY_ELEMENT = (Uniform, Thresholds, ChannelThresholds, Clamp, Scale, Reshape)
"""What is computed of one code at a time: it needs no memory of its own behind another step."""


@dataclass(frozen=True)
class Group:
    """A step, and those behind it that work on each of its results as soon as it is there."""

    head: Step
    tail: tuple[Step, ...]

    @property
    def last(self) -> Step:
        return self.tail[-1] if self.tail else self.head

    @property
    def inputs(self) -> tuple[str, ...]:
        """Of the head, then what merges behind it read beside its results."""
        names, before = list(self.head.inputs), self.head.name
        for step in self.tail:
            names += [name for name in step.inputs if name != before]
            before = step.name
        return tuple(names)


@dataclass
class Slot:
    """A piece of static memory, used by one tensor after another.

    Attributes:
        cells: of every type that lies in it.
        free_at: the group from which on it is free again.
    """

    index: int
    cells: dict[str, int]
    free_at: int

    @property
    def bytes(self) -> int:
        return max(count * width(kind) for kind, count in self.cells.items())


def groups_of(model: IntegerModel, shapes: Mapping[str, tuple[int, ...]]) -> list[Group]:
    """The steps in order, each with the elementwise ones behind it that alone read it."""
    wanted = {output.step for output in model.outputs}
    readers: dict[str, list[Step]] = {}
    for step in model.steps:
        for name in step.inputs:
            readers.setdefault(name, []).append(step)
    groups, taken = [], set()
    known = {source.name for source in model.sources}
    for step in model.steps:
        if step.name in taken:
            continue
        tail: list[Step] = []
        last = step
        while last.name not in wanted and len(readers.get(last.name, ())) == 1:
            (following,) = readers[last.name]
            beside = [name for name in following.inputs if name != last.name]
            merges = isinstance(following.operation, Merge) and known.issuperset(beside)
            same = all(shapes[name] == shapes[following.name] for name in following.inputs)
            if not isinstance(following.operation, BY_ELEMENT) and not (merges and same):
                break
            tail.append(following)
            last = following
        taken |= {step.name, *(part.name for part in tail)}
        known.add(last.name)
        groups.append(Group(step, tuple(tail)))
    return groups


def shapes_of(model: IntegerModel) -> dict[str, tuple[int, ...]]:
    """The shapes of inputs and steps, the batch axis not counted, as the operations themselves give them."""
    zeros = {source.name: numpy.zeros((1, *source.shape), numpy.int64) for source in model.sources}
    return {name: codes.shape[1:] for name, codes in model.run(zeros, every=True).items()}


def slots_of(
    groups: Sequence[Group], shapes: Mapping[str, tuple[int, ...]], outputs: frozenset[str]
) -> tuple[list[Slot], dict[str, Slot]]:
    """(the memory, where the result of each group lies): in order, each in the free slot that fits best."""
    read = {name: at for at, group in enumerate(groups) for name in group.inputs}
    read |= {name: len(groups) for name in outputs}
    slots: list[Slot] = []
    places = {}
    for at, group in enumerate(groups):
        step = group.last
        kind, cells = stored_format(step.form), max(math.prod(shapes[step.name]), 1)
        slot = _best([slot for slot in slots if slot.free_at < at], cells * width(kind))
        if slot is None:
            slot = Slot(len(slots), {}, 0)
            slots.append(slot)
        slot.cells[kind] = max(slot.cells.get(kind, 0), cells)
        slot.free_at = read.get(step.name, at)
        places[step.name] = slot
    return slots, places


def _best(free: list[Slot], size: int) -> Slot | None:
    """The smallest that is large enough, else the largest, which then grows."""
    large = [slot for slot in free if slot.bytes >= size]
    if large:
        return min(large, key=lambda slot: slot.bytes)
    return max(free, key=lambda slot: slot.bytes, default=None)
