"""What to try next, when the cost of everything is known and only the metric has to be learned.

First a few uniform plans, spread over the costs. Then, again and again: children of the best trials so far are made by
changing a few of their choices; a model of the metric, learned from all trials, and the exact cost of every child tell
what score it promises; the most promising one is tried, starting from the weights of the trial that it is nearest to.
The promise is the expected improvement (Mockus 1975; Jones et al. 1998, doi:10.1023/A:1008306431147) of the best score,
or of the hypervolume of the front (Emmerich et al. 2006, doi:10.1109/TEVC.2005.851275).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

import numpy

from qsearch.goal.target import Target
from qsearch.search.cheapest import cheapest
from qsearch.search.encoding import Encoding, Matrix
from qsearch.search.front import Point, front, hypervolume
from qsearch.search.proposals import Feedback, Proposal
from qsearch.search.space import Choice, SearchSpace, Values
from qsearch.search.surrogate import NODES, WEIGHTS, Surrogate
from qsearch.search.trials import Trial
from qsearch.search.uniform import spread_out, uniform_values

Appraised = tuple[dict[str, Choice], "Appraisal"]

_POOL = 200
"""Children of one generation; generations for one suggestion; parents of the next one."""
_GENERATIONS = 2
_SURVIVORS = 20
_ELITE = 6
_WHOLE = 1500
"""Spaces up to this size are looked at as a whole."""


@dataclass(frozen=True)
class Appraisal:
    """What is known of values before training.

    Attributes:
        identity: equal for values that mean the same plan.
        cost: in the goal's unit.
        delta: what the cost is worth.
        allowed: whether it is inside the budget.
        energy: in pJ.
    """

    identity: Hashable
    cost: float
    delta: float
    allowed: bool = True
    energy: float = math.nan


@dataclass(frozen=True)
class Seen:
    """A trial's values and what came of them."""

    trial: int
    values: Values
    appraisal: Appraisal
    worth: float
    score: float


