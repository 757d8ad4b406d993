"""Which layers' filters can be searched, and which of them must have one width: channels that are added are tied."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from qsearch.errors import ModelError
from qsearch.graph import operations as ops
from qsearch.graph.channels import tied_layers
from qsearch.graph.model_graph import ModelGraph, Node
from qsearch.graph.resize import with_filters
from qsearch.plan import LayerPlan, QuantizationPlan
from qsearch.search.space import FILTER_FACTORS


@dataclass(frozen=True)
class Widths:
    """Layers whose filters are searched.

    Attributes:
        tied: each of them, with all that share its width, itself included, in the graph's order.
        kept: of the others that were asked for, why they keep theirs.
    """

    tied: Mapping[str, tuple[str, ...]]
    kept: Mapping[str, str]


def filters_of(node: Node) -> int | None:
    """The number of filters or units of a layer whose width can be searched; recurrent layers keep theirs."""
    return None if isinstance(node.operation, ops.Recurrent) else ops.width_of(node.operation)


def tunable_widths(graph: ModelGraph, wanted: Collection[str]) -> Widths:
    """Of the layers that the user lets be tuned, those that can be.

    A layer cannot where its channels are added to those of a layer that keeps its width, where they are the model's
    output, or where a layer behind needs so many.
    """
    filters = {node.layer: filters_of(node) for node in graph.nodes}
    tied: dict[str, tuple[str, ...]] = {}
    kept: dict[str, str] = {}
    for name, group in tied_layers(graph).items():
        if name not in wanted:
            continue
        others = [other for other in group if other not in wanted]
        reason = f"its channels are added to those of {others[0]}, which keeps its width" if others else None
        reason = reason or _obstacle(graph, {member: filters[member] or 1 for member in group})
        if reason is None:
            tied[name] = group
        else:
            kept[name] = f"keeps its {filters[name]} filters: {reason}"
    return Widths(tied, kept)


def _obstacle(graph: ModelGraph, filters: Mapping[str, int]) -> str | None:
    """Why these layers cannot all have another width, or None."""
    for factor in FILTER_FACTORS:
        plan = {name: LayerPlan(filters=max(int(count * factor), 1)) for name, count in filters.items()}
        try:
            resized = with_filters(graph, QuantizationPlan(plan))
        except ModelError as error:
            return str(error)
        shapes = {node.name: node.output_shape for node in resized.nodes}
        if any(shapes[node.name] != node.output_shape for node in graph.nodes if node.name in graph.outputs):
            return "they are the model's output"
    return None
