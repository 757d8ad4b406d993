"""The quantizers that a layer holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qsearch.layers.quantized import Suited
from qsearch.quantizers.base import Quantizer


def holders_of(layer: Any) -> Iterator[tuple[str, Any]]:
    """The layer itself, or its cells, each with a name that tells the directions of a bidirectional layer apart."""
    directions = {name: getattr(layer, f"{name}_layer", None) for name in ("forward", "backward")}
    if all(direction is not None for direction in directions.values()):
        for name, direction in directions.items():
            yield from ((f"{name}/{place}", holder) for place, holder in holders_of(direction))
    else:
        yield "", getattr(layer, "cell", layer)


def quantizers_of(layer: Any) -> Iterator[tuple[str, Quantizer]]:
    """Those of a layer's weights, activations and statistics, each with a name for its place in the layer."""
    for name, value in vars(layer).items():
        parts = value.in_use if isinstance(value, Suited) else value if isinstance(value, Mapping) else {name: value}
        yield from ((str(place), part) for place, part in parts.items() if isinstance(part, Quantizer))
