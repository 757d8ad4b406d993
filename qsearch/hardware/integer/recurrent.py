"""Recurrent layers, unrolled: every time step as steps on codes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy

from qsearch.errors import ExportError
from qsearch.graph import operations as ops
from qsearch.graph.model_graph import Node
from qsearch.hardware.integer.chain import Chain
from qsearch.hardware.integer.formats import Format
from qsearch.hardware.integer.linear import scale_step, sums
from qsearch.hardware.integer.merges import concatenated, merge_steps, merged
from qsearch.hardware.integer.operations import Clamp, Reshape, Slice
from qsearch.hardware.weights import QuantizedWeight, exported
from qsearch.layers.cells import QGRUCell, QLSTMCell, QuantizedCell
from qsearch.quantizers.base import Quantizer
from qsearch.quantizers.number_types import Kind

_MERGES = {"concat": "Concatenate", "sum": "Add", "mul": "Multiply", "ave": "Average"}


def recurrent_steps(chain: Chain, node: Node, layer: Any, source: str) -> str:
    """The last step of a recurrent layer, or of one in both directions.

    Raises:
        ExportError: a cell whose numbers are on no grid, or states that come from outside or go there.
    """
    _check(node, layer)
    if not isinstance(layer, keras.layers.Bidirectional):
        return _one_way(chain, node, layer, source, "", False)
    ends = []
    for suffix, one, turned in (("forward", layer.forward_layer, False), ("backward", layer.backward_layer, True)):
        ends.append(_one_way(chain, node, one, source, f":{suffix}", turned and one.return_sequences))
    kind = _MERGES[layer.merge_mode]
    if kind == "Concatenate":
        return chain.add(node.layer, node.name, concatenated([chain.forms[end] for end in ends], -1), *ends)
    return merge_steps(chain, node.layer, node.name, kind, ends)


def _check(node: Node, layer: Any) -> None:
    if isinstance(layer, keras.layers.Bidirectional) and layer.merge_mode not in _MERGES:
        raise ExportError(
            f"{node.layer}: gives both directions apart; allowed: merge_mode {', '.join(map(repr, _MERGES))}"
        )
    if node.results > 1:
        raise ExportError(f"{node.layer}: gives its states too; allowed: return_state=False")
    if len(node.inputs) > 1 or any(_given(call) for call in getattr(layer, "_inbound_nodes", ())):
        raise ExportError(f"{node.layer}: is given its first states; allowed: states that begin with 0")
    for one in (getattr(layer, "forward_layer", layer), getattr(layer, "backward_layer", layer)):
        if not isinstance(getattr(one, "cell", None), QuantizedCell):
            raise ExportError(
                f"{node.layer}: is no quantized layer, so that its weights are real numbers; quantize it "
                f"(limit: {node.class_name}), or leave it out of the exported model"
            )
        if one.stateful:
            raise ExportError(f"{node.layer}: keeps its states from call to call; allowed: stateful=False")


def _given(call: Any) -> bool:
    """Whether a call brings states, which may be constants that no node of the graph stands for."""
    return len(call.arguments.args) > 1 or call.arguments.kwargs.get("initial_state") is not None


def _one_way(chain: Chain, node: Node, layer: Any, source: str, suffix: str, turned: bool) -> str:
    """The result of one direction; `turned`: in the order of time although it is read from the end."""
    cell = _Cell(chain, node, layer.cell, f"{node.name}{suffix}")
    length = chain.shapes[source][0]
    order = range(length)[:: -1 if layer.go_backwards else 1]
    hidden = list(cell.run(source, order))
    if not layer.return_sequences:
        return hidden[-1]
    rows = [cell.step("row", (Reshape((1, *chain.shapes[one])), chain.forms[one]), one) for one in hidden]
    rows = rows[::-1] if turned else rows
    made = concatenated([chain.forms[one] for one in rows], 1)
    return chain.add(node.layer, cell.name, made, *rows)


class _Cell:
    """What a cell computes, as steps of a chain."""

    def __init__(self, chain: Chain, node: Node, cell: Any, name: str) -> None:
        self.chain, self.node, self.cell, self.name = chain, node, cell, name
        self.units = int(cell.units)
        parts = {part: exported(weight) for part, weight in cell.weight_parts().items()}
        self.kernel, self.recurrent = parts["kernel"], parts["recurrent"]
        self.bias: QuantizedWeight | None = parts.get("bias")
        self.at = 0
        # beside the other layers, a dense one is what a matrix product is
        self.dense = replace(node, operation=ops.Dense(units=self.units, use_bias=self.bias is not None))

    def run(self, source: str, order: Sequence[int]) -> Iterator[str]:
        """The output of each time step, in the order in which they are computed."""
        twice = isinstance(self.cell, QGRUCell) and self.cell.reset_after
        bias = _part(self.bias, 0) if twice else self.bias
        whole = self.product("inputs", source, self.kernel, bias)  # of all time steps at once
        states: tuple[str, ...] = ()
        for self.at in order:
            row = self.slice(whole, 0, self.at, self.at + 1)
            row = self.step("inputs", (Reshape(self.chain.shapes[row][1:]), self.chain.forms[row]), row)
            if not states:
                zero = self.step("zero", (Clamp(0, 0), Format(fraction=0, least=0, greatest=0)), self.gate(row, 0))
                states = (zero, zero) if isinstance(self.cell, QLSTMCell) else (zero,)
            states = self.next(
                row, tuple(self.quantized("state", state, self.cell.state_quantizer) for state in states)
            )
            yield states[0]

    def next(self, inputs: str, states: tuple[str, ...]) -> tuple[str, ...]:
        match self.cell:
            case QLSTMCell():
                return self.lstm(inputs, *states)
            case QGRUCell():
                return (self.gru(inputs, *states),)
        return (self.active(self.merge("Add", inputs, self.product("recurrent", states[0], self.recurrent))),)

    def lstm(self, inputs: str, hidden: str, carry: str) -> tuple[str, str]:
        total = self.merge("Add", inputs, self.product("recurrent", hidden, self.recurrent))
        into, forget, candidate, out = (self.gate(total, index) for index in range(4))
        kept = self.merge("Multiply", self.open(forget), carry)
        carry = self.merge("Add", kept, self.merge("Multiply", self.open(into), self.active(candidate)))
        return self.merge("Multiply", self.open(out), self.active(carry)), carry

    def gru(self, inputs: str, hidden: str) -> str:
        x_z, x_r, x_h = (self.gate(inputs, index) for index in range(3))
        after = self.cell.reset_after
        bias = _part(self.bias, 1) if after else None
        gates, last = 2 * self.units, 3 * self.units
        inner = self.product("recurrent", hidden, _columns(self.recurrent, 0, gates), _columns(bias, 0, gates))
        z = self.open(self.merge("Add", x_z, self.gate(inner, 0)))
        r = self.open(self.merge("Add", x_r, self.gate(inner, 1)))
        own, own_bias = _columns(self.recurrent, gates, last), _columns(bias, gates, last)
        if after:
            candidate = self.merge("Multiply", r, self.product("candidate", hidden, own, own_bias))
        else:
            candidate = self.product("candidate", self.merge("Multiply", r, hidden), own)
        made = self.active(self.merge("Add", x_h, candidate))
        return self.merge("Add", self.merge("Multiply", z, hidden), self.merge("Multiply", self.rest(z), made))

    # single steps

    def step(self, what: str, made: Any, *inputs: str) -> str:
        try:
            return self.chain.add(self.node.layer, f"{self.name}:{self.at}:{what}", made, *inputs)
        except ExportError as error:
            if self.cell.state_quantizer is not None:
                raise
            raise ExportError(
                f"{error}; its states gain bits with every time step: give it state_quantizer='quantized_bits(8,2,1)'"
            ) from None

    def product(self, what: str, source: str, weight: QuantizedWeight, bias: QuantizedWeight | None = None) -> str:
        for suffix, operation, form in sums(self.dense, weight, bias, self.chain.forms[source]):
            source = self.step(f"{what}{suffix}", (operation, form), source)
        return source

    def merge(self, kind: str, *sources: str) -> str:
        made = merged(self.node.layer, kind, [self.chain.forms[one] for one in sources])
        return self.step(kind.lower(), made, *sources)

    def slice(self, source: str, axis: int, start: int, stop: int) -> str:
        return self.step("slice", (Slice(axis + 1, start, stop), self.chain.forms[source]), source)

    def gate(self, source: str, index: int) -> str:
        """The part of one gate."""
        return self.slice(source, 0, index * self.units, (index + 1) * self.units)

    def rest(self, source: str) -> str:
        """1 - x."""
        one = numpy.array([1]), 0
        return self.step("rest", scale_step(numpy.array([-1]), 0, one, self.chain.forms[source]), source)

    def active(self, source: str) -> str:
        return self.activated("activation", source, self.cell.activation)

    def open(self, source: str) -> str:
        return self.activated("recurrent_activation", source, self.cell.recurrent_activation)

    def activated(self, what: str, source: str, function: Any) -> str:
        if function is None or function is keras.activations.linear:
            return source
        if function is keras.activations.relu:
            form = self.chain.forms[source]
            greatest = max(form.greatest, 0)
            return self.step("relu", (Clamp(0, greatest), replace(form, least=0, greatest=greatest)), source)
        if not isinstance(function, Quantizer) or function.number_format.kind is Kind.FLOAT:
            name = getattr(function, "__name__", str(function))
            instead = "quantized_sigmoid" if "sigmoid" in name else "quantized_tanh"
            raise ExportError(
                f"{self.node.layer}: its {what} {name} gives real numbers, which the next time step computes with; "
                f"give it {what}='{instead}(8)', or another quantizer"
            )
        return self.quantized(what, source, function)

    def quantized(self, what: str, source: str, quantizer: Quantizer | None) -> str:
        if quantizer is None:
            return source
        try:
            return self.chain.rule(
                self.node.layer,
                f"{self.name}:{self.at}:{what}",
                lambda x: quantizer(keras.ops.convert_to_tensor(x), training=False),
                source,
                str(quantizer),
            )
        except ExportError as error:
            raise ExportError(f"{error} (its {what})") from None


def _part(weight: QuantizedWeight | None, row: int) -> QuantizedWeight | None:
    """One row of a bias; only values are read of it."""
    return None if weight is None else replace(weight, values=weight.values[row])


def _columns(weight: Any, start: int, stop: int) -> Any:
    """Some of the columns of a matrix, with their scales, or of a bias."""
    if weight is None:
        return None

    def one(array: Any) -> Any:
        whole = array is None or numpy.ndim(array) == 0 or numpy.shape(array)[-1] == 1
        return array if whole else numpy.ascontiguousarray(array[..., start:stop])

    return replace(
        weight, values=one(weight.values), codes=one(weight.codes), scale=one(weight.scale), signs=one(weight.signs)
    )
