"""EinsumDense layers that compute what a dense layer does."""

from __future__ import annotations

from typing import Any

import keras


def dense_units(layer: Any) -> int | None:
    """The units of the dense layer that an EinsumDense layer is; None where it is something else.

    It is one where its kernel has the axes (in, out), the input's last axis is summed over and becomes the output's
    last one, all others stay in place, and the bias, if any, lies along the last axis.
    """
    if type(layer) is not keras.layers.EinsumDense:
        return None
    terms, _, output = str(layer.equation).replace(" ", "").partition("->")
    given, _, kernel = terms.partition(",")
    if len(kernel) != 2 or kernel[0] == kernel[1] or not (given and output):
        return None
    kept, shared = _without_last(given, output)
    if kept is None or shared != kernel or set(kernel) & set(kept):
        return None
    if layer.bias_axes not in (None, "", kernel[1]):
        return None
    sizes = layer.partial_output_shape
    return None if sizes[-1] is None else int(sizes[-1])


def _without_last(given: str, output: str) -> tuple[str | None, str]:
    """The axes that both have in the same places, and the last ones of both; None where the others differ."""
    kept = given[:-1]
    return (kept if kept == output[:-1] else None), given[-1] + output[-1]
