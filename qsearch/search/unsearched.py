"""What a search leaves out, in words: grouped by the reason, with the share of the reference's cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qsearch.search.space import SearchSpace, Unsearched

_SHOWN = 6


def told(space: SearchSpace, shares: Mapping[str, float]) -> list[str]:
    """One line for each reason.

    Args:
        shares: by layer, its part of the reference's cost, 0 to 1.
    """
    searched = {layer.name for layer in space.layers}
    groups: dict[tuple[str, bool], list[Unsearched]] = {}
    for one in space.unsearched:
        groups.setdefault((one.reason, one.layer in searched), []).append(one)
    lines = []
    for (reason, inside), layers in groups.items():
        if inside:
            lines.append(f"activation not quantized: {listed([one.layer for one in layers])}: {reason}")
            continue
        share = sum(shares.get(one.layer, 0.0) for one in layers)
        names = [f"{one.layer} ({one.class_name})" for one in layers]
        lines.append(f"not searched, {share:.1%} of the reference's cost: {listed(names)}: {reason}")
    return lines


def unsearched_share(space: SearchSpace, shares: Mapping[str, float]) -> float:
    """The part of the reference's cost in layers of which nothing is searched."""
    searched = {layer.name for layer in space.layers}
    return sum(shares.get(name, 0.0) for name in {one.layer for one in space.unsearched} - searched)


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
