"""The steps of an integer model in the making, with their formats and shapes."""

from __future__ import annotations

from collections.abc import Hashable

import numpy

from qsearch.hardware.integer.formats import Format, checked
from qsearch.hardware.integer.model import Source, Step, fits_float32
from qsearch.hardware.integer.operations import Operation, Thresholds, Uniform
from qsearch.hardware.integer.steps import Function, rule_of

Shape = tuple[int, ...]
Made = tuple[Operation, Format]


class Chain:
    """Steps one behind the other; `forms` and `shapes` are of sources and steps, by name."""

    def __init__(self) -> None:
        self.sources: list[Source] = []
        self.steps: list[Step] = []
        self.forms: dict[str, Format] = {}
        self.shapes: dict[str, Shape] = {}
        self._rules: dict[Hashable, tuple[Uniform | Thresholds, Format]] = {}

    def add_source(self, source: Source) -> str:
        self.sources.append(source)
        self.forms[source.name], self.shapes[source.name] = source.form, source.shape
        return source.name

    def add(self, layer: str, name: str, made: Made, *inputs: str) -> str:
        """The name of a new step, which may be longer than the one that is asked for.

        Raises:
            ExportError: its numbers need more bits than can be computed with.
        """
        operation, form = made
        while name in self.forms:
            name += "_"
        self.forms[name] = checked(layer, form)
        # as the operation itself says: steps inside a layer have shapes of their own
        zeros = [numpy.zeros((1, *self.shapes[one]), numpy.int64) for one in inputs]
        self.shapes[name] = operation(*zeros).shape[1:]
        self.steps.append(
            Step(
                name=name,
                layer=layer,
                inputs=inputs,
                operation=operation,
                form=form,
                shape=self.shapes[name],
                exact=form.divisor == 1 and fits_float32(form),
            )
        )
        return name

    def rule(self, layer: str, name: str, function: Function, source: str, key: Hashable = None) -> str:
        """The step of an elementwise function; functions of one key are one and the same."""
        form = self.forms[source]
        found = self._rules.get((key, form)) if key is not None else None
        if found is None:
            found = rule_of(layer, function, form)
            if key is not None:
                self._rules[key, form] = found
        return self.add(layer, name, found, source)
