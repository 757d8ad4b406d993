"""Embedding: rows of a table, read by the numbers of tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy

from qsearch.errors import ExportError
from qsearch.graph import operations as ops
from qsearch.graph.model_graph import Node
from qsearch.graph.walk import core_of
from qsearch.hardware.integer.chain import Made
from qsearch.hardware.integer.formats import Format, dyadic
from qsearch.hardware.integer.model import Source
from qsearch.hardware.integer.operations import Lookup

TOKENS = "tokens"
"""What stands for the quantizer of an input that holds numbers of tokens."""
_MASKED = (
    keras.layers.RNN,
    keras.layers.Bidirectional,
    keras.layers.GlobalAveragePooling1D,
    keras.layers.Softmax,
)
"""Layers that compute something else where time steps are masked."""


def token_source(node: Node, nodes: Sequence[Node], layers: dict[str, Any]) -> Source | None:
    """The input, if it is read as numbers of tokens; None for one of real numbers.

    Raises:
        ExportError: it is read as real numbers, too.
    """
    readers = [one for one in nodes if node.name in one.inputs]
    tables = [one for one in readers if isinstance(one.operation, ops.Embedding)]
    if not tables:
        return None
    if len(tables) < len(readers):
        other = next(one for one in readers if one not in tables)
        raise ExportError(
            f"{other.layer}: computes with {node.name}, which {tables[0].layer} reads numbers of tokens from; give the "
            "model an input of its own for it"
        )
    last = min(int(core_of(layers[one.layer]).input_dim) for one in tables) - 1
    return Source(
        name=node.name,
        quantizer=TOKENS,
        form=Format(fraction=0, least=0, greatest=last),
        shape=node.output_shape,
        function=lambda x: numpy.clip(numpy.round(x), 0, last),
    )


def lookup_step(node: Node, layer: Any, form: Format, function: Callable[[Any], Any] | None) -> Made:
    """The table as codes, with the function applied that is behind it.

    Raises:
        ExportError: what is looked up are no numbers of tokens, or rows of too different sizes.
    """
    table = numpy.asarray(layer.embeddings, numpy.float32)
    if form.fraction or form.divisor > 1 or form.least < 0 or form.greatest >= len(table):
        raise ExportError(
            f"{node.layer}: reads numbers that are no rows of its table; give it the model's input itself"
        )
    if function is not None:
        table = numpy.asarray(function(table))
    try:
        codes, fraction = dyadic(table)
    except ExportError as error:
        raise ExportError(f"{node.layer}: its table {error}; put a quantizer behind it") from None
    return Lookup(codes), Format(fraction=fraction, least=int(codes.min()), greatest=int(codes.max()))


def check_masks(layers: dict[str, Any]) -> None:
    """
    Raises:
        ExportError: time steps may be masked, and a layer leaves those out.
    """
    cores = {path: core_of(layer) for path, layer in layers.items()}
    masks = [
        path
        for path, core in cores.items()
        if isinstance(core, keras.layers.Masking) or getattr(core, "mask_zero", False)
    ]
    readers = [path for path, core in cores.items() if isinstance(core, _MASKED)]
    for path in readers:
        calls = getattr(layers[path], "_inbound_nodes", ())
        if not masks and any(call.arguments.kwargs.get("mask") is not None for call in calls):
            raise ExportError(f"{path}: is given a mask, which is not computed in integers; leave it out")
    if not masks:
        return
    changes = [path for path in masks if getattr(cores[path], "mask_value", 0) != 0]
    if readers or changes:
        told = f", which {readers[0]} leaves out" if readers else ""
        raise ExportError(
            f"{masks[0]}: masks time steps{told}; that is not computed in integers: set mask_zero=False, or take it out"
        )
