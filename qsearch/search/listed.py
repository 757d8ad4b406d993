"""Plans that are known beforehand, proposed one after the other."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace

from qsearch.search.candidates import Candidates
from qsearch.search.proposals import Feedback, Proposal
from qsearch.search.space import Values


@dataclass(kw_only=True)
class Listed:
    """A `Proposer` of a list; nothing is learned from what comes of it.

    Attributes:
        make: the list, which is made when it is first asked for.
        tried: the identities of all that was told; open: what was not told yet, by number.
    """

    candidates: Candidates
    make: Callable[[], Sequence[Values]]
    tried: set[Hashable] = field(default_factory=set)
    open: dict[int, Proposal] = field(default_factory=dict)
    _list: list[Proposal] | None = None

    @property
    def total(self) -> int | None:
        """It ends when there is nothing left, or with the caller."""
        return None

    @property
    def same_with_workers(self) -> bool:
        return True

    def ask(self, number: int) -> Proposal | None:
        """The first of the list that was not proposed yet."""
        if number not in self.open:
            if self._list is None:
                self._list = [Proposal(self.candidates.of(values)) for values in self.make()]
            taken = self.tried | {proposal.candidate.identity for proposal in self.open.values()}
            left = [proposal for proposal in self._list if proposal.candidate.identity not in taken]
            if not left:
                return None
            self.open[number] = left[0]
        return self.open[number]

    def recall(self, number: int, earlier: Proposal) -> Proposal | None:
        """What it proposed then, also where the list would be another one today."""
        if not self.candidates.space.has(earlier.values):
            return self.ask(number)
        self.open[number] = replace(earlier, candidate=self.candidates.of(earlier.values))
        return self.open[number]

    def tell(self, number: int, feedback: Feedback) -> None:
        self.tried.add(self.open.pop(number).candidate.identity)

    def continues(self) -> frozenset[int]:
        return frozenset()
