"""The blocks of a search as rows of a table, for each form of the report."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from qsearch.report.own_cost import own_cost, own_heading
from qsearch.report.units import energy
from qsearch.runs.figures import BlockResult
from qsearch.runs.result import Result

Spelling = Callable[[str], str]
"""How a form of the report writes text of anybody's, or code."""

RANKED = (
    "Scores of different blocks are reckoned differently, each with what the blocks to come are worth, so that trials "
    "are ranked within their block."
)
_SCORED = {
    "typical": "scores count them as quantized, each choice the middle one by its cost (`blocks_to_come: typical`), so "
    "that only the last block's are what the energy beside them is worth",
    "reference": "so do scores",
}


def block_heads(result: Result) -> tuple[str, ...]:
    """The heads of the table."""
    own = own_heading(result)
    return ("block", "share of cost", "trials completed", result.target_metric, "energy", *own, "score", "chosen")


def block_rows(result: Result, name: Spelling, code: Spelling) -> list[tuple[str, ...]]:
    """Before and after each block, in the order in which they were searched.

    Args:
        name: writes a layer's name; code: a pattern or a quantizer.
    """
    return [_row(block, result, name, code) for block in result.blocks]


def blocks_note(result: Result) -> str:
    """How the figures of the table are to be read; code stands between backticks."""
    scored = _SCORED.get(str(result.blocks_to_come), "see `blocks_to_come` for scores")
    return (
        "Metrics are those of the selection set. Energy counts layers that no block has quantized yet as the "
        f"reference's; {scored}. The model after block N is in `blocks/N`."
    )


def layer_choices(layer: Mapping[str, object], code: Spelling) -> str:
    """What is chosen for a layer."""
    return ", ".join(f"{role} {code(str(value))}" for role, value in layer.items())


def _row(block: BlockResult, result: Result, name: Spelling, code: Spelling) -> tuple[str, ...]:
    before, after = block.before, block.after
    layers = {layer: chosen for layer, chosen in block.chosen.to_dict().items() if chosen}
    chosen = "; ".join(f"{name(layer)}: {layer_choices(choices, code)}" for layer, choices in layers.items())
    return (
        f"{block.block}. {code(block.pattern)}",
        f"{block.share:.1%}",
        trials_of(block),
        f"{_number(before.metric)} → {_number(after.metric)}",
        f"{energy(before.energy)} → {energy(after.energy)}",
        *map(" → ".join, zip(own_cost(before.cost, result), own_cost(after.cost, result), strict=True)),
        f"{_number(before.score)} → {_number(after.score)}",
        chosen if block.trial is not None else f"nothing better ({block.ended})",
    )


def trials_of(block: BlockResult) -> str:
    """How many of its trials were completed: "7 of 8"."""
    counts = block.trials
    return f"{counts.completed} of {counts.completed + counts.failed + counts.skipped}"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"
