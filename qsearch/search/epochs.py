"""Epochs of trials, as a search spends them."""

from __future__ import annotations

from dataclasses import dataclass

from qsearch.config.schema import RunConfig
from qsearch.search.proposals import Proposal
from qsearch.search.trials import AnyTrial, SkippedTrial, Trial


@dataclass(frozen=True)
class EpochCounter:
    """Counts epochs, each as often as there are executions.

    Attributes:
        each: of a proposal that names none.
    """

    each: int
    executions: int = 1

    @classmethod
    def of(cls, run: RunConfig) -> EpochCounter:
        return cls(run.epochs, run.executions_per_trial)

    def planned(self, proposal: Proposal) -> int:
        """At most: a training may end early."""
        last = self.each if proposal.epochs is None else proposal.epochs
        return (last - proposal.first_epoch) * self.executions

    def spent(self, trial: AnyTrial) -> int:
        """By a trial that has ended: none by a skipped one; all by a failed one, as nothing tells how far it came."""
        if isinstance(trial, SkippedTrial):
            return 0
        if isinstance(trial, Trial):
            return (trial.trained.epochs - trial.proposal.first_epoch) * self.executions
        return self.planned(trial.proposal)
