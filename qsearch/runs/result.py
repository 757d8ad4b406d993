"""result.json: what a run came to, in figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qsearch.runs.figures import (
    METRIC,
    BestModel,
    BlockResult,
    DearerLayer,
    Demands,
    Front,
    KeptModel,
    Part,
    Reference,
    SharedWeightsFigures,
    TrialCounts,
    UnsearchedLayer,
)


class Result(Part):
    """The content of result.json, in its order. Energies in pJ, costs in the goal's `unit`, times in seconds.

    Attributes:
        validation: where the selection set comes from: "test", "given", or a share of the training set.
        reference_cost: what the reference is priced as, "unquantized" or "own".
        priced_share: of the multiply-accumulates.
        unsearched_share: of the reference's cost.
        best: None where no trial was completed before an interruption.
        dearer: None where a trial is cheaper than the reference.
        demands: None where the user made none.
        disk_bytes: what the run directory takes, without this file, report.md and energy.json; checkpoint_bytes: of
            these, what going on needs. None in files of versions that did not tell.
        blocks: of a search block by block.
        shared_weights: of the modes one_shot and learned; None in others.
    """

    qsearch: str
    model: str
    dataset: str
    goal: str
    unit: str
    seed: int
    mode: str
    target_metric: str
    direction: str
    validation: str | float
    train_samples: int
    selection_samples: int
    test_samples: int
    reference: Reference
    reference_cost: str
    priced_share: float
    unsearched_share: float
    unsearched: tuple[UnsearchedLayer, ...]
    best: BestModel | None
    dearer: tuple[DearerLayer, ...] | None
    demands: Demands | None
    front: Front
    models: tuple[KeptModel, ...]
    trials: TrialCounts
    combinations: int
    ended: str
    interrupted: bool
    seconds: float
    disk_bytes: int | None = None
    checkpoint_bytes: int | None = None
    blocks_to_come: str | None
    blocks: tuple[BlockResult, ...]
    shared_weights: SharedWeightsFigures | None = None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The content of result.json; figures that are no numbers are NaN."""
        return self.model_dump(mode="json", by_alias=True, context={METRIC: self.target_metric})

    @classmethod
    def from_dict(cls, shown: Mapping[str, Any]) -> Result:
        """What `to_dict` gave, or a result.json.

        Raises:
            ValueError: it is not that.
        """
        return cls.model_validate(shown, context={METRIC: shown.get("target_metric")})
