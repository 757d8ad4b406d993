"""best/weights.json: how the weights of the best model spread over the levels of their quantizers."""

from __future__ import annotations

from typing import Any

from qsearch.runs.figures import Part


class WeightHistogram(Part):
    """One weight of one layer.

    Attributes:
        weight: "kernel", "bias", ...; quantizer: its string; None for a float.
        count: how many values; zeros: how many of them are 0.
        levels: what they can be: each level in use, ascending, or the middles of bins where there are too many.
        counts: how many are at each level.
        binned: whether levels are bins.
        edges, trained: the floats that training left, before they are quantized: the ends of equal bins, and how many
            are in each; empty where the file holds none.
    """

    layer: str
    weight: str
    quantizer: str | None
    bits: int
    count: int
    zeros: int
    levels: tuple[float, ...]
    counts: tuple[int, ...]
    binned: bool
    edges: tuple[float, float] | None = None
    trained: tuple[int, ...] = ()


class BestWeights(Part):
    """The content of best/weights.json; ebops: effective bit operations; None where they cannot be counted."""

    ebops: int | None
    weights: tuple[WeightHistogram, ...]

    def to_dict(self) -> dict[str, Any]:
        """The content of best/weights.json."""
        return self.model_dump(mode="json", by_alias=True)
