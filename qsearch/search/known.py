"""Trials that an earlier process of the same run has finished, held against what is proposed now.

A search proposes by its seed and by what it was told, so that it goes the same way again, and nothing is trained twice.
"""

from __future__ import annotations

from dataclasses import replace

from qsearch.errors import ConfigError
from qsearch.search.candidates import Candidate
from qsearch.search.proposals import Proposal
from qsearch.search.trials import AnyTrial, FailedTrial, Trial


def again(known: Trial | FailedTrial, proposal: Proposal) -> Trial | FailedTrial:
    """The trial that was trained for a proposal, with all that the journal rounds as it was.

    Raises:
        ConfigError: it has no price now.
    """
    candidate = proposal.candidate
    if isinstance(known, Trial) and isinstance(candidate, Candidate):
        within = candidate.price.objection is None  # the budget may be another one now
        return replace(known, proposal=proposal, price=candidate.price, accepted=known.accepted and within)
    if isinstance(known, FailedTrial):
        return replace(known, proposal=proposal)
    raise _differs(known, "cannot be priced now")


def check_same(known: AnyTrial, proposal: Proposal) -> None:
    """See that a trial of an earlier process is what is proposed now.

    Raises:
        ConfigError: it is not; what differs is named.
    """
    earlier = known.proposal
    pairs = (
        ("values", dict(earlier.values), dict(proposal.values)),
        ("epochs", earlier.epochs, proposal.epochs),
        ("first epoch", earlier.first_epoch, proposal.first_epoch),
        ("parent", earlier.parent, proposal.parent),
    )
    for what, then, now in pairs:
        if then != now:
            raise _differs(known, f"has other {what} than are proposed now")


def _differs(known: AnyTrial, how: str) -> ConfigError:
    return ConfigError(
        f"trial {known.number} of the journal {how}, so that this run cannot go on as it began; what decides trials "
        "(the configuration, the data, the versions in environment.json) must be what it was; or begin a new run in "
        "another folder"
    )
