"""How large a model file may be: generous, and small enough that a hostile one is refused in seconds.

All bounds are raised together, by a factor in the environment: `QSEARCH_MODEL_LIMITS=10`.
"""

from __future__ import annotations

import math
import os

from qsearch.errors import ConfigError, shown

FREE_BYTES = 1 << 27
"""128 MB: so much a file may hold, however small it is on disk."""
EXPANSION = 100
"""Beyond that, how many times its size on disk; Keras does not compress, and zip cannot do more than 1,032 times."""
OBJECTS = 40_000
"""Arrays and groups of an HDF5 file, seconds of reading; 2,000 layers with their optimizer have half of it."""
MEMBERS = 10_000
"""Files in an archive."""
ATTRIBUTE_BYTES = 1 << 28
"""Memory that the attributes of one object may take."""
DESCRIPTION_BYTES = 50_000_000
"""Of the text that describes the architecture; the weights are elsewhere."""
DESCRIPTION_VALUES = 500_000
"""In that text: 8,000 layers, or a vocabulary of half a million words."""

FACTOR = "QSEARCH_MODEL_LIMITS"
HOW_TO_RAISE = f"if you trust the file, {FACTOR}=10 in the environment allows 10 times as much"


def allowed(bound: int) -> int:
    """A bound times the factor of the environment, which is 1 where none is given.

    Raises:
        ConfigError: the factor is no number from 1 up.
    """
    text = os.environ.get(FACTOR) or "1"
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not 1 <= factor <= 1e6:
        raise ConfigError(f"{FACTOR}: found {shown(text)}, expected a number from 1 to 1,000,000")
    return int(bound * factor)
