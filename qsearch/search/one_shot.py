"""Trials of the plans that shared weights rank highest; where the ranking turns out wrong, a guided search."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

from qsearch.search.candidates import Candidate, Unpriced
from qsearch.search.correlation import kendall_tau
from qsearch.search.draws import allowed
from qsearch.search.guide import Guide
from qsearch.search.proposals import SHARED, Feedback, Proposal
from qsearch.search.ranking import Ranked

ENOUGH = 6
"""Fine-tuned plans from which on the ranking is judged."""
LEAST_TAU = 0.5
"""Of a ranking that is believed."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What the order of the shared weights was worth.

    Attributes:
        compared: plans that were fine-tuned from the shared weights.
        tau: Kendall's tau-b between their metrics before and after (doi:10.2307/2332226); None of fewer than two, or
            where one of them does not differ.
        fell_back: the trial after which the search went on as a guided one; None: it never did.
    """

    compared: int
    tau: float | None
    fell_back: int | None


@dataclass(frozen=True, kw_only=True)
class SharedRanking:
    """What a stage of shared training gives to its proposer.

    Attributes:
        plans: the most promising first.
        taken: how many of them become trials, while they are believed; then their children do.
        worth: of a metric, turned so that more is better.
        say: told where the order is not believed any more.
    """

    plans: Sequence[Ranked]
    taken: int
    worth: Callable[[float], float]
    say: Callable[[str], None] = lambda line: None


class OneShot:
    """A `Proposer`: the plans of a ranking in turn, from the shared weights.

    The guide is told of all of them, so that it goes on from their weights: when as many as were wanted are trained, or
    when `ENOUGH` of them are, and their order has a tau below `LEAST_TAU`.
    """

    total = None
    same_with_workers = False

    def __init__(self, ranking: SharedRanking, guide: Guide) -> None:
        self._ranking, self._guide = ranking, guide
        self._before: dict[Hashable, float] = {
            one.candidate.identity: ranking.worth(one.metric) for one in ranking.plans
        }
        self._pairs: list[tuple[float, float]] = []
        self._open: dict[int, Proposal] = {}
        self._tried: set[Hashable] = set()
        self._fell_back: int | None = None

    @property
    def standing(self) -> Standing:
        """What the order has been worth so far."""
        return Standing(compared=len(self._pairs), tau=self._tau(), fell_back=self._fell_back)

    def ask(self, number: int) -> Proposal | None:
        if number in self._open:
            return self._open[number]
        more = self._fell_back is None and len(self._tried) + len(self._open) < self._ranking.taken
        candidate = self._next() if more else None
        return (
            self._guide.ask(number) if candidate is None else self._opened(number, Proposal(candidate, parent=SHARED))
        )

    def recall(self, number: int, earlier: Proposal) -> Proposal | None:
        """What an earlier process took from the ranking is taken again, also where the budget is another one now."""
        if earlier.parent != SHARED:
            return self._guide.recall(number, earlier)
        candidate = self._guide.candidates.of(earlier.values)
        return self._opened(number, replace(earlier, candidate=candidate))

    def tell(self, number: int, feedback: Feedback) -> None:
        proposal = self._open.pop(number, None)
        self._guide.tell(number, feedback)
        if proposal is None:
            return
        identity = proposal.candidate.identity
        self._tried.add(identity)
        before = self._before.get(identity)
        if before is None or feedback.worth is None or not feedback.completed:
            return
        self._pairs.append((before, feedback.worth))
        tau = self._tau()
        if self._fell_back is None and len(self._pairs) >= ENOUGH and (tau is None or tau < LEAST_TAU):
            self._fell_back = number
            self._ranking.say(f"{_judged(tau, len(self._pairs))}: not believed; the search goes on as a guided one")

    def continues(self) -> frozenset[int]:
        return self._guide.continues()

    def _opened(self, number: int, proposal: Proposal) -> Proposal:
        self._open[number] = self._guide.open[number] = proposal
        return proposal

    def _next(self) -> Candidate | None:
        """The first plan that was not tried yet."""
        taken = self._tried | {one.candidate.identity for one in self._open.values()}
        return next((one.candidate for one in self._ranking.plans if _free(one.candidate, taken)), None)

    def _tau(self) -> float | None:
        if len(self._pairs) < 2:
            return None
        before, after = zip(*self._pairs, strict=True)
        return kendall_tau(before, after)


def _free(candidate: Candidate | Unpriced, taken: set[Hashable]) -> bool:
    return allowed(candidate) and candidate.identity not in taken


def _judged(tau: float | None, compared: int) -> str:
    told = "no tau" if tau is None else f"Kendall's tau {tau:.2f}"
    return f"the order of the shared weights has {told} to that of {compared} fine-tuned plans"
