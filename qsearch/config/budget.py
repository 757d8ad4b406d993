"""What the best model must keep to: costs at most, and the metric at least."""

from __future__ import annotations

from qsearch.config.amounts import Operations, StoredBits, StoredBytes
from qsearch.config.fields import Energy, NotNegative, Positive, Real
from qsearch.config.section import Section


class BudgetConfig(Section):
    """What the best model may use at most: `cost` in the goal's unit, all others as a goal of that type counts."""

    energy: Energy | None = None
    cost: Positive | None = None
    bits: StoredBits | None = None
    macs: Operations | None = None
    bops: Operations | None = None
    ebops: Operations | None = None
    weight_memory: StoredBytes | None = None
    activation_memory: StoredBytes | None = None
    peak_activation: StoredBytes | None = None
    flash: StoredBytes | None = None
    ram: StoredBytes | None = None

    @property
    def limits(self) -> dict[str, float]:
        """Those that are given, by key."""
        return {name: most for name in BudgetConfig.model_fields if (most := getattr(self, name)) is not None}

    @property
    def further(self) -> dict[str, float]:
        """Of these, the ones that not every price tells."""
        return {name: most for name, most in self.limits.items() if name not in ("energy", "cost")}


class ToleranceConfig(Section):
    """What the best model's metric must keep to on the selection set; of several the strictest counts.

    `drop`: in the metric's own unit; `ratio`: of the reference's; `metric`: itself. At least that where more is
    better, at most that where less is.
    """

    drop: NotNegative | None = None
    ratio: Positive | None = None
    metric: Real | None = None

    @property
    def given(self) -> bool:
        """Whether anything is asked."""
        return self != ToleranceConfig()
