"""Costs beside energy, as `PlanPricer` reckons them: each is a sum over layers, or the most that is alive at once.

The formulas are those of `metrics`, `ebops` and `footprint`; a test holds the totals against these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from qsearch.energy.counts import counts
from qsearch.energy.ebops import most_of_call
from qsearch.energy.footprint import Width, aligned, packed, stored_bits
from qsearch.energy.metrics import bit_operations
from qsearch.energy.report import LayerEnergy
from qsearch.graph.model_graph import Node
from qsearch.plan import LayerPlan
from qsearch.quantizers.number_types import NumberFormat

CallCost = Callable[[Node, LayerPlan | None, LayerEnergy | None, bool], int]
"""(a call with the plan's widths, its quantizers, its formats, whether it is the layer's first call) -> what it adds.

A call without formats is an input of the model, or does nothing.
"""
BYTE = 8


@dataclass(frozen=True)
class Sum:
    """What all calls of layers add up to.

    Attributes:
        of: what one adds.
        part: how many of that are one of the total's unit, which is rounded up: 8 bits are a byte.
    """

    of: CallCost
    part: int = 1

    def total(self, found: int) -> int:
        """In the total's unit."""
        return -(-found // self.part)


@dataclass(frozen=True)
class Peak:
    """Bytes that are alive at once when layers run one after the other.

    Attributes:
        width: what a number is stored in.
        in_place: whether layers write over what they read.
    """

    width: Width
    in_place: bool
    part: int = BYTE

    def size(self, node: Node, form: NumberFormat) -> int:
        """Bits of an output."""
        return math.prod(node.output_shape) * self.width(form.bits)

    def total(self, found: int) -> int:
        """In bytes, rounded up."""
        return -(-found // self.part)


Measure = Sum | Peak


def measures(internal_bits: int = 8) -> Mapping[str, Measure]:
    """Every measure by the name that goals and budgets have for it; `bits` is a goal's own (`goal.bits`).

    Args:
        internal_bits: of a weight of a layer without a plan, as in `EnergySettings.internal`.
    """

    def priced(of: Callable[[Node, LayerPlan | None, LayerEnergy], int]) -> CallCost:
        return lambda node, plan, layer, first: 0 if layer is None else of(node, plan, layer)

    def stored(width: Width) -> CallCost:
        return lambda node, plan, layer, first: (
            stored_bits(node, plan, internal_bits, width) if first and layer is not None else 0
        )

    def handed_on(node: Node, plan: LayerPlan | None, layer: LayerEnergy) -> int:
        return math.prod(node.output_shape) * layer.output_format.bits

    return {
        "macs": Sum(priced(lambda node, plan, layer: counts(node).macs)),
        "bops": Sum(priced(lambda node, plan, layer: bit_operations(node, layer))),
        "ebops": Sum(priced(lambda node, plan, layer: most_of_call(node, plan, layer, internal_bits))),
        "weight_memory": Sum(stored(packed), BYTE),
        "flash": Sum(stored(aligned), BYTE),
        "activation_memory": Sum(priced(handed_on), BYTE),
        "peak_activation": Peak(packed, in_place=False),
        "ram": Peak(aligned, in_place=True),
    }
