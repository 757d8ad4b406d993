"""Seeds derived from the user's one."""

from __future__ import annotations

import numpy

REFERENCE_SEED, FINAL_SEED, TRIAL_SEED, SEARCH_SEED, SHARED_SEED = range(5)
"""What the user's seed is spread over, so that one part's draws never shift another's."""


def spread(seed: int, *path: int) -> int:
    """A positive 31-bit seed derived from the user's seed and where it is used."""
    state = numpy.random.SeedSequence([seed, *path]).generate_state(1, numpy.uint32)
    return int(state[0]) % (2**31 - 1) + 1
