"""How long a search goes on: until so many trials are trained, or until their epochs come to so many."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How much a search trains; the one answer for all who ask.

    Attributes:
        trials: to be trained; where epochs decide, as many as there are if none of them ends early.
        epochs: the search ends with the trial with which all epochs come to so many; None: `trials` decides.
        before: of these, the ones that are spent before the first trial, on weights that plans share.
        each: epochs of a whole trial, all its executions together.
    """

    trials: int
    epochs: int | None = None
    before: int = 0
    each: int = 1

    @classmethod
    def of(cls, max_trials: int, max_epochs_total: int | None, before: int, each: int) -> Extent:
        """What a configuration asks for: epochs, where it names them."""
        if max_epochs_total is None:
            return cls(trials=max_trials, before=before, each=each)
        trials = max(1, math.ceil((max_epochs_total - before) / each))
        return cls(trials=trials, epochs=max_epochs_total, before=before, each=each)

    @property
    def of_trials(self) -> int | None:
        """Epochs that are left to trials; None where these have no such end."""
        return None if self.epochs is None else self.epochs - self.before

    def reached(self, trials: int, epochs: int) -> str | None:
        """Why a search that has trained so many trials, of so many epochs together, is at its end; None: it is not."""
        if self.epochs is None:
            return f"all {self.trials} trials done" if trials >= self.trials else None
        spent = self.before + epochs
        told = "" if spent == self.epochs else f" ({spent:,})"
        return f"all {self.epochs:,} epochs done{told}, {trials} trials trained" if spent >= self.epochs else None

    def expected(self, trials: int, epochs: int) -> int:
        """How many trials there are in all, as it looks after so many, of so many epochs together."""
        if self.epochs is None:
            return self.trials
        return trials + max(0, math.ceil((self.epochs - self.before - epochs) / self.each))

    def part(self, cost: float, reference: float, least: int) -> Extent:
        """Of one of several searches that share in this one by what they cost, as Coelho et al. 2021 share trials.

        Args:
            cost, reference: of the part, and of all; where all is 0 it has the least.
            least: trials.
        """

        def of(whole: int, lowest: int) -> int:
            return int(max(lowest, whole * cost / reference)) if reference else lowest

        if self.epochs is None:
            return Extent(trials=of(self.trials, least), each=self.each)
        return Extent.of(least, of(self.epochs, least * self.each), 0, self.each)


def refused(mode: str, epochs: int | None, shared: int, trains: bool, continues: bool) -> str | None:
    """Why a mode cannot end with so many epochs in all; None where it can, or none are asked for.

    Args:
        shared: epochs before the trials.
        trains, continues: as in `SearchMode`.
    """
    if epochs is None:
        return None
    if not trains:
        return f"found {epochs}, and mode {mode} trains nothing; leave it out, and set max_trials"
    if continues:
        return (
            f"found {epochs}, and mode {mode} has a number of epochs of its own, which qsearch check tells; set "
            "max_epochs, factor or hyperband_iterations, or take mode guided"
        )
    if shared >= epochs:
        return f"found {epochs}, and mode {mode} spends {shared} before its first trial: none is left; allow more"
    return None
