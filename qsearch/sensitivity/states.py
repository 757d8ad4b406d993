"""The states that a problem goes through along its terms: what later terms can still see of what was chosen."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from qsearch.sensitivity.problem import Problem

State: TypeAlias = tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]
"""(signals by place, options by dimension) that later terms depend on."""
New: TypeAlias = tuple[tuple[int, int], ...]
"""(a dimension, the option that is chosen of it), for each that was not chosen before."""


class Transition(NamedTuple):
    """What a term can choose in a state; the cost is infinite where it means no model."""

    after: State
    new: New
    cost: float


@dataclass(frozen=True)
class States:
    """The states of a problem.

    Attributes:
        last_signal: by place, the last term that reads it.
        last_dimension: by dimension, the last term that depends on it.
    """

    problem: Problem
    last_signal: Mapping[int, int]
    last_dimension: Mapping[int, int]

    @classmethod
    def of(cls, problem: Problem) -> States:
        signals = {place: index for index, term in enumerate(problem.terms) for place in term.inputs}
        dimensions = {name: index for index, term in enumerate(problem.terms) for name in term.dimensions}
        return cls(problem, signals, dimensions)

    @property
    def start(self) -> State:
        """Before the first term."""
        sources = sorted(self.problem.sources.items())
        return tuple((place, signal) for place, signal in sources if place in self.last_signal), ()

    def transitions(self, index: int, state: State) -> Iterator[Transition]:
        """All that the term of this index can choose in a state."""
        term = self.problem.terms[index]
        signals, options = dict(state[0]), dict(state[1])
        read = tuple(signals[place] for place in term.inputs)
        fresh = [number for number in term.dimensions if number not in options]
        kept_signals = [(place, signal) for place, signal in signals.items() if self.last_signal[place] > index]
        kept_options = [(number, option) for number, option in options.items() if self.last_dimension[number] > index]
        for picked in itertools.product(*(range(len(self.problem.losses[number])) for number in fresh)):
            new = tuple(zip(fresh, picked, strict=True))
            own = options | dict(new)
            signal, cost = term.price(tuple(own[number] for number in term.dimensions), read)
            given = [(term.output, signal)] if self.last_signal.get(term.output, -1) > index else []
            carried = [(number, option) for number, option in new if self.last_dimension[number] > index]
            yield Transition(
                (tuple(sorted((*kept_signals, *given))), tuple(sorted((*kept_options, *carried)))), new, cost
            )
