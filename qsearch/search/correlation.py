"""How alike two orders are."""

from __future__ import annotations

import math
from collections.abc import Sequence


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Kendall's tau-b of two lists: 1 for the same order, -1 for the opposite one; None where one has no order.

    (Kendall 1938, doi:10.1093/biomet/30.1-2.81.)
    """
    from scipy.stats import kendalltau  # takes half a second to import, and most runs have no need of it

    found = float(kendalltau(first, second).statistic)
    return found if math.isfinite(found) else None
