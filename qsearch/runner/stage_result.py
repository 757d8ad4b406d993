"""What a stage of a search came to."""

from __future__ import annotations

from dataclasses import dataclass

from qsearch.blocks.schedule import Stage
from qsearch.search.space import SearchSpace
from qsearch.search.trials import Trial


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """What a search came to.

    Attributes:
        before: the best trial so far when it began, scored as those of this stage are; None for the reference.
        delta_before: what its cost is worth, as the stage reckons.
        best: its best trial; None where none was completed, or none outranked the one before.
        trials: how many of all trials were recorded when it began, and when it ended.
        ended: why.
    """

    stage: Stage
    space: SearchSpace
    before: Trial | None
    delta_before: float
    best: Trial | None
    trials: tuple[int, int]
    ended: str
    seconds: float
