"""What a layer's types are made of: defaults, charges, and the result."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from qsearch.energy.operators import Operator
from qsearch.functions import Function
from qsearch.graph import operations as ops
from qsearch.graph.model_graph import Node
from qsearch.plan import LayerPlan, Role
from qsearch.quantizers.formats import DEFAULT_FORMAT, number_format
from qsearch.quantizers.number_types import NumberFormat


@dataclass(frozen=True, kw_only=True)
class Unquantized:
    """What numbers without a quantizer are.

    Attributes:
        internal: weights, biases and batch-norm constants of layers without quantizers.
        accumulator: their products and sums.
        activations: what an activation without a quantizer hands on: the internal format (the seed's rule),
            or the accumulator's (QKeras since May 2021).
        norm: what a batch norm without quantizers hands on: the accumulator's format, or fp32 (QTools').
        fused: an activation inside a layer with weights costs what an activation layer behind it does ("separate"),
            or it is not charged for what it writes, and without a quantizer hands on the accumulator ("inline",
            QTools' rule).
    """

    internal: NumberFormat
    accumulator: NumberFormat
    activations: Literal["internal", "accumulator"] = "internal"
    norm: Literal["accumulator", "fp32"] = "accumulator"
    fused: Literal["separate", "inline"] = "separate"

    @property
    def activation(self) -> NumberFormat:
        return self.internal if self.activations == "internal" else self.accumulator


@dataclass(frozen=True)
class Charge:
    """Operations of one sort that a layer does, besides those of `LayerTypes.operators`.

    Attributes:
        operator: a multiplication and the format that its result is carried in; None for none.
        addition: the format of an addition that goes with each; None for none.
    """

    count: int
    operator: tuple[Operator, NumberFormat] | None = None
    addition: NumberFormat | None = None


@dataclass(frozen=True, kw_only=True)
class LayerTypes:
    """Formats of one layer.

    Attributes:
        output: what its consumers read.
        operators: the circuits that its operation count is charged for, each with the format that its result is
            carried in: the multiplier of a convolution; divider and multiplier of a batch norm.
        accumulator: of sums of products, bias included.
        constants: formats of batch norm's gamma, beta, mean and variance, in this order.
        charges: further operations.
        stored: parameters that are read, as (elements, format); in place of `weight`'s and `bias`' own.
    """

    inputs: tuple[NumberFormat, ...]
    output: NumberFormat
    operators: tuple[tuple[Operator, NumberFormat], ...] = ()
    accumulator: NumberFormat | None = None
    weight: NumberFormat | None = None
    bias: NumberFormat | None = None
    constants: tuple[NumberFormat, ...] = ()
    charges: tuple[Charge, ...] = ()
    stored: tuple[tuple[int, NumberFormat], ...] = ()


def format_of(plan: LayerPlan | None, role: Role, without_plan: NumberFormat) -> NumberFormat:
    """A quantized layer's missing quantizer counts as 8 bits, as in QTools."""
    if plan is None:
        return without_plan
    spec = plan.quantizers.get(role)
    return DEFAULT_FORMAT if spec is None else number_format(spec)


def handed_on(function: Function, plan: LayerPlan | None, total: NumberFormat, rest: Unquantized) -> NumberFormat:
    """What a layer with weights hands on: its activation's format, or its sums'."""
    own = None if plan is None else plan.quantizers.get(Role.ACTIVATION)
    if own is not None:
        return number_format(own)
    return total if function.is_linear or rest.fused == "inline" else rest.activation


def terms(node: Node) -> int:
    """Products that one output value sums: the kernel's size without the axes of the output."""
    kernel = node.weights["kernel"]
    match node.operation:
        case ops.DepthwiseConvolution():
            return math.prod(kernel[:-2])
        case ops.TransposedConvolution() | ops.DepthwiseTransposed():
            return math.prod(kernel[:-2]) * kernel[-1]
        case ops.EinsumDense(terms=count):
            return count
    return math.prod(kernel[:-1])
