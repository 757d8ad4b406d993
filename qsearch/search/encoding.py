"""Values of a search space as vectors in which near means alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

from qsearch.plan import Role
from qsearch.quantizers.formats import number_format
from qsearch.quantizers.number_types import Kind
from qsearch.quantizers.spec import QuantizerSpec
from qsearch.search.space import LEARNING_RATE, Choice, SearchSpace, Values

Matrix = NDArray[numpy.float64]

FILTERS = "filters"
"""The group of dimensions that choose a width; those that choose a quantizer are grouped by role."""

_KINDS = 0.25
"""How far apart two options of equal size are that differ in kind, against 1 for a doubling of bits or of width."""


_ALIKE: Mapping[Role, Role] = {
    Role.POINTWISE: Role.KERNEL,
    Role.RECURRENT: Role.KERNEL,
    Role.RECURRENT_ACTIVATION: Role.ACTIVATION,
    Role.STATE: Role.ACTIVATION,
    Role.OUTPUT: Role.ACTIVATION,
}
"""Roles that are of one size with others: kernels of all kinds, and whatever is handed on."""


def groups(space: SearchSpace) -> dict[str, str]:
    """What each dimension chooses: a role's quantizer, a width, or a learning rate."""
    chosen_by: dict[str, str] = {}
    for layer in space.layers:
        for role, name in layer.dimensions.items():
            chosen_by[name] = _ALIKE.get(role, role).value
        if layer.filters_dimension is not None:
            chosen_by[layer.filters_dimension] = FILTERS
    return {dimension.name: chosen_by.get(dimension.name, LEARNING_RATE) for dimension in space.dimensions}


def size(group: str, option: Choice) -> float:
    """The doublings of bits, or of width, that an option stands for."""
    if not isinstance(option, QuantizerSpec):
        return math.log2(option) if group == FILTERS else option / 4
    form = number_format(option)
    bits = {Kind.BINARY: 1.0, Kind.TERNARY: 1.6}.get(form.kind, float(form.bits))
    # a power of two spends its bits on range
    return math.log2(bits) - (0.5 if form.kind is Kind.POWER_OF_TWO else 0.0)


@dataclass(frozen=True)
class Encoding:
    """Vectors of values: the mean size of each group, then every dimension's own."""

    space: SearchSpace
    tables: Mapping[str, Mapping[Choice, Sequence[float]]]
    groups: Mapping[str, str]

    @classmethod
    def of(cls, space: SearchSpace) -> Encoding:
        kinds = groups(space)
        tables: dict[str, dict[Choice, list[float]]] = {}
        for dimension in space.dimensions:
            count = len(dimension.options)
            table = {}
            for index, option in enumerate(dimension.options):
                one_hot = [_KINDS if index == other else 0.0 for other in range(count)]
                table[option] = [size(kinds[dimension.name], option), *one_hot]
            tables[dimension.name] = table
        return cls(space, tables, kinds)

    def vectors(self, many: Sequence[Values]) -> Matrix:
        """(values, features); means of groups weigh as much as all their dimensions together."""
        own = [numpy.array([self.tables[d.name][values[d.name]] for values in many]) for d in self.space.dimensions]
        names = list(dict.fromkeys(self.groups.values()))
        means = []
        for name in names:
            members = [own[index][:, 0] for index, d in enumerate(self.space.dimensions) if self.groups[d.name] == name]
            means.append(numpy.mean(members, axis=0))
        scale = 1 / math.sqrt(len(self.space.dimensions))
        return numpy.concatenate([numpy.stack(means, axis=1), *(part * scale for part in own)], axis=1)