@dataclass
class Guide:
    """A `Proposer`; deterministic for a seed and what it was told.

    Attributes:
        appraise: what values cost; called for hundreds of candidates a suggestion.
        least: the worst worth that the user accepts; None for any.
        first: how many uniform plans come first.
        whole_front: whether it is after the whole front, and not after the best score.
        dearest: the cost from which on the front's hypervolume counts.
    """

    space: SearchSpace
    appraise: Callable[[Values], Appraisal]
    target: Target
    seed: int
    first: int
    least: float | None = None
    whole_front: bool = False
    dearest: float = math.inf
    seen: list[Seen] = field(default_factory=list)
    tried: set[Hashable] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._encoding = Encoding.of(self.space)
        self._start = self._uniform()
        self._open: Proposal | None = None

    def suggest(self) -> Proposal | None:
        """The next values, or None when nothing is left to try."""
        while self._start:
            values = self._start.pop(0)
            if self._fresh(self.appraise(values)):
                return self._suggestion(values)
        if not self.tried:
            cheapest = self.cheapest()
            return self._suggestion(cheapest) if self._fresh(self.appraise(cheapest)) else None
        rng = numpy.random.default_rng([self.seed, len(self.tried)])
        if self.space.size <= _WHOLE or len(self.seen) < 2:
            pool = self._pool(
                self._everything() if self.space.size <= _WHOLE else self._children(rng, self._parents(rng))
            )
            if len(self.seen) < 2:
                return self._suggestion(pool[int(rng.integers(len(pool)))][0]) if pool else None
            return self._best_of(pool, self._learned())
        return self._evolved(rng)

    def _learned(self) -> Surrogate:
        limit = None if self.target.limit is None else self.target.worth(self.target.limit)
        surrogate = Surrogate(self._encoding, limit)
        surrogate.fit([one.values for one in self.seen], [one.worth for one in self.seen])
        return surrogate

    def _best_of(self, pool: list[Appraised], surrogate: Surrogate) -> Proposal | None:
        if not pool:
            return None
        promise = self._promise(surrogate.predict([values for values, _ in pool]), [one for _, one in pool])
        return self._suggestion(pool[int(numpy.argmax(promise))][0])

    def _evolved(self, rng: numpy.random.Generator) -> Proposal | None:
        """Children of the elite, then children of the most promising of these, and so on."""
        surrogate = self._learned()
        parents = self._parents(rng)
        pool: list[Appraised] = []
        for _ in range(_GENERATIONS):
            pool = self._pool([*(values for values, _ in pool), *self._children(rng, parents)])
            if not pool:
                return None
            promise = self._promise(surrogate.predict([values for values, _ in pool]), [one for _, one in pool])
            order = numpy.argsort(-promise, kind="stable")[:_SURVIVORS]
            pool = [pool[int(place)] for place in order]
            parents = [values for values, _ in pool]
        return self._suggestion(pool[0][0])

    @property
    def total(self) -> int | None:
        """It goes on as long as it is asked."""
        return None

    def next(self) -> Proposal | None:
        """What `suggest` says, which is not suggested again, nor is its like."""
        self._open = self.suggest()
        if self._open is not None:
            self.tried.add(self.appraise(self._open.values).identity)
        return self._open

    def tell(self, told: Feedback) -> None:
        """What came of it; completed trials are learned from."""
        if (
            self._open is not None
            and isinstance(told.trial, Trial)
            and told.score is not None
            and told.worth is not None
        ):
            values = self._open.values
            self.seen.append(Seen(told.trial.number, values, self.appraise(values), told.worth, told.score))

    def continues(self) -> frozenset[int]:
        """Trials whose weights a later one may start from."""
        return frozenset(seen.trial for seen in self.elite())

    def cheapest(self) -> dict[str, Choice]:
        """Values of the least cost."""
        return cheapest(self.space, lambda values: self.appraise(values).cost)

    def elite(self) -> list[Seen]:
        """The trials that children may come from: the best by score, and the front where that is wanted."""
        allowed = [one for one in self.seen if self.least is None or one.worth >= self.least] or self.seen
        best = sorted(allowed, key=lambda one: (-one.score, one.trial))[:_ELITE]
        if self.whole_front:
            members = front([Point(one.worth, one.appraisal.cost) for one in self.seen])
            best += [self.seen[place] for place in members if self.seen[place] not in best]
        return best

    def _fresh(self, appraisal: Appraisal) -> bool:
        return appraisal.allowed and appraisal.identity not in self.tried and self._can_win(appraisal)

    def _can_win(self, appraisal: Appraisal) -> bool:
        bound = self.target.bound(appraisal.delta)
        if self.whole_front or bound is None or not self.seen:
            return True
        best = max((one.score for one in self.seen if self.least is None or one.worth >= self.least), default=None)
        return best is None or bound > best

    def _uniform(self) -> list[dict[str, Choice]]:
        values = uniform_values(self.space)
        allowed = [one for one in values if self.appraise(one).allowed]
        chosen = spread_out(allowed, lambda one: self.appraise(one).cost, self.space, self.first)
        # from the middle outwards: that is where most is learned about both ends
        middle = (len(chosen) - 1) / 2
        order = sorted(range(len(chosen)), key=lambda place: (abs(place - middle), place))
        return [dict(allowed[chosen[place]]) for place in order]

    def _pool(self, candidates: Sequence[dict[str, Choice]]) -> list[Appraised]:
        """Those of the candidates that may be tried, each plan once."""
        found: dict[Hashable, Appraised] = {}
        for values in candidates:
            appraisal = self.appraise(values)
            if self._fresh(appraisal):
                found.setdefault(appraisal.identity, (values, appraisal))
        return list(found.values())

    def _everything(self) -> list[dict[str, Choice]]:
        found: list[dict[str, Choice]] = [{}]
        for dimension in self.space.dimensions:
            found = [{**values, dimension.name: option} for values in found for option in dimension.options]
        return found

    def _parents(self, rng: numpy.random.Generator) -> list[dict[str, Choice]]:
        return [dict(one.values) for one in self.elite()] or [self._random(rng)]

    def _children(self, rng: numpy.random.Generator, parents: Sequence[dict[str, Choice]]) -> list[dict[str, Choice]]:
        names = [dimension.name for dimension in self.space.dimensions if len(dimension.options) > 1]
        options = {dimension.name: dimension.options for dimension in self.space.dimensions}
        found: list[dict[str, Choice]] = []
        for number in range(_POOL):
            child = dict(parents[number % len(parents)])
            kind = rng.random()
            if kind < 0.05:
                child = self._random(rng)
            elif kind < 0.3 and len(parents) > 1:
                other = parents[int(rng.integers(len(parents)))]
                child = {name: (child if rng.random() < 0.5 else other)[name] for name in child}
            changes = int(rng.geometric(0.45))
            for name in rng.choice(names, min(changes, len(names)), replace=False):
                child[str(name)] = options[str(name)][int(rng.integers(len(options[str(name)])))]
            found.append(child)
        return found

    def _random(self, rng: numpy.random.Generator) -> dict[str, Choice]:
        return {d.name: d.options[int(rng.integers(len(d.options)))] for d in self.space.dimensions}

    def _promise(self, worths: Matrix, appraisals: Sequence[Appraisal]) -> Matrix:
        """The expected improvement of each candidate."""
        gain = self._gain_in_front if self.whole_front else self._gain_in_score
        found = numpy.zeros(len(appraisals))
        for weight, level in zip(WEIGHTS, worths, strict=True):
            found += weight * gain(level, appraisals)
        # where nothing promises an improvement, the best guess is as good as any
        middle: Matrix = gain(worths[len(NODES) // 2], appraisals, from_best=False)
        return found if found.max() > 0 else middle

    def _gain_in_score(self, worths: Matrix, appraisals: Sequence[Appraisal], from_best: bool = True) -> Matrix:
        signs = 1.0 if self.target.maximize else -1.0
        scores: Matrix = numpy.array(
            [self.target.score(signs * worth, one.delta) for worth, one in zip(worths, appraisals, strict=True)]
        )
        if self.least is not None:
            # outside what the user accepts nothing is gained
            scores = numpy.where(worths >= self.least, scores, scores.min() - 1)
        allowed = [one.score for one in self.seen if self.least is None or one.worth >= self.least]
        if not from_best:
            return scores
        gains: Matrix = numpy.maximum(scores - max(allowed or [scores.min()]), 0)
        return gains

    def _gain_in_front(self, worths: Matrix, appraisals: Sequence[Appraisal], from_best: bool = True) -> Matrix:
        points = [Point(one.worth, one.appraisal.cost) for one in self.seen]
        corner = Point(min(point.worth for point in points) if self.least is None else self.least, self.dearest)
        members = [points[place] for place in front(points)]
        before = hypervolume(members, corner)
        areas = [
            hypervolume([*members, Point(float(worth), one.cost)], corner)
            for worth, one in zip(worths, appraisals, strict=True)
        ]
        return numpy.array(areas) - (before if from_best else 0)

    def _suggestion(self, values: dict[str, Choice]) -> Proposal:
        candidates = self.elite()
        if not candidates:
            return Proposal(values)
        vectors = self._encoding.vectors([values, *(one.values for one in candidates)])
        distances = numpy.linalg.norm(vectors[1:] - vectors[0], axis=1)
        return Proposal(values, parent=candidates[int(numpy.argmin(distances))].trial)
