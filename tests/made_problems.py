"""Problems of small networks with prices and losses by chance."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy

from qsearch.sensitivity.problem import Chosen, Priced, Problem, Signals, Term


def term(
    rng: numpy.random.Generator, name: str, dimensions: tuple[int, ...], inputs: tuple[int, ...], output: int
) -> Term:
    """A term with prices by chance, of three signals; one price in twenty is no model at all."""
    known: dict[tuple[Chosen, Signals], Priced] = {}

    def price(chosen: Chosen, signals: Signals) -> Priced:
        key = (chosen, signals)
        if key not in known:
            own = numpy.random.default_rng([seed, *chosen, *signals, 7])
            cost = math.inf if own.random() < 0.05 else float(own.integers(1, 1000))
            known[key] = int(own.integers(3)), cost
        return known[key]

    seed = int(rng.integers(1 << 30))
    return Term(name=name, dimensions=dimensions, inputs=inputs, output=output, price=price)


def chain(rng: numpy.random.Generator) -> list[Term]:
    return [term(rng, f"t{i}", (i,), (i,), i + 1) for i in range(6)]


def residual(rng: numpy.random.Generator) -> list[Term]:
    """Dimension 0 is the width of both layers whose outputs are added; two producers meet in the sum."""
    return [
        term(rng, "first", (0, 1), (0,), 1),
        term(rng, "inner", (2,), (1,), 2),
        term(rng, "second", (0, 3), (2,), 3),
        term(rng, "add", (), (1, 3), 4),
        term(rng, "head", (4, 5), (4,), 5),
    ]


def two_inputs(rng: numpy.random.Generator) -> list[Term]:
    return [
        term(rng, "left", (0, 1), (0,), 2),
        term(rng, "right", (2,), (1,), 3),
        term(rng, "again", (0,), (3,), 4),  # a layer that is called twice
        term(rng, "merge", (3,), (2, 4, 2), 5),
        term(rng, "head", (4, 5), (5,), 6),
        term(rng, "other head", (), (3,), 7),
    ]


NETWORKS: dict[str, tuple[Callable[[numpy.random.Generator], list[Term]], dict[int, int]]] = {
    "chain": (chain, {0: 0}),
    "residual": (residual, {0: 1}),
    "two inputs": (two_inputs, {0: 0, 1: 2}),
}


def problem(name: str, seed: int) -> Problem:
    """One of the networks, with losses by chance."""
    make, sources = NETWORKS[name]
    rng = numpy.random.default_rng(seed)
    terms = make(rng)
    losses = tuple(tuple(float(x) for x in rng.normal(size=int(rng.integers(2, 5)))) for _ in range(6))
    return Problem(losses=losses, terms=tuple(terms), sources=sources)


def possible(of: Problem) -> Problem:
    """The same, where what was no model costs 500."""

    def priced(one: Term) -> Term:
        def price(chosen: Chosen, signals: Signals) -> Priced:
            signal, cost = one.price(chosen, signals)
            return signal, 500.0 if cost == math.inf else cost

        return replace(one, price=price)

    return replace(of, terms=tuple(map(priced, of.terms)))
