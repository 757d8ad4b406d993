"""What to try next, when the cost of everything is known and only the metric has to be learned.

First a few plans that are known to be sensible, spread over the costs: uniform ones, or those of the best sums of
sensitivities. Then, again and again: children of the best trials so far are made by
changing a few of their choices; a model of the metric, learned from all trials, and the exact cost of every child tell
what score it promises; the most promising one is tried, starting from the weights of the trial that it is nearest to.
The promise is the expected improvement (Mockus 1975; Jones et al. 1998, doi:10.1023/A:1008306431147) of the best score,
or of the hypervolume of the front (Emmerich et al. 2006, doi:10.1109/TEVC.2005.851275).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeGuard

import numpy

from qsearch.goal.price import Price
from qsearch.goal.target import Target
from qsearch.search.candidates import Candidate, Candidates, Unpriced
from qsearch.search.cheapest import cheapest
from qsearch.search.children import children, random_values
from qsearch.search.encoding import Encoding, Matrix
from qsearch.search.front import Point, front, hypervolume
from qsearch.search.proposals import Feedback, Proposal
from qsearch.search.space import Choice, Values
from qsearch.search.surrogate import NODES, WEIGHTS, Surrogate
from qsearch.search.uniform import evenly, spread_out, uniform_values

_POOL = 200
"""Children of one generation; generations for one suggestion; parents of the next one."""
_GENERATIONS = 2
_SURVIVORS = 20
_ELITE = 6
_REPAIRED = 40
"""Children that are brought inside the budget where none is by itself."""
_WHOLE = 1500
"""Spaces up to this size are looked at as a whole."""


@dataclass(frozen=True)
class Seen:
    """A trial's candidate and what came of it."""

    trial: int
    candidate: Candidate
    worth: float
    score: float


@dataclass(kw_only=True)
class Guide:
    """A `Proposer`; what it suggests depends on its seed, what it was told, and what is open, and on nothing else.

    Attributes:
        candidates: prices values; asked for hundreds of them a suggestion.
        least: the worst worth that the user accepts; None for any.
        first: how many plans come before anything was learned.
        start: gives plans to take these from; uniform ones fill up where there are too few.
        whole_front: whether it is after the whole front, and not after the best score.
        dearest: the cost from which on the front's hypervolume counts.
        seen: completed trials; tried: the identities of all that was told; open: what was not told yet, by number.
    """

    candidates: Candidates
    target: Target
    seed: int
    first: int
    start: Callable[[], Sequence[Values]] = tuple
    least: float | None = None
    whole_front: bool = False
    dearest: float = math.inf
    seen: list[Seen] = field(default_factory=list)
    tried: set[Hashable] = field(default_factory=set)
    open: dict[int, Proposal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._space = self.candidates.space
        self._encoding = Encoding.of(self._space)

    @property
    def total(self) -> int | None:
        """It goes on as long as it is asked."""
        return None

    @property
    def same_with_workers(self) -> bool:
        return False

    def ask(self, number: int) -> Proposal | None:
        """What `suggest` says, which is not suggested again while it is open, nor is its like."""
        if number not in self.open:
            proposal = self.suggest()
            if proposal is None:
                return None
            self.open[number] = proposal
        return self.open[number]

    def recall(self, number: int, earlier: Proposal) -> Proposal | None:
        """It learns from any plan, also from one that it would not suggest any more within another budget."""
        if not self._space.has(earlier.values):
            return self.ask(number)
        self.open[number] = replace(earlier, candidate=self.candidates.of(earlier.values))
        return self.open[number]

    def tell(self, number: int, feedback: Feedback) -> None:
        """What came of it; completed trials are learned from."""
        candidate = self.open.pop(number).candidate
        self.tried.add(candidate.identity)
        if (
            isinstance(candidate, Candidate)
            and feedback.completed
            and feedback.score is not None
            and feedback.worth is not None
        ):
            self.seen.append(Seen(number, candidate, feedback.worth, feedback.score))

    def continues(self) -> frozenset[int]:
        """Trials whose weights a later one may start from."""
        parents = {proposal.parent for proposal in self.open.values() if proposal.parent is not None}
        return frozenset({seen.trial for seen in self.elite()} | parents)

    def suggest(self) -> Proposal | None:
        """The next proposal, or None when nothing is left to try. Changes nothing."""
        tried = self.tried | {proposal.candidate.identity for proposal in self.open.values()}
        for candidate in self._start:
            if self._fresh(candidate, tried):
                return self._proposal(candidate)
        if not tried:
            cheapest = self.cheapest()
            return self._proposal(cheapest) if self._fresh(cheapest, tried) else None
        rng = numpy.random.default_rng([self.seed, len(tried)])
        if self._space.size <= _WHOLE or len(self.seen) < 2:
            whole = self._space.size <= _WHOLE
            pool = self._pool(self._everything(), tried) if whole else self._offspring(rng, self._parents(rng), tried)
            if len(self.seen) < 2:
                return self._proposal(pool[int(rng.integers(len(pool)))]) if pool else None
            return self._best_of(pool)
        return self._evolved(rng, tried)

    def _learned(self) -> tuple[Surrogate, list[Seen]]:
        """The model of the metric, and all trials that it was learned from: open ones as it believes that they end.

        With these it knows most where trials are going on already, so that the next one goes elsewhere: the Kriging
        believer (Ginsbourger et al. 2010, doi:10.1007/978-3-642-10701-6_6).
        """
        limit = None if self.target.limit is None else self.target.worth(self.target.limit)
        surrogate, known = Surrogate(self._encoding, limit), list(self.seen)
        surrogate.fit([seen.candidate.values for seen in known], [seen.worth for seen in known])
        going_on = [
            (number, one.candidate) for number, one in self.open.items() if isinstance(one.candidate, Candidate)
        ]
        if going_on:
            worths = surrogate.predict([candidate.values for _, candidate in going_on])[len(NODES) // 2]
            known += [
                Seen(number, candidate, float(worth), self._score(float(worth), candidate.price))
                for (number, candidate), worth in zip(going_on, worths, strict=True)
            ]
            surrogate.fit([seen.candidate.values for seen in known], [seen.worth for seen in known])
        return surrogate, known

    def _score(self, worth: float, price: Price) -> float:
        return self.target.score(worth if self.target.maximize else -worth, price.delta)

    def _best_of(self, pool: list[Candidate]) -> Proposal | None:
        if not pool:
            return None
        surrogate, known = self._learned()
        return self._proposal(pool[int(numpy.argmax(self._promise(surrogate, known, pool)))])

    def _evolved(self, rng: numpy.random.Generator, tried: Set[Hashable]) -> Proposal | None:
        """Children of the elite, then children of the most promising of these, and so on."""
        surrogate, known = self._learned()
        parents = self._parents(rng)
        pool: list[Candidate] = []
        for _ in range(_GENERATIONS):
            pool = self._offspring(rng, parents, tried, [candidate.values for candidate in pool])
            if not pool:
                return None
            order = numpy.argsort(-self._promise(surrogate, known, pool), kind="stable")[:_SURVIVORS]
            pool = [pool[int(index)] for index in order]
            parents = [candidate.values for candidate in pool]
        return self._proposal(pool[0])

    def cheapest(self) -> Candidate | Unpriced:
        """Of all candidates, the one of the least cost inside the budget; where none is inside, the nearest to it."""

        def cost(values: Values) -> tuple[float, float]:
            candidate = self.candidates.of(values)
            if not isinstance(candidate, Candidate):
                return math.inf, math.inf
            return candidate.price.excess, candidate.price.final_cost

        return self.candidates.of(cheapest(self._space, cost))

    def elite(self) -> list[Seen]:
        """The trials that children may come from: the best by score, and the front where that is wanted."""
        best = sorted(self._accepted(self.seen) or self.seen, key=lambda seen: (-seen.score, seen.trial))[:_ELITE]
        if self.whole_front:
            best += [self.seen[index] for index in front(self._points(self.seen)) if self.seen[index] not in best]
        return best

    def _accepted(self, known: Sequence[Seen]) -> list[Seen]:
        within = [seen for seen in known if seen.candidate.price.objection is None]
        return [seen for seen in within if self.least is None or seen.worth >= self.least]

    def _points(self, known: Sequence[Seen]) -> list[Point]:
        return [Point(seen.worth, seen.candidate.price.final_cost) for seen in known]

    def _fresh(self, candidate: Candidate | Unpriced, tried: Set[Hashable]) -> TypeGuard[Candidate]:
        return (
            isinstance(candidate, Candidate)
            and candidate.price.objection is None
            and candidate.identity not in tried
            and self._can_win(candidate)
        )

    def _can_win(self, candidate: Candidate) -> bool:
        bound = self.target.bound(candidate.price.delta)
        if self.whole_front or bound is None or not self.seen:
            return True
        best = max((seen.score for seen in self._accepted(self.seen)), default=None)
        return best is None or bound > best

    @cached_property
    def _start(self) -> tuple[Candidate, ...]:
        """Plans to begin with. From the middle outwards: that is where most is learned about both ends."""
        given = sorted(self._allowed(self.start()) if self.first else [], key=lambda one: one.price.final_cost)
        chosen = [given[place] for place in evenly([one.price.final_cost for one in given], self.first)]
        if len(chosen) < self.first:
            known = {one.identity for one in chosen}
            chosen += [one for one in self._uniform() if one.identity not in known][: self.first - len(chosen)]
            chosen.sort(key=lambda one: one.price.final_cost)
        middle = (len(chosen) - 1) / 2
        order = sorted(range(len(chosen)), key=lambda index: (abs(index - middle), index))
        return tuple(chosen[index] for index in order)

    def _uniform(self) -> list[Candidate]:
        allowed = self._allowed(uniform_values(self._space))
        costs = [candidate.price.final_cost for candidate in allowed]
        chosen = spread_out([candidate.values for candidate in allowed], costs, self._space, self.first)
        return [allowed[index] for index in chosen]

    def _allowed(self, values: Sequence[Values]) -> list[Candidate]:
        candidates = map(self.candidates.of, values)
        return [one for one in candidates if isinstance(one, Candidate) and one.price.objection is None]

    def _pool(self, values: Sequence[Values], tried: Set[Hashable]) -> list[Candidate]:
        """Those of the candidates that may be tried, each plan once."""
        pool: dict[Hashable, Candidate] = {}
        for candidate in map(self.candidates.of, values):
            if self._fresh(candidate, tried):
                pool.setdefault(candidate.identity, candidate)
        return list(pool.values())

    def _everything(self) -> list[dict[str, Choice]]:
        every: list[dict[str, Choice]] = [{}]
        for dimension in self._space.dimensions:
            every = [{**values, dimension.name: option} for values in every for option in dimension.options]
        return every

    def _parents(self, rng: numpy.random.Generator) -> list[Values]:
        return [seen.candidate.values for seen in self.elite()] or [random_values(self._space, rng)]

    def _offspring(
        self,
        rng: numpy.random.Generator,
        parents: Sequence[Values],
        tried: Set[Hashable],
        further: Sequence[Values] = (),
    ) -> list[Candidate]:
        """Children that may be tried, and what is there already; where the budget leaves none, some are changed."""
        made = children(self._space, rng, parents, _POOL)
        pool = self._pool([*further, *made], tried)
        return pool or self._pool([self._nearer(child, rng) for child in made[:_REPAIRED]], tried)

    def _nearer(self, values: Values, rng: numpy.random.Generator) -> Values:
        """Values nearer to the budget: choices in any order, each the nearest one to it, until they are inside."""
        options = {dimension.name: dimension.options for dimension in self._space.dimensions}
        for index in rng.permutation(len(options)):
            if not self._excess(values):
                break
            name = [*options][int(index)]
            values = min(({**values, name: option} for option in options[name]), key=self._excess)
        return values

    def _excess(self, values: Values) -> float:
        candidate = self.candidates.of(values)
        return candidate.price.excess if isinstance(candidate, Candidate) else math.inf

    def _promise(self, surrogate: Surrogate, known: Sequence[Seen], pool: Sequence[Candidate]) -> Matrix:
        """The expected improvement of each candidate on what is known."""
        worths = surrogate.predict([candidate.values for candidate in pool])
        prices = [candidate.price for candidate in pool]
        gain = self._gain_in_front if self.whole_front else self._gain_in_score
        promise = numpy.zeros(len(pool))
        for weight, level in zip(WEIGHTS, worths, strict=True):
            promise += weight * gain(level, prices, known)
        # where nothing promises an improvement, the best guess is as good as any
        middle: Matrix = gain(worths[len(NODES) // 2], prices, known, from_best=False)
        return promise if promise.max() > 0 else middle

    def _gain_in_score(
        self, worths: Matrix, prices: Sequence[Price], known: Sequence[Seen], from_best: bool = True
    ) -> Matrix:
        scores: Matrix = numpy.array(
            [self._score(float(worth), price) for worth, price in zip(worths, prices, strict=True)]
        )
        if self.least is not None:
            # outside what the user accepts nothing is gained
            scores = numpy.where(worths >= self.least, scores, scores.min() - 1)
        if not from_best:
            return scores
        gains: Matrix = numpy.maximum(scores - max([seen.score for seen in self._accepted(known)] or [scores.min()]), 0)
        return gains

    def _gain_in_front(
        self, worths: Matrix, prices: Sequence[Price], known: Sequence[Seen], from_best: bool = True
    ) -> Matrix:
        points = self._points(known)
        corner = Point(min(point.worth for point in points) if self.least is None else self.least, self.dearest)
        members = [points[index] for index in front(points)]
        before = hypervolume(members, corner)
        areas = [
            hypervolume([*members, Point(float(worth), price.final_cost)], corner)
            for worth, price in zip(worths, prices, strict=True)
        ]
        return numpy.array(areas) - (before if from_best else 0)

    def _proposal(self, candidate: Candidate) -> Proposal:
        """To be trained from the weights of the trial that it is nearest to."""
        elite = self.elite()
        if not elite:
            return Proposal(candidate)
        vectors = self._encoding.vectors([candidate.values, *(seen.candidate.values for seen in elite)])
        distances = numpy.linalg.norm(vectors[1:] - vectors[0], axis=1)
        return Proposal(candidate, parent=elite[int(numpy.argmin(distances))].trial)
